use super::*;
use half::f16;
use proptest::prelude::*;
use serde_json::Value;

fn read<T: Element>(text: &str, dialect: Dialect) -> Result<(Vec<T>, Nesting), String> {
    let body = Bytes::copy_from_slice(text.as_bytes());
    let source = Source { member: "data", expected: "a value", dialect, body: &body, capacity: 0 };
    let mut deserializer = serde_json::Deserializer::from_slice(&body);
    let read = Array::<T>::new(source).deserialize(&mut deserializer).map_err(|error| error.to_string())?;
    deserializer.end().map_err(|error| error.to_string())?;
    Ok(read)
}

fn values<T: Element>(text: &str) -> Result<Vec<T>, String> {
    read(text, Dialect::Data).map(|(values, _)| values)
}

/// The same, by building the tree first.
fn flattened(value: &Value, leaves: &mut Vec<f64>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| flattened(item, leaves)),
        leaf => leaves.push(leaf.as_f64().unwrap()),
    }
}

/// A regular array of arrays, and its lengths by depth.
fn regular() -> impl Strategy<Value = (Value, Vec<usize>)> {
    prop::collection::vec(1_usize..4, 1..4).prop_flat_map(|lengths| {
        let count = lengths.iter().product::<usize>();
        let leaves = prop::collection::vec(any::<f64>().prop_filter("JSON has these", |leaf| leaf.is_finite()), count);
        leaves.prop_map(move |leaves| (nest(&leaves, &lengths), lengths.clone()))
    })
}

fn nest(leaves: &[f64], lengths: &[usize]) -> Value {
    match lengths {
        [] | [_] => Value::from(leaves.to_vec()),
        [length, inner @ ..] => leaves.chunks(leaves.len() / length).map(|part| nest(part, inner)).collect(),
    }
}

proptest! {
    #[test]
    fn nested_numbers_come_out_as_from_a_tree((value, lengths) in regular()) {
        let mut expected = Vec::new();
        flattened(&value, &mut expected);
        let (values, nesting) = read::<f64>(&value.to_string(), Dialect::Data).unwrap();
        prop_assert_eq!(&values, &expected);
        prop_assert_eq!(nesting.lengths(), lengths.clone());
        prop_assert!(nesting.follows(&lengths));
        let singles = read::<f32>(&value.to_string(), Dialect::Data);
        if expected.iter().all(|&leaf| (leaf as f32).is_finite()) {
            let narrowed: Vec<f32> = expected.iter().map(|&leaf| leaf as f32).collect();
            prop_assert_eq!(singles.unwrap().0, narrowed);
        } else {
            prop_assert!(singles.is_err());
        }
    }

    #[test]
    fn any_text_is_read_or_refused_as_a_tree_is(text in "[\\[\\],0-9.e\\-\" a]{0,24}") {
        let tree = serde_json::from_str::<Value>(&text);
        match read::<f64>(&text, Dialect::Data) {
            Ok((values, _)) => {
                let mut expected = Vec::new();
                flattened(&tree.unwrap(), &mut expected);
                prop_assert_eq!(values, expected);
            }
            Err(_) => {
                let is_flat_numbers = tree.is_ok_and(|tree| {
                    tree.as_array().is_some_and(|items| items.iter().all(Value::is_number))
                });
                prop_assert!(!is_flat_numbers);
            }
        }
    }

    #[test]
    fn integers_are_exact_or_refused(value in any::<i128>()) {
        let text = format!("[{value}]");
        prop_assert_eq!(values::<i64>(&text).ok(), i64::try_from(value).ok().map(|value| vec![value]));
        prop_assert_eq!(values::<u64>(&text).ok(), u64::try_from(value).ok().map(|value| vec![value]));
        let small = i64::try_from(value % 70_000).unwrap();
        let text = format!("[{small}]");
        prop_assert_eq!(values::<i16>(&text).ok(), i16::try_from(small).ok().map(|value| vec![value]));
        prop_assert_eq!(values::<u8>(&text).ok(), u8::try_from(small).ok().map(|value| vec![value]));
    }

    #[test]
    fn texts_keep_every_character(texts in prop::collection::vec(any::<String>(), 0..8)) {
        let body = serde_json::to_string(&texts).unwrap();
        let expected: Vec<Bytes> = texts.into_iter().map(Bytes::from).collect();
        prop_assert_eq!(values::<Bytes>(&body).unwrap(), expected);
    }
}

#[test]
fn a_fraction_is_no_integer_and_a_whole_float_is_one() {
    assert_eq!(values::<i32>("[8.0, 1e2, -3]").unwrap(), [8, 100, -3]);
    assert_eq!(values::<i32>("[1, 0.5]").unwrap_err(), "data[1]: expected a value, got 0.5 at line 1 column 7");
}

#[test]
fn what_a_datatype_cannot_hold_is_refused() {
    assert!(values::<u8>("[256]").is_err());
    assert!(values::<u8>("[-1]").is_err());
    assert!(values::<f32>("[1e39]").is_err());
    assert!(values::<f16>("[65536]").is_err());
    assert!(values::<f32>("[null]").is_err());
    assert!(values::<f32>("[\"1.5\"]").is_err());
    assert!(values::<f32>("[true]").is_err());
    assert!(values::<bool>("[2]").is_err());
    assert!(values::<bool>("[\"true\"]").is_err());
    assert!(values::<Bytes>("[5]").is_err());
    assert!(values::<i64>("[{}]").is_err());
}

#[test]
fn booleans_may_be_numbers() {
    assert_eq!(values::<bool>("[true, false, 1, 0]").unwrap(), [true, false, true, false]);
}

#[test]
fn half_precision_takes_the_nearest_value() {
    assert_eq!(values::<f16>("[0.1, 65504]").unwrap(), [f16::from_f32(0.1), f16::MAX]);
}

#[test]
fn numbers_in_strings_are_for_the_protobuf_dialect() {
    let read = |text: &str| read::<f64>(text, Dialect::Contents).map(|(values, _)| values);
    assert_eq!(read("[\"1.5\", \"-2\", 3, \"1e3\"]").unwrap(), [1.5, -2.0, 3.0, 1000.0]);
    assert_eq!(read("[\"Infinity\", \"-Infinity\"]").unwrap(), [f64::INFINITY, f64::NEG_INFINITY]);
    assert!(read("[\"NaN\"]").unwrap()[0].is_nan());
    for refused in ["inf", "nan", " 1", "", "-", "0x1", "1e999"] {
        assert!(read(&format!("[\"{refused}\"]")).is_err(), "{refused}");
    }
}

#[test]
fn integers_in_strings_keep_all_64_bits() {
    let (values, _) = read::<u64>("[\"18446744073709551615\"]", Dialect::Contents).unwrap();
    assert_eq!(values, [u64::MAX]);
    let (values, _) = read::<i64>("[\"-9223372036854775808\"]", Dialect::Contents).unwrap();
    assert_eq!(values, [i64::MIN]);
}

#[test]
fn bytes_are_base64_in_the_protobuf_dialect_in_either_alphabet() {
    let read = |text: &str| read::<Bytes>(text, Dialect::Contents).map(|(values, _)| values);
    assert_eq!(read("[\"+/8=\", \"-_8\", \"\"]").unwrap(), [b"\xfb\xff".as_slice(), b"\xfb\xff", b""]);
    assert!(read("[\"no base64!\"]").is_err());
}

#[test]
fn texts_without_escapes_share_the_body() {
    let body = Bytes::from_static(b"[\"plain\", \"esc\\u0000aped\"]");
    let source = Source { member: "data", expected: "BYTES", dialect: Dialect::Data, body: &body, capacity: 0 };
    let mut deserializer = serde_json::Deserializer::from_slice(&body);
    let (values, _) = Array::<Bytes>::new(source).deserialize(&mut deserializer).unwrap();
    assert_eq!(values, [b"plain".as_slice(), b"esc\0aped"]);
    assert_eq!(values[0].as_ptr(), body[2..].as_ptr());
}

#[test]
fn rows_of_different_lengths_and_mixed_depths_are_refused() {
    for text in ["[[1,2],[3]]", "[[1],[]]", "[1,[2]]", "[[1],2]", "[[[1]],[2]]", "[[1],[[2]]]"] {
        assert!(values::<f32>(text).is_err(), "{text}");
    }
}

#[test]
fn empty_dimensions_follow_their_shapes() {
    let nesting = |text| read::<f32>(text, Dialect::Data).unwrap().1;
    assert!(nesting("[]").follows(&[0, 64]));
    assert!(nesting("[[],[]]").follows(&[2, 0]));
    assert!(nesting("[[],[]]").follows(&[2, 0, 5]));
    assert!(!nesting("[[],[]]").follows(&[3, 0]));
}

#[test]
fn a_nesting_that_contradicts_the_shape_is_seen() {
    let nesting = |text| read::<f32>(text, Dialect::Data).unwrap().1;
    assert!(nesting("[[1,2,3],[4,5,6]]").follows(&[2, 3]));
    assert!(!nesting("[[1,2,3],[4,5,6]]").follows(&[3, 2]));
    assert!(!nesting("[[1,2,3],[4,5,6]]").follows(&[6]));
    assert!(nesting("[1,2,3,4,5,6]").follows(&[3, 2]));
}

#[test]
fn nesting_too_deep_is_refused_and_does_not_end_the_stack() {
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert!(values::<f32>(&deep(DEEPEST)).is_ok());
    assert!(values::<f32>(&deep(DEEPEST + 1)).unwrap_err().contains("nested deeper than 32"));
    assert!(values::<f32>(&deep(100_000)).is_err());
}
