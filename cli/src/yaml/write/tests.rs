use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn small_things_stand_on_one_line_and_remarks_above_what_they_are_about() {
    let value = json!({
        "kind": "Gateway",
        "hosts": ["*"],
        "spec": {
            "selector": {"istio": "ingressgateway"},
            "servers": [{"port": {"number": 80, "name": "http"}, "on": "yes"}],
            "text": "a\n  b\n",
        },
    });
    let comments = [Comment { path: "spec.servers[0].on", text: "first\nsecond" }];
    let expected = "\
kind: Gateway
hosts: [\"*\"]
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: http}
    # first
    # second
    \"on\": \"yes\"
  text: |
    a
      b
";
    assert_eq!(write(&value, &comments), expected);
}

fn any_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>(),
        "[ -~]{0,12}",
        Just("nil\n".to_owned()),
        Just("0x10".to_owned()),
        Just("1_000".to_owned()),
        Just("12:30".to_owned()),
        Just("~".to_owned()),
        Just("2026-01-01".to_owned()),
        Just("- a\n- b\n".to_owned()),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9f64).prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((text.clone(), inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(value in any_value()) {
        let text = write(&value, &[]);
        let read: Value = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        prop_assert_eq!(&read, &value, "{}", text);
    }
}

proptest! {
    #[test]
    fn json_that_is_written_is_read_back(value in any_value()) {
        let text = json(&value);
        let read: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        prop_assert_eq!(&read, &value, "{}", text);
    }
}
