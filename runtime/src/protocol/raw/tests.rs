use super::*;
use proptest::prelude::*;

fn round_trip(data: &TensorData) {
    let mut raw = Vec::new();
    write(data, &mut raw);
    assert_eq!(raw.len(), size(data));
    let shape = [data.len()];
    assert_eq!(read("x", data.datatype(), &shape, raw.into()).unwrap(), *data);
}

proptest! {
    #[test]
    fn values_of_every_datatype_survive_the_round_trip(
        wide in prop::collection::vec(any::<u64>(), 0..40),
        texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..20),
    ) {
        round_trip(&TensorData::Bool(wide.iter().map(|value| value % 2 == 0).collect()));
        round_trip(&TensorData::Uint8(wide.iter().map(|&value| value as u8).collect()));
        round_trip(&TensorData::Uint16(wide.iter().map(|&value| value as u16).collect()));
        round_trip(&TensorData::Uint32(wide.iter().map(|&value| value as u32).collect()));
        round_trip(&TensorData::Uint64(wide.clone()));
        round_trip(&TensorData::Int8(wide.iter().map(|&value| value as i8).collect()));
        round_trip(&TensorData::Int16(wide.iter().map(|&value| value as i16).collect()));
        round_trip(&TensorData::Int32(wide.iter().map(|&value| value as i32).collect()));
        round_trip(&TensorData::Int64(wide.iter().map(|&value| value as i64).collect()));
        round_trip(&TensorData::Fp16(wide.iter().map(|&value| f16::from_f64(value as f64)).collect()));
        round_trip(&TensorData::Bf16(wide.iter().map(|&value| bf16::from_f64(value as f64)).collect()));
        round_trip(&TensorData::Fp32(wide.iter().map(|&value| value as f32).collect()));
        round_trip(&TensorData::Fp64(wide.iter().map(|&value| value as f64).collect()));
        round_trip(&TensorData::Bytes(texts.into_iter().map(Bytes::from).collect()));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(raw in prop::collection::vec(any::<u8>(), 0..64), rows in 0_usize..9) {
        for datatype in DataType::ALL {
            let _ = read("x", datatype, &[rows, 2], Bytes::from(raw.clone()));
        }
    }
}

#[test]
fn values_are_little_endian_and_elements_have_their_length_before_them() {
    let mut raw = Vec::new();
    write(&TensorData::Int32(vec![1, -2]), &mut raw);
    write(&TensorData::Bytes(vec![Bytes::from_static(b"ab"), Bytes::new()]), &mut raw);
    assert_eq!(raw, b"\x01\0\0\0\xfe\xff\xff\xff\x02\0\0\0ab\0\0\0\0");
}

#[test]
fn a_wrong_number_of_bytes_is_refused_with_both_numbers() {
    let error = read("x", DataType::Fp32, &[1, 64], Bytes::from(vec![0; 255])).unwrap_err();
    assert_eq!(error.message(), "input 'x': FP32 of shape [1, 64] needs 256 raw bytes, got 255");
}

#[test]
fn elements_that_end_early_or_leave_bytes_are_refused() {
    let cases: [(&'static [u8], &str); 3] = [
        (b"\x05\0\0\0ab", "says 5 bytes, 2 are left"),
        (b"\x01\0\0\0a\x01\0", "end before BYTES element 1 of 2"),
        (b"\0\0\0\0\0\0\0\0x", "1 raw bytes are left after 2"),
    ];
    for (raw, text) in cases {
        let error = read("x", DataType::Bytes, &[2], Bytes::from_static(raw)).unwrap_err();
        assert!(error.message().contains(text), "{error}");
    }
}

#[test]
fn a_shape_too_large_to_count_is_refused() {
    assert!(read("x", DataType::Fp32, &[usize::MAX, 2], Bytes::new()).is_err());
    assert!(read("x", DataType::Fp64, &[usize::MAX / 2], Bytes::new()).is_err());
    assert!(read("x", DataType::Bytes, &[usize::MAX], Bytes::new()).is_err());
}
