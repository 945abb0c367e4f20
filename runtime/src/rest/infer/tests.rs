use super::*;

fn shape(declared: &[i64], length: usize) -> Result<Vec<usize>, String> {
    raw_shape("x", DataType::Fp32, declared, length).map_err(|error| error.message().to_owned())
}

#[test]
fn a_free_dimension_takes_what_the_bytes_fill() {
    assert_eq!(shape(&[-1, 64], 512).unwrap(), [2, 64]);
    assert_eq!(shape(&[4, -1], 32).unwrap(), [4, 2]);
    assert_eq!(shape(&[4], 16).unwrap(), [4]);
}

#[test]
fn with_two_free_dimensions_the_first_is_a_batch_of_one() {
    assert_eq!(shape(&[-1, -1], 32).unwrap(), [1, 8]);
}

#[test]
fn shapes_without_one_answer_are_refused() {
    assert!(shape(&[-1, -1, -1], 32).unwrap_err().contains("3 free dimensions"));
    assert!(shape(&[4, -1, -1], 32).unwrap_err().contains("2 free dimensions"));
    assert!(shape(&[-1, 0], 32).unwrap_err().contains("no size"));
    assert!(shape(&[-1, i64::MAX, i64::MAX], 32).unwrap_err().contains("no size"));
}
