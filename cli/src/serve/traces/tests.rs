use super::*;

fn found(option: Option<&str>, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
    let variable = |name: &str| variables.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned());
    endpoint(option, variable).map_err(|error| error.to_string())
}

#[test]
fn traces_go_where_the_option_says_or_else_the_variables() {
    let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4317");
    let of_traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://b:4317");
    assert_eq!(found(None, &[]), Ok(None));
    assert_eq!(found(None, &[general]), Ok(Some("http://a:4317".to_owned())));
    assert_eq!(found(None, &[general, of_traces]), Ok(Some("http://b:4317".to_owned())));
    assert_eq!(found(Some("http://c:1"), &[general, of_traces]), Ok(Some("http://c:1".to_owned())));
    assert_eq!(found(None, &[general, ("OTEL_SDK_DISABLED", "true")]), Ok(None));
    assert_eq!(found(None, &[general, ("OTEL_TRACES_EXPORTER", "none")]), Ok(None));
}

#[test]
fn what_cannot_work_is_refused_with_its_name() {
    assert_eq!(
        found(Some("localhost"), &[]).unwrap_err(),
        "--otlp-endpoint is 'localhost', expected an address such as http://localhost:4317"
    );
    let secure = found(None, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://a:4317")]).unwrap_err();
    assert!(secure.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT is 'https://a:4317', traces are sent without TLS"));
    let other = found(Some("http://a:4318"), &[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]).unwrap_err();
    assert!(other.starts_with("OTEL_EXPORTER_OTLP_PROTOCOL is 'http/protobuf'"), "{other}");
}

#[test]
fn a_service_is_named_by_its_attributes_too() {
    assert!(names_service(Some("a=b, service.name=mine".to_owned())));
    assert!(!names_service(Some("service.namespace=mine".to_owned())));
    assert!(!names_service(None));
}
