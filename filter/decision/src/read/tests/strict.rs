//! What a strict reader refuses.

use proptest::prelude::*;

use super::*;

fn fault_of(progress: Progress) -> &'static str {
    match progress {
        Progress::Malformed(fault) => fault,
        _ => "none",
    }
}

fn read(body: &[u8]) -> Progress {
    fed_json(JsonReader::inference(strict(), everything()), body, &[]).0
}

#[test]
fn json_that_two_readers_understand_differently_is_refused() {
    let long = "x".repeat(1025);
    let many: Vec<String> = (0..1025).map(|number| format!("\"{number}\":0")).collect();
    for (body, fault) in [
        (r#"{"id":"a","id":"b"}"#.to_owned(), "comes twice"),
        (r#"{"x":[],"\u0078":[]}"#.to_owned(), "comes twice"),
        (r#"{"parameters":{"y":1,"y":2}}"#.to_owned(), "comes twice"),
        (r#"{"inputs":[{"name":"a"},{"data":[1],"name":"b","data":[2]}]}"#.to_owned(), "comes twice"),
        (r#"{"parameters":{"user_id":{"stringParam":"a","int64_param":"7"}}}"#.to_owned(), "two values"),
        (r#"{"id":"a"}{"#.to_owned(), "behind the end"),
        (r#"{"id":"a"} x"#.to_owned(), "behind the end"),
        (format!(r#"{{"id":"{long}"}}"#), "longer than 1024"),
        (format!(r#"{{"{long}":1}}"#), "longer than 1024"),
        (format!("{{{}}}", many.join(",")), "more than 1024 members"),
        (r#"{"id":nan}"#.to_owned(), "not JSON"),
        (r#"{"id":01}"#.to_owned(), "not JSON"),
        (r#"{"id":"a",}"#.to_owned(), "not JSON"),
        (r#"{"id" "a"}"#.to_owned(), "not JSON"),
        (r#"{/* "id":"b", */"id":"a"}"#.to_owned(), "not JSON"),
        (r#"{"x":[1,/*]*/2]}"#.to_owned(), "not JSON"),
        (r#"{"x":['"',2]}"#.to_owned(), "not JSON"),
        (format!(r#"{{"x":{}"#, "[".repeat(200)), "nested deeper"),
        ("[]".to_owned(), "not a JSON object"),
    ] {
        let progress = read(body.as_bytes());
        assert!(fault_of(progress).contains(fault), "{body:.80}: {progress:?}");
    }
}

#[test]
fn ordinary_json_is_accepted_and_read_to_its_end() {
    for body in [
        r#"{"id":"a","parameters":{"id":"b"},"inputs":[{"name":"a","parameters":{"x":1}},{"name":"b","x":{"a":1,"a":2}}]} "#,
        "{}\r\n\t ",
    ] {
        let (progress, reader) = fed_json(JsonReader::inference(strict(), Needs::ID), body.as_bytes(), &[]);
        assert_eq!(progress, Progress::More, "{body}");
        assert!(reader.is_complete(), "{body}");
    }
}

#[test]
fn a_message_whose_scalars_come_twice_is_refused() {
    let read = |message: &[u8]| {
        let body = [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat();
        GrpcReader::new(strict()).feed(&body, &AllWanted(Needs::default()))
    };
    let parameter = b"\x22\x0e\x0a\x07user_id\x12\x03\x1a\x01a";
    let long = [&b"\x0a\x01a\x1a\x81\x08"[..], &[b'x'; 1025]].concat();
    for (message, fault) in [
        (b"\x0a\x01a\x0a\x01a".to_vec(), "comes twice"),
        (b"\x0a\x01a\x12\x011\x12\0".to_vec(), "comes twice"),
        (b"\x0a\x01a\x1a\x01x\x1a\x01y".to_vec(), "id comes twice"),
        ([&parameter[..], b"\x0a\x01a", parameter].concat(), "parameter that routing looks at comes twice"),
        (long, "longer than 1024"),
    ] {
        let progress = read(&message);
        assert!(fault_of(progress).contains(fault), "{message:?}: {progress:?}");
    }
    let good = [&b"\x0a\x01a\x12\x011\x1a\x01x"[..], parameter, b"\x2a\x03\x0a\x01x\x2a\x03\x0a\x01x"].concat();
    assert_eq!(read(&good), Progress::Done);
}

proptest! {
    #[test]
    fn what_a_strict_reader_accepts_is_json_and_has_one_reading(
        body in "[{}\\[\\]\",:a0-9 nulltre.-]{0,30}",
        cuts in prop::collection::vec(any::<usize>(), 0..6),
    ) {
        let body = format!("{{\"id\":{body}}}");
        let (progress, reader) = fed_json(JsonReader::inference(strict(), everything()), body.as_bytes(), &cuts);
        let document: Result<serde_json::Value, _> = serde_json::from_str(&body);
        if let Ok(document) = document {
            // Keys that come twice serde_json takes without a word.
            prop_assert!(progress == Progress::More || fault_of(progress).contains("twice"), "{}: {:?}", body, progress);
            if progress == Progress::More {
                let id = document.get("id").and_then(|id| match id {
                    serde_json::Value::String(text) => Some(text.clone()),
                    serde_json::Value::Bool(value) => Some(value.to_string()),
                    _ => None,
                });
                if let Some(id) = id {
                    prop_assert_eq!(reader.message().id.as_deref(), Some(id.as_bytes()));
                }
            }
        }
    }
}
