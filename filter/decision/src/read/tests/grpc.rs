//! The gRPC reader against prost.

use std::collections::HashMap;

use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::message::{Encoding, Input};
use crate::number::double_text;
use crate::rewrite::{self, Prefix};

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
    #[prost(message, repeated, tag = "5")]
    inputs: Vec<Tensor>,
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
struct Tensor {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    datatype: String,
    #[prost(int64, repeated, tag = "3")]
    shape: Vec<i64>,
    #[prost(map = "string, message", tag = "4")]
    parameters: HashMap<String, Parameter>,
    #[prost(message, optional, tag = "5")]
    contents: Option<Contents>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Contents {
    #[prost(float, repeated, tag = "6")]
    fp32_contents: Vec<f32>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    bytes_contents: Vec<Vec<u8>>,
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

impl Tensor {
    fn expected(&self) -> Input {
        let text = |text: &String| text.clone().into_bytes();
        Input { name: text(&self.name), datatype: text(&self.datatype), shape: self.shape.clone() }
    }
}

impl Request {
    fn encoding(&self) -> Option<Encoding> {
        let has_contents = self.inputs.iter().any(|input| input.contents.is_some());
        match (has_contents, self.raw_input_contents.is_empty()) {
            (true, _) => Some(Encoding::Contents),
            (false, false) => Some(Encoding::Raw),
            (false, true) => None,
        }
    }
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
    let contents = (prop::collection::vec(any::<i16>().prop_map(f32::from), 0..20), bytes())
        .prop_map(|(fp32_contents, bytes_contents)| Contents { fp32_contents, bytes_contents });
    let shape = prop::collection::vec(prop_oneof![-1_i64..2000, any::<i64>()], 0..5);
    let tensor = ("[a-z]{0,9}", "[A-Z]{0,4}[0-9]{0,2}", shape, prop::option::of(contents)).prop_map(
        |(name, datatype, shape, contents)| Tensor { name, datatype, shape, contents, parameters: HashMap::new() },
    );
    (
        ("[a-z]{1,200}", "[0-9]{0,3}", "[a-z]{0,3}"),
        prop::collection::hash_map(names, parameter, 0..4),
        (prop::collection::vec(tensor, 0..4), bytes()),
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

/// The body with its start replaced, as a gateway does it.
fn renamed(body: &[u8], reader: &GrpcReader, name: &str, version: Option<&str>) -> Vec<u8> {
    let version = version.map(str::as_bytes);
    let Prefix { replaces, with } = rewrite::message_start(body, reader, name.as_bytes(), version).unwrap();
    assert!(replaces <= reader.offset());
    [&with, &body[replaces..]].concat()
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
        let found = reader.message();
        prop_assert_eq!(found.id.as_deref().unwrap_or_default(), message.id.as_bytes());
        prop_assert_eq!(&found.inputs, &message.inputs.iter().map(Tensor::expected).collect::<Vec<_>>());
        prop_assert_eq!(found.encoding, message.encoding());
        prop_assert!(found.found().contains(Needs::TENSORS));
    }

    /// However early the reader stops, what it marks as found is what the whole message has.
    #[test]
    fn what_is_found_in_a_serialisers_order_is_what_the_whole_message_has(
        message in request(),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
        needed in prop::sample::subsequence(vec![Needs::ID, Needs::INPUTS, Needs::ENCODING], 0..=3),
    ) {
        let mut needs = Needs::default();
        needed.iter().for_each(|need| needs.insert_all(*need));
        let body = framed(&message.encode_to_vec());
        let (progress, reader) = read_grpc(&body, &cuts, needs);
        let found = reader.message();
        prop_assert_eq!(progress, Progress::Done);
        prop_assert!(found.found().contains(needs));
        let whole = read_grpc(&body, &[], needs).1;
        prop_assert_eq!((reader.offset(), reader.message()), (whole.offset(), whole.message()));
        if found.found().contains(Needs::ID) {
            prop_assert_eq!(found.id.as_deref().unwrap_or_default(), message.id.as_bytes());
        }
        if found.found().contains(Needs::INPUTS) {
            prop_assert_eq!(&found.inputs, &message.inputs.iter().map(Tensor::expected).collect::<Vec<_>>());
        }
        if found.found().contains(Needs::ENCODING) {
            prop_assert_eq!(found.encoding, message.encoding());
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
        let renamed = renamed(&body, &reader, &name, version.as_deref());
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
    assert_eq!(renamed(&body, &reader, "new", None), framed(b"\x0a\x03new\x1a\x01x"));
}

#[test]
fn a_frame_that_claims_all_of_32_bits_is_not_renamed_to_a_short_one() {
    let body = [&b"\0\xff\xff\xff\xff"[..], b"\x0a\x01a\x1a\x01x"].concat();
    let (progress, reader) = read_grpc(&body, &[], Needs::default());
    assert_eq!((progress, reader.message_length()), (Progress::Done, Some(u32::MAX)));
    assert_eq!(rewrite::message_start(&body, &reader, b"longer", None), None);
    let Prefix { replaces, with } = rewrite::message_start(&body, &reader, b"", None).unwrap();
    assert_eq!((replaces, &with[..]), (8, &b"\0\xff\xff\xff\xfe\x0a\0"[..]));
}

#[test]
fn a_message_that_cannot_be_read_says_why() {
    for (body, fault) in [
        (&b"\0\0\0\0\x03\x0a\x05a"[..], "longer than its message"),
        (b"\0\0\0\0\x01\x0a", "ends inside a field"),
        (b"\0\0\0\0\x02\x08\x01", "not length-delimited"),
        (b"\0\0\0\0\x02\x0b\x0c", "not length-delimited"),
        (b"\0\0\0\0\x02\x33\x34", "wire type"),
        (b"\0\0\0\0\x02\x18\x01", "not length-delimited"),
        (b"\0\0\0\0\x04\x2a\x02\x0a\x01", "longer than its message"),
        (b"\0\0\0\0\x04\x2a\x02\x1a\x80", "ends inside a field"),
        (b"\0\0\0\0\x02\x00\x00", "number 0"),
        (b"\0\0\0\0\x0a\x0a\x01a\x8a\x80\x80\x80\x70\x01b", "32 bits"),
        (b"\0\0\0\0\x12\x0a\0\x0a\0\x0a\0\x0a\0\x0a\0\x0a\0\x0a\0\x0a\0\x0a\0", "too often"),
        (b"\0\0\0\0\x0c\x48\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "64 bits"),
    ] {
        match read_grpc(body, &[], endless()).0 {
            Progress::Malformed(text) => assert!(text.contains(fault), "{text}"),
            other => panic!("{fault}: {other:?}"),
        }
    }
    assert_eq!(read_grpc(b"\x01\0\0\0\x03\x0a\x01a", &[], endless()).0, Progress::Compressed);
    assert_eq!(read_grpc(b"\0\0\0\0\0", &[], endless()).0, Progress::Done);
    assert_eq!(read_grpc(b"\0\0\0\0\x03\x0a\x01", &[], endless()).0, Progress::More);
}

#[test]
fn a_shape_may_be_packed_or_not() {
    for shape in [&b"\x1a\x03\x01\xac\x02"[..], b"\x18\x01\x18\xac\x02", b"\x18\x01\x1a\x02\xac\x02"] {
        let input = [&b"\x0a\x01x\x12\x04FP32"[..], shape].concat();
        let message = [&[0x0a, 1, b'm', 0x2a, input.len() as u8], &input[..]].concat();
        let (_, reader) = read_grpc(&framed(&message), &[], endless());
        let expected = Input { name: b"x".to_vec(), datatype: b"FP32".to_vec(), shape: vec![1, 300] };
        assert_eq!(reader.message().inputs, [expected]);
    }
}

#[test]
fn the_elements_of_the_last_input_are_not_waited_for() {
    let contents = Some(Contents { fp32_contents: vec![0.5; 10_000], ..Contents::default() });
    let tensor = Tensor { name: "x".into(), shape: vec![10, 1000], contents, ..Tensor::default() };
    let message = Request { model_name: "m".into(), inputs: vec![tensor.clone()], ..Default::default() };
    let body = framed(&message.encode_to_vec());
    let mut needs = Needs::INPUTS;
    needs.insert_all(Needs::ENCODING);
    let (_, reader) = read_grpc(&body[..100], &[], needs);
    assert!(reader.message().found().contains(needs));
    assert_eq!(reader.message().inputs, [tensor.expected()]);
}

#[test]
fn inputs_beyond_the_most_that_are_kept_are_left_out() {
    let message = Request {
        model_name: "m".into(),
        inputs: vec![Tensor { name: "x".into(), ..Tensor::default() }; 70],
        ..Default::default()
    };
    let (_, reader) = read_grpc(&framed(&message.encode_to_vec()), &[], endless());
    assert_eq!(reader.message().inputs.len(), crate::message::MOST_INPUTS);
}
