use super::*;
use crate::metrics::MetricsOptions;
use crate::testing;

#[test]
fn a_format_is_one_of_three_and_anything_else_is_not_answered() {
    let asked = |value: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(ASKED, HeaderValue::from_static(value));
        Format::asked(&headers)
    };
    assert_eq!(["text", "JSON", "bin"].map(asked), [Some(Format::Text), Some(Format::Json), Some(Format::Bin)]);
    assert_eq!(["", "xml", "text, json"].map(asked), [None; 3]);
    assert_eq!(Format::asked(&HeaderMap::new()), None);
}

#[test]
fn a_report_says_what_the_server_has_to_do() {
    let options = MetricsOptions { models: 10, has_modelmesh_names: false };
    let serving = Arc::new(Serving::new(Arc::new(testing::everything()), &options).unwrap());
    serving.metrics().in_flight().add(3);
    let reporter = Reporter::new(serving);
    let report = reporter.report();
    let named = |name: &str| report.named.iter().find(|(it, _)| it == name).map(|(_, value)| *value);
    assert_eq!(named("in_flight"), Some(3.0));
    assert_eq!(["queued", "waiting_for_load", "loads"].map(named), [Some(0.0); 3]);
    assert!(named("memory_share").is_some());
    assert!(report.memory_share.is_some_and(|share| share > 0.0));
    // A rate of microseconds would say nothing.
    assert_eq!((report.processor_share, report.requests_a_second), (None, 0.0));
}
