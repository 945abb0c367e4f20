use super::*;

fn fault_of(json: &str) -> String {
    match Routing::from_json(json.as_bytes()) {
        Ok(_) => panic!("accepted: {json}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn an_empty_configuration_is_one_without_models() {
    for json in ["", "  \n", "{}"] {
        let routing = Routing::from_json(json.as_bytes()).unwrap();
        assert!(routing.models.is_empty());
        assert_eq!(routing.peek_limit, ByteSize(24 * 1024));
    }
}

#[test]
fn numbers_may_arrive_as_doubles() {
    let json = r#"{"peekLimit": 8192.0, "models": [{"name": "m", "variants": [{"name": "a", "weight": 10.0, "version": 2.0}]}]}"#;
    let routing = Routing::from_json(json.as_bytes()).unwrap();
    assert_eq!(routing.peek_limit, ByteSize(8192));
    let variant = &routing.models[0].variants[0];
    assert_eq!(variant.weight, Some(Weight(10.0)));
    assert_eq!(variant.version, Some(ScalarText("2".to_owned())));
}

#[test]
fn a_mistyped_field_is_refused_with_its_path_and_the_nearest_name() {
    let fault = fault_of(r#"{"models": [{"name": "m"}, {"name": "n", "variants": [{"name": "a", "wieght": 1}]}]}"#);
    assert!(fault.starts_with("models[1].variants[0].wieght: unknown field `wieght`"), "{fault}");
    assert!(fault.ends_with("did you mean `weight`?") && !fault.contains("at line"), "{fault}");
    let fault = fault_of(r#"{"admin": "deny"}"#);
    assert!(fault.starts_with("admin: unknown variant `deny`") && fault.contains("did you mean `Deny`?"), "{fault}");
}

#[test]
fn a_value_of_the_wrong_kind_is_refused_with_its_path() {
    assert!(fault_of(r#"{"models": [{"name": 5}]}"#).starts_with("models[0].name: invalid type"));
    assert!(
        fault_of(r#"{"models": [{"name": "m", "variants": [{"name": "a", "weight": -1}]}]}"#)
            .starts_with("models[0].variants[0].weight: expected a number not below 0, got -1")
    );
    assert!(fault_of(r#"{"peekLimit": "24 parsecs"}"#).starts_with("peekLimit: expected a size such as 24KiB"));
    assert!(fault_of(r#"{"models": ["#).contains("EOF"));
    assert!(fault_of(r#"{} x"#).contains("trailing"));
}

#[test]
fn a_list_where_an_object_belongs_is_refused() {
    for json in ["[]", "5", r#""models""#] {
        assert!(fault_of(json).starts_with("expected an object"), "{json}");
    }
    assert_eq!(
        fault_of(r#"{"models": [["iris[[\""]]}"#),
        "byte 12: expected an object or a value, got a list in a list"
    );
    assert!(Routing::from_json(br#"{"models": [{"name": "[[\"[["}]}"#).is_ok());
}

#[test]
fn sizes_have_the_usual_units() {
    for (text, bytes) in [("24KiB", 24 * 1024), ("1MiB", 1 << 20), ("32kB", 32_000), ("512", 512), ("1.5Ki", 1536)] {
        assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
    }
}
