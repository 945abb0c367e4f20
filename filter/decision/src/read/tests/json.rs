//! The JSON reader against serde_json.

use proptest::prelude::*;

use super::*;
use crate::message::{Encoding, Input};
use crate::number::double_text;

#[test]
fn scalars_of_the_parameters_object_are_read_in_both_dialects() {
    for (body, expected) in [
        (r#"{"parameters":{"user_id":"u7"}}"#, Some("u7")),
        (
            r#" { "id":"x", "inputs":[{"parameters":{"user_id":"no"},"data":[1,2]}], "parameters" : { "user_id" : "u7" } }"#,
            Some("u7"),
        ),
        (r#"{"parameters":{"user_id":42}}"#, Some("42")),
        (r#"{"parameters":{"user_id":42.0 }}"#, Some("42")),
        (r#"{"parameters":{"user_id":true}}"#, Some("true")),
        (r#"{"parameters":{"user_id":null}}"#, None),
        (r#"{"parameters":{"user_id":[1,"u7"]}}"#, None),
        (r#"{"parameters":{"user_id":{"stringParam":"u7"}}}"#, Some("u7")),
        (r#"{"parameters":{"user_id":{"int64_param":"42"},"x":1}}"#, Some("42")),
        (r#"{"parameters":{"x":{"user_id":"no"}}}"#, None),
        (r#"{"parameters":["user_id","no"]}"#, None),
        (r#"{"parameters":5,"x":{"user_id":"no"}}"#, None),
        (r#"{"inputs":{"parameters":{"user_id":"no"}}}"#, None),
        (r#"{"p\u0061rameters":{"user\u005fid":"\ud83d\ude00\u00e9\n"}}"#, Some("😀é\n")),
        (r#"{"parameters":{"user_id":"a"},"parameters":{"user_id":"b"}}"#, Some("b")),
        (r#""parameters""#, None),
        (r#"[{"parameters":{"user_id":"no"}}]"#, None),
        ("", None),
    ] {
        let (_, parameters) = read_json(body.as_bytes(), &[], endless());
        assert_eq!(parameters.parameter(0), expected.map(str::as_bytes), "{body}");
    }
}

#[test]
fn a_reader_stops_when_all_is_found_or_nothing_can_come() {
    assert_eq!(read_json(br#"{"parameters":{"user_id":"a""#, &[], Needs::default()).0, Progress::Done);
    assert_eq!(read_json(br#"{"x":1}"#, &[], endless()).0, Progress::Done);
    assert_eq!(read_json(br#"{"x":1"#, &[], endless()).0, Progress::More);
    assert!(matches!(read_json(br#"{"x":1]"#, &[], endless()).0, Progress::Malformed(_)));
    assert_eq!(read_json(br#"{"id":"a""#, &[], Needs::ID).0, Progress::Done);
    assert_eq!(read_json(br#"{"inputs":[{"data":["#, &[], Needs::ENCODING).0, Progress::Done);
    assert_eq!(read_json(br#"{"inputs":[{"data":[1]}]"#, &[], Needs::INPUTS).0, Progress::Done);
    assert_eq!(read_json(br#"{"inputs":[{"data":[1]}"#, &[], Needs::INPUTS).0, Progress::More);
    let deep = "[".repeat(100_000);
    assert!(matches!(read_json(format!("{{\"a\":{deep}").as_bytes(), &[], endless()).0, Progress::Malformed(_)));
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let text = prop_oneof![
        "[a-zé\"\\\\\n\u{1F600}]{0,6}",
        prop::sample::select(&NAMES[..]).prop_map(str::to_owned),
        Just("parameters".to_owned())
    ];
    let scalar = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        (-1e300_f64..1e300).prop_map(Into::into),
        text.clone().prop_map(Into::into),
    ];
    scalar.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::vec((text.clone(), inner), 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

/// What serde_json says the parameter is.
fn expected_text(value: &serde_json::Value) -> Option<Vec<u8>> {
    match value {
        serde_json::Value::String(text) => Some(text.clone().into_bytes()),
        serde_json::Value::Bool(value) => Some(value.to_string().into_bytes()),
        serde_json::Value::Number(number) => Some(match number.as_f64() {
            _ if number.is_i64() || number.is_u64() => number.to_string().into_bytes(),
            float => double_text(float?),
        }),
        _ => None,
    }
}

proptest! {
    #[test]
    fn the_json_reader_finds_what_serde_json_finds_however_the_body_is_cut(
        members in prop::collection::vec((prop_oneof!["[a-z]{1,4}".boxed(), Just("inputs".to_owned()).boxed()], json_value()), 0..5),
        parameters in prop::collection::hash_map(prop::sample::select(&NAMES[..]), json_value(), 0..4),
        at in 0_usize..6,
        pretty in any::<bool>(),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let mut document: Vec<(String, serde_json::Value)> = members;
        let object = parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        document.insert(at.min(document.len()), ("parameters".to_owned(), serde_json::Value::Object(object)));
        let body: Vec<String> = document
            .iter()
            .map(|(key, value)| format!("{}: {}", serde_json::json!(key), if pretty { serde_json::to_string_pretty(value).unwrap() } else { value.to_string() }))
            .collect();
        let body = format!("{{{}}}", body.join(","));
        let (progress, found) = read_json(body.as_bytes(), &cuts, endless());
        prop_assert_eq!(progress, Progress::Done);
        for (number, name) in NAMES.iter().enumerate() {
            let value = parameters.get(name);
            // Objects may be protobuf's dialect, whose reading has its own test.
            if value.is_some_and(serde_json::Value::is_object) { continue; }
            prop_assert_eq!(found.parameter(number).map(<[u8]>::to_vec), value.and_then(expected_text), "{}", body);
        }
        let whole = read_json(body.as_bytes(), &[], all());
        prop_assert_eq!(read_json(body.as_bytes(), &cuts, all()), whole);
    }

    #[test]
    fn bytes_that_are_no_json_do_no_harm(body in prop::collection::vec(prop::sample::select(&b"{}[]\",:\\u0 1ptrue"[..]), 0..200), cuts in prop::collection::vec(any::<usize>(), 0..8)) {
        prop_assert_eq!(read_json(&body, &cuts, endless()), read_json(&body, &[], endless()));
    }
}

fn text(value: Option<&serde_json::Value>) -> Vec<u8> {
    value.and_then(expected_text).unwrap_or_default()
}

/// What serde_json says an input is.
fn expected_input(input: &serde_json::Value) -> Input {
    let dimension = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.parse().unwrap_or(-1),
        value => value.as_i64().unwrap_or(-1),
    };
    let shape = input.get("shape").and_then(serde_json::Value::as_array);
    Input {
        name: text(input.get("name")),
        datatype: text(input.get("datatype")),
        shape: shape.map(|shape| shape.iter().map(dimension).collect()).unwrap_or_default(),
    }
}

fn input() -> impl Strategy<Value = serde_json::Value> {
    let dimension = prop_oneof![
        (0_i64..3000).prop_map(serde_json::Value::from),
        (0_i64..3000).prop_map(|number| number.to_string().into()),
        Just(serde_json::json!(2.5)),
        Just(serde_json::Value::Null),
    ];
    let data = prop_oneof![
        prop::collection::vec(-9.5..9.5_f64, 0..40).prop_map(|data| serde_json::json!(data)),
        prop::collection::vec("[a-z\"\\\\{}\\[\\]]{0,9}", 0..6).prop_map(|data| serde_json::json!([data])),
        json_value(),
    ];
    let members = (
        prop::option::of("[a-zé\"]{0,6}"),
        prop::option::of("[A-Z0-9]{2,5}"),
        prop::option::of(prop::collection::vec(dimension, 0..4)),
        prop::option::of((prop::sample::select(&["data", "contents", "other"][..]), data)),
        prop::option::of(json_value()),
    );
    let shuffled = members.prop_flat_map(|(name, datatype, shape, data, parameters)| {
        let mut members: Vec<(String, serde_json::Value)> = Vec::new();
        members.extend(name.map(|name| ("name".to_owned(), name.into())));
        members.extend(datatype.map(|datatype| ("datatype".to_owned(), datatype.into())));
        members.extend(shape.map(|shape| ("shape".to_owned(), shape.into())));
        members.extend(data.map(|(key, data)| (key.to_owned(), data)));
        members.extend(parameters.map(|parameters| ("parameters".to_owned(), parameters)));
        Just(members).prop_shuffle()
    });
    // In this order, whatever the map of serde_json makes of it: see `written`.
    shuffled.prop_map(|members| {
        serde_json::Value::Array(members.into_iter().map(|(key, value)| serde_json::json!([key, value])).collect())
    })
}

/// An object whose members stand in the order given, from pairs of key and value.
fn written(pairs: &serde_json::Value) -> String {
    let members: Vec<String> =
        pairs.as_array().unwrap().iter().map(|pair| format!("{} : {}", pair[0], pair[1])).collect();
    format!("{{{}}}", members.join(" ,"))
}

proptest! {
    #[test]
    fn id_inputs_and_encoding_are_what_serde_json_finds_in_any_order_however_the_body_is_cut(
        id in prop::option::of("[a-z\"\n]{0,8}"),
        inputs in prop::collection::vec(input(), 0..4),
        raw in prop::option::of(prop::sample::select(&["raw_input_contents", "rawInputContents"][..])),
        inputs_at in 0_usize..4,
        cuts in prop::collection::vec(any::<usize>(), 0..12),
        is_strict in any::<bool>(),
    ) {
        let mut members = Vec::new();
        members.extend(id.as_ref().map(|id| format!("\"id\": {}", serde_json::json!(id))));
        members.extend(raw.map(|raw| format!("\"{raw}\":[\"AAAA\"]")));
        members.push("\"outputs\": [{\"name\":\"no\"}]".to_owned());
        let list: Vec<String> = inputs.iter().map(written).collect();
        members.insert(inputs_at.min(members.len()), format!("\"inputs\": [{}]", list.join(", ")));
        let body = format!("{{{}}}", members.join(","));
        let whole: serde_json::Value = serde_json::from_str(&body).unwrap();

        let plan = if is_strict { strict() } else { fast() };
        let (progress, reader) = fed_json(JsonReader::inference(plan, everything()), body.as_bytes(), &cuts);
        prop_assert_eq!(progress, if is_strict { Progress::More } else { Progress::Done });
        prop_assert!(reader.is_complete());
        let found = reader.message();
        prop_assert_eq!(found.id.as_deref(), id.as_deref().map(str::as_bytes));
        let expected: Vec<Input> = whole["inputs"].as_array().unwrap().iter().map(expected_input).collect();
        prop_assert_eq!(&found.inputs, &expected, "{}", body);
        let has = |key| whole["inputs"].as_array().unwrap().iter().any(|input| input.get(key).is_some());
        let possible = [
            (has("data"), Encoding::Json),
            (has("contents"), Encoding::Contents),
            (raw.is_some(), Encoding::Raw),
        ];
        let possible: Vec<Encoding> = possible.into_iter().filter(|(has, _)| *has).map(|(_, encoding)| encoding).collect();
        prop_assert_eq!(found.encoding.is_none(), possible.is_empty());
        prop_assert!(found.encoding.is_none_or(|encoding| possible.contains(&encoding)));
        prop_assert!(found.found().contains(Needs::TENSORS));
    }

    #[test]
    fn what_is_found_early_is_what_the_whole_body_has(
        inputs in prop::collection::vec(input(), 0..4),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
        needed in prop::sample::select(vec![Needs::ID, Needs::INPUTS, Needs::ENCODING]),
    ) {
        let list: Vec<String> = inputs.iter().map(written).collect();
        let body = format!("{{\"inputs\":[{}],\"id\":\"7\",\"x\":[]}}", list.join(","));
        let read = |needed| fed_json(JsonReader::inference(fast(), needed), body.as_bytes(), &cuts).1.message().clone();
        let (early, whole) = (read(needed), read(everything()));
        prop_assert!(early.found().contains(needed));
        if needed == Needs::ID { prop_assert_eq!(early.id, whole.id); }
        else if needed == Needs::INPUTS { prop_assert_eq!(early.inputs, whole.inputs); }
        else { prop_assert_eq!(early.encoding, whole.encoding); }
    }
}

#[test]
fn what_the_headers_told_is_not_read_again() {
    let mut known = Message::default();
    known.encoding = Some(Encoding::Binary);
    known.mark_found(Needs::ENCODING);
    let plan = Plan { known, ..Plan::default() };
    let body = br#"{"inputs":[{"name":"x","data":[1]},{"name":"y","parameters":{"binary_data_size":4}}]}"#;
    let (_, reader) = fed_json(JsonReader::inference(plan, everything()), body, &[]);
    assert_eq!(reader.message().encoding, Some(Encoding::Binary));
    assert_eq!(reader.message().inputs.len(), 2);
}

#[test]
fn the_later_of_two_values_counts_as_far_as_the_reader_reads() {
    let body = br#"{"id":"a","inputs":[{"name":"x","data":[]}],"parameters":{"user_id":"a","region":"eu"},
        "id":"b","inputs":[{"name":"y","name":"z","shape":[1],"shape":[2,3],"contents":{}}],"parameters":{"user_id":"b","user_id":null}}"#;
    let (_, found) = read_json(body, &[], everything());
    assert_eq!(found.id.as_deref(), Some(&b"b"[..]));
    assert_eq!(found.inputs, [Input { name: b"z".to_vec(), shape: vec![2, 3], ..Input::default() }]);
    assert_eq!(found.encoding, Some(Encoding::Contents));
    assert_eq!((found.parameter(0), found.parameter(1)), (None, None));
}
