//! The model and parameters of OpenAI's requests.

use proptest::prelude::*;

use super::*;
use crate::rewrite::{self, Prefix};

fn whole() -> Plan {
    Plan { whole_up_to: usize::MAX, ..Plan::default() }
}

fn read(plan: Plan, body: &str) -> (Progress, JsonReader) {
    fed_json(JsonReader::open_ai(plan), body.as_bytes(), &[])
}

fn renamed(body: &str, reader: &JsonReader, name: &str) -> String {
    let Prefix { replaces, with } = rewrite::document_start(body.as_bytes(), reader, name.as_bytes()).unwrap();
    String::from_utf8([&with, &body.as_bytes()[replaces..]].concat()).unwrap()
}

#[test]
fn the_model_is_the_top_levels_last_one() {
    for (body, model) in [
        (r#"{"model":"m","messages":[{"role":"user","content":"{\"model\":\"no\"}"}]}"#, Some("m")),
        (r#"{"messages":[{"model":"no"}],"metadata":{"model":"no"},"model" : "m" , "stream":true}"#, Some("m")),
        (r#"{"mod\u0065l":"a\/b"}"#, Some("a/b")),
        (r#"{"model":"a","model":"b"}"#, Some("b")),
        (r#"{"model":"a","model":null}"#, None),
        (r#"{"model":"a","model":{"x":"b"}}"#, None),
        (r#"{"model":["a"]}"#, None),
        (r#"{"model":7}"#, None),
        (r#"{"Model":"a"}"#, None),
        (r#"{"messages":[]}"#, None),
    ] {
        let (progress, reader) = read(whole(), body);
        assert_eq!(progress, Progress::Done, "{body}");
        assert_eq!(reader.name(), model.map(str::as_bytes), "{body}");
    }
}

#[test]
fn scalars_of_the_top_level_are_parameters() {
    let body = r#"{"model":"m","user_id":"u7","messages":[{"region":"no"}],"region":{"region":"no"}}"#;
    let (_, reader) = read(whole(), body);
    assert_eq!(reader.message().parameter(0), Some(&b"u7"[..]));
    assert_eq!(reader.message().parameter(1), None);
    let (_, reader) = read(whole(), r#"{"region":"eu","model":"m","region":0.50}"#);
    assert_eq!(reader.message().parameter(1), Some(&b"0.5"[..]));
}

#[test]
fn a_long_body_is_read_to_the_name_and_a_short_one_or_one_of_unknown_length_to_its_end() {
    let start = r#"{"model":"m""#;
    let plan = |length| Plan { whole_up_to: 100, length, ..Plan::default() };
    assert_eq!(read(plan(Some(101)), start).0, Progress::Done);
    assert_eq!(read(plan(Some(100)), start).0, Progress::More);
    assert_eq!(read(plan(None), start).0, Progress::More);
    let mut reader = JsonReader::open_ai(plan(Some(101)));
    assert_eq!(reader.feed(start.as_bytes(), &AllWanted(all())), Progress::More, "a parameter is needed");
}

#[test]
fn every_name_that_was_read_is_replaced_and_nothing_else() {
    let body = r#"{"model":"a", "x":"model", "model" : "b\n\"" ,"y":1}"#;
    let (_, reader) = read(whole(), body);
    assert_eq!(reader.name(), Some(&b"b\n\""[..]));
    assert_eq!(
        renamed(body, &reader, "new/\"é\\"),
        r#"{"model":"new/\"é\\", "x":"model", "model" : "new/\"é\\" ,"y":1}"#
    );
}

#[test]
fn names_that_nobody_means_are_faults() {
    let long = format!(r#"{{"model":"{}"}}"#, "x".repeat(1025));
    let often = format!("{{{}}}", [r#""model":"x""#; 9].join(","));
    for (body, fault) in [(long.as_str(), "longer than 1024"), (&often, "too often"), ("[]", "not a JSON object")] {
        match read(whole(), body).0 {
            Progress::Malformed(text) => assert!(text.contains(fault), "{text}"),
            other => panic!("{other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn a_renamed_body_is_the_same_but_for_the_model_however_it_is_cut(
        members in prop::collection::hash_map("[a-z]{1,6}", "[a-z\"\\\\é{}]{0,9}", 0..6),
        name in "[a-zA-Z0-9/\"\\\\:._é-]{1,40}",
        target in "[a-zA-Z0-9/\"\\\\:._é-]{1,60}",
        at in 0_usize..6,
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let mut members: Vec<(String, serde_json::Value)> =
            members.into_iter().filter(|(key, _)| key != "model").map(|(key, text)| (key, serde_json::json!([text]))).collect();
        members.insert(at.min(members.len()), ("model".to_owned(), name.clone().into()));
        let body: Vec<String> = members.iter().map(|(key, value)| format!("{} : {value}", serde_json::json!(key))).collect();
        let body = format!("{{{}}}", body.join(","));
        let (progress, reader) = fed_json(JsonReader::open_ai(whole()), body.as_bytes(), &cuts);
        prop_assert_eq!(progress, Progress::Done);
        prop_assert_eq!(reader.name(), Some(name.as_bytes()));
        let mut expected: serde_json::Value = serde_json::from_str(&body).unwrap();
        expected["model"] = target.clone().into();
        let renamed: serde_json::Value = serde_json::from_str(&renamed(&body, &reader, &target)).unwrap();
        prop_assert_eq!(renamed, expected);
    }

    #[test]
    fn bytes_that_are_no_json_do_no_harm(body in prop::collection::vec(prop::sample::select(&b"{}[]\",:\\u0 1model/'#"[..]), 0..200), cuts in prop::collection::vec(any::<usize>(), 0..8), is_strict in any::<bool>()) {
        let plan = || Plan { is_strict, ..whole() };
        let (progress, reader) = fed_json(JsonReader::open_ai(plan()), &body, &cuts);
        let (whole_progress, whole) = fed_json(JsonReader::open_ai(plan()), &body, &[]);
        prop_assert_eq!((progress, reader.name(), reader.name_values()), (whole_progress, whole.name(), whole.name_values()));
    }
}
