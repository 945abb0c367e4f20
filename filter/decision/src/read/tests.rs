//! The readers against whole-document readers (serde_json, prost), with bodies cut anywhere.

use std::collections::HashMap;

use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::message::{Message, Needs};
use crate::number::double_text;
use crate::rewrite;

const NAMES: [&str; 3] = ["user_id", "region", "é\"\n"];

fn number_of(name: &[u8]) -> Option<usize> {
    NAMES.iter().position(|known| known.as_bytes() == name)
}

fn all() -> Needs {
    let mut set = Needs::default();
    (0..NAMES.len()).for_each(|number| set.insert(number));
    set
}

/// Never satisfied, so that the reader reads to the end.
fn endless() -> Needs {
    let mut set = Needs::default();
    set.insert(59);
    set
}

struct AllWanted(Needs);

impl Wanted for AllWanted {
    fn parameter(&self, name: &[u8]) -> Option<usize> {
        number_of(name)
    }

    fn needed(&self, _: &[u8], _: Option<&[u8]>) -> Needs {
        self.0
    }
}

/// The pieces of `body` when it is cut at these places.
fn pieces<'a>(body: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).collect();
    cuts.extend([0, body.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect()
}

fn read_json(body: &[u8], cuts: &[usize], needed: Needs) -> (Progress, Message) {
    let mut reader = JsonReader::new(needed);
    let mut progress = Progress::More;
    for piece in pieces(body, cuts) {
        progress = reader.feed(piece, number_of);
    }
    (progress, reader.message().clone())
}

/// Every message is longer than the limit, so that the reader stops as early as it can.
fn read_grpc(body: &[u8], cuts: &[usize], needed: Needs) -> (Progress, GrpcReader) {
    read_grpc_up_to(0, body, cuts, needed)
}

fn read_grpc_up_to(limit: usize, body: &[u8], cuts: &[usize], needed: Needs) -> (Progress, GrpcReader) {
    let mut reader = GrpcReader::new(limit);
    let mut progress = Progress::More;
    for piece in pieces(body, cuts) {
        progress = reader.feed(piece, &AllWanted(needed));
    }
    (progress, reader)
}

// === JSON ===

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

// === gRPC ===

#[derive(Clone, PartialEq, prost::Message)]
struct Request {
    #[prost(string, tag = "1")]
    model_name: String,
    #[prost(string, tag = "2")]
    model_version: String,
    #[prost(string, tag = "3")]
    id: String,
    #[prost(map = "string, message", tag = "4")]
    parameters: HashMap<String, Parameter>,
    #[prost(bytes = "vec", repeated, tag = "5")]
    inputs: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "7")]
    raw_input_contents: Vec<Vec<u8>>,
    #[prost(fixed64, tag = "100")]
    later: u64,
    #[prost(fixed32, tag = "2000")]
    much_later: u32,
    #[prost(int64, tag = "9")]
    number: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Parameter {
    #[prost(oneof = "Choice", tags = "1, 2, 3, 4, 5")]
    choice: Option<Choice>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Choice {
    #[prost(bool, tag = "1")]
    Bool(bool),
    #[prost(int64, tag = "2")]
    Int64(i64),
    #[prost(string, tag = "3")]
    String(String),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(uint64, tag = "5")]
    Uint64(u64),
}

impl Choice {
    fn text(&self) -> Vec<u8> {
        match self {
            Self::Bool(value) => value.to_string().into_bytes(),
            Self::Int64(value) => value.to_string().into_bytes(),
            Self::String(value) => value.clone().into_bytes(),
            Self::Double(value) => double_text(*value),
            Self::Uint64(value) => value.to_string().into_bytes(),
        }
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat()
}

/// The message's fields in another order, which protobuf allows.
fn reordered(message: &Request, order: &[usize]) -> Vec<u8> {
    let name = Request { model_name: message.model_name.clone(), ..Default::default() };
    let version = Request { model_version: message.model_version.clone(), ..Default::default() };
    let rest = Request {
        model_name: String::new(),
        model_version: String::new(),
        parameters: HashMap::new(),
        ..message.clone()
    };
    let parameters = Request { parameters: message.parameters.clone(), ..Default::default() };
    let parts = [name, version, rest, parameters].map(|part| part.encode_to_vec());
    order.iter().flat_map(|part| parts[*part].clone()).collect()
}

fn request() -> impl Strategy<Value = Request> {
    let choice = prop_oneof![
        any::<bool>().prop_map(Choice::Bool),
        any::<i64>().prop_map(Choice::Int64),
        "[a-z]{0,8}".prop_map(Choice::String),
        (-1e9_f64..1e9).prop_map(Choice::Double),
        any::<u64>().prop_map(Choice::Uint64),
    ];
    let parameter = choice.prop_map(|choice| Parameter { choice: Some(choice) });
    let names = prop_oneof![prop::sample::select(&NAMES[..]).prop_map(str::to_owned), "[a-z]{1,5}"];
    let bytes = || prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..3);
    (
        ("[a-z]{1,200}", "[0-9]{0,3}", "[a-z]{0,3}"),
        prop::collection::hash_map(names, parameter, 0..4),
        (bytes(), bytes()),
        (any::<u64>(), any::<u32>(), any::<i64>()),
    )
        .prop_map(
            |(
                (model_name, model_version, id),
                parameters,
                (inputs, raw_input_contents),
                (later, much_later, number),
            )| Request {
                model_name,
                model_version,
                id,
                parameters,
                inputs,
                raw_input_contents,
                later,
                much_later,
                number,
            },
        )
}

proptest! {
    #[test]
    fn the_grpc_reader_finds_what_prost_finds_in_any_order_however_the_body_is_cut(
        message in request(),
        order in Just(vec![0_usize, 1, 2, 3]).prop_shuffle(),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let body = framed(&reordered(&message, &order));
        let (progress, reader) = read_grpc(&body, &cuts, endless());
        prop_assert_eq!(progress, Progress::Done);
        prop_assert_eq!(reader.offset(), body.len());
        prop_assert_eq!(reader.name(), Some(message.model_name.as_bytes()));
        prop_assert_eq!(reader.version(), Some(message.model_version.as_bytes()).filter(|version| !version.is_empty()));
        for (number, name) in NAMES.iter().enumerate() {
            let expected = message.parameters.get(*name).and_then(|it| it.choice.as_ref()).map(Choice::text);
            prop_assert_eq!(reader.message().parameter(number).map(<[u8]>::to_vec), expected);
        }
    }

    #[test]
    fn a_renamed_message_is_the_same_but_for_name_and_version(
        message in request(),
        order in Just(vec![0_usize, 1, 2, 3]).prop_shuffle(),
        cuts in prop::collection::vec(any::<usize>(), 0..6),
        name in "[a-z]{1,200}",
        version in prop::option::of("[0-9]{1,3}"),
        reads_on in any::<bool>(),
    ) {
        // A version behind other fields is seen only by a reader that reads on.
        let version_place = order.iter().position(|part| *part == 1);
        let others_before = order.iter().take_while(|part| **part != 1).any(|part| *part > 1);
        prop_assume!(reads_on || !others_before || version_place == Some(0));
        let body = framed(&reordered(&message, &order));
        let needed = if reads_on { endless() } else { Needs::default() };
        let (progress, reader) = read_grpc(&body, &cuts, needed);
        prop_assert_eq!(progress, Progress::Done);
        let start = rewrite::message_start(&body[..reader.offset()], &reader, name.as_bytes(), version.as_deref().map(str::as_bytes)).unwrap();
        let renamed = [&start, &body[reader.offset()..]].concat();
        prop_assert_eq!(u32::from_be_bytes(renamed[1..5].try_into().unwrap()) as usize, renamed.len() - 5);
        let decoded = Request::decode(&renamed[5..]).unwrap();
        prop_assert_eq!(decoded, Request { model_name: name, model_version: version.unwrap_or_default(), ..message });
    }

    #[test]
    fn bytes_that_are_no_protobuf_do_no_harm(message in prop::collection::vec(any::<u8>(), 0..200), cuts in prop::collection::vec(any::<usize>(), 0..8)) {
        let body = framed(&message);
        let (progress, reader) = read_grpc(&body, &cuts, endless());
        let whole = read_grpc(&body, &[], endless());
        prop_assert_eq!(progress, whole.0);
        prop_assert_eq!(reader.offset(), whole.1.offset());
        if let Ok(decoded) = Request::decode(message.as_slice()) {
            prop_assert_eq!(progress, Progress::Done);
            prop_assert_eq!(reader.name().unwrap_or_default(), decoded.model_name.as_bytes());
        }
    }
}

#[test]
fn a_reader_stops_at_the_first_field_behind_the_name() {
    let message =
        Request { model_name: "m".into(), model_version: "3".into(), id: "x".repeat(2000), ..Default::default() };
    let (progress, reader) = read_grpc(&framed(&message.encode_to_vec()), &[], Needs::default());
    assert_eq!((progress, reader.offset()), (Progress::Done, 5 + 3 + 3));
    assert_eq!(reader.version(), Some(&b"3"[..]));
}

#[test]
fn the_last_of_a_repeated_name_counts_and_all_are_renamed() {
    let body = framed(b"\x0a\x01a\x1a\x01x\x0a\x01b");
    let (_, reader) = read_grpc_up_to(body.len(), &body, &[], Needs::default());
    assert_eq!(reader.name(), Some(&b"b"[..]));
    let start = rewrite::message_start(&body[..reader.offset()], &reader, b"new", None).unwrap();
    assert_eq!([&start, &body[reader.offset()..]].concat(), framed(b"\x0a\x03new\x1a\x01x"));
}

#[test]
fn a_frame_that_claims_all_of_32_bits_is_not_renamed_to_a_short_one() {
    let body = [&b"\0\xff\xff\xff\xff"[..], b"\x0a\x01a\x1a\x01x"].concat();
    let (progress, reader) = read_grpc(&body, &[], Needs::default());
    assert_eq!((progress, reader.message_length()), (Progress::Done, Some(u32::MAX)));
    assert_eq!(rewrite::message_start(&body[..reader.offset()], &reader, b"longer", None), None);
    let shorter = rewrite::message_start(&body[..reader.offset()], &reader, b"", None).unwrap();
    assert_eq!(shorter, b"\0\xff\xff\xff\xfe\x0a\0");
}

#[test]
fn a_message_that_cannot_be_read_says_why() {
    for (body, fault) in [
        (&b"\x01\0\0\0\x03\x0a\x01a"[..], "compressed"),
        (b"\0\0\0\0\x03\x0a\x05a", "longer than its message"),
        (b"\0\0\0\0\x01\x0a", "ends inside a field"),
        (b"\0\0\0\0\x02\x08\x01", "not length-delimited"),
        (b"\0\0\0\0\x02\x0b\x0c", "not length-delimited"),
        (b"\0\0\0\0\x02\x2b\x2c", "wire type"),
        (b"\0\0\0\0\x02\x00\x00", "number 0"),
        (b"\0\0\0\0\x12\x0a\0\x0a\0\x0a\0\x0a\0\x0a\0\x0a\0\x0a\0\x0a\0\x0a\0", "too often"),
        (b"\0\0\0\0\x0c\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "64 bits"),
    ] {
        match read_grpc(body, &[], endless()).0 {
            Progress::Malformed(text) => assert!(text.contains(fault), "{text}"),
            other => panic!("{fault}: {other:?}"),
        }
    }
    assert_eq!(read_grpc(b"\0\0\0\0\0", &[], endless()).0, Progress::Done);
    assert_eq!(read_grpc(b"\0\0\0\0\x03\x0a\x01", &[], endless()).0, Progress::More);
}
