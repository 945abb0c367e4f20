use super::int8::GROUP;
use super::*;
use crate::testing::noise;
use proptest::prelude::*;

const PRECISIONS: [Precision; 4] = [Precision::F32, Precision::F16, Precision::Bf16, Precision::Int8];

/// Weights and activations of a language model have outliers: some inputs are far greater than others.
fn outlier(index: usize) -> f32 {
    if index % 89 == 17 { 30.0 } else { 1.0 }
}

fn weights(outputs: usize, inputs: usize) -> Vec<f32> {
    (0..outputs * inputs).map(|index| 0.04 * noise(index) * (1.0 + outlier(index) / 10.0)).collect()
}

fn activations(rows: usize, inputs: usize) -> Vec<f32> {
    (0..rows * inputs).map(|index| noise(index + 1_000_003) * outlier(index % inputs.max(1))).collect()
}

fn packed(outputs: usize, inputs: usize, precision: Precision) -> Matrix {
    Matrix::pack_values(outputs, inputs, precision, Values::F32(&weights(outputs, inputs))).unwrap()
}

fn product(matrix: &Matrix, instructions: Instructions, input: &[f32], rows: usize, bias: Option<&[f32]>) -> Vec<f32> {
    let mut output = vec![f32::NAN; rows * matrix.outputs()];
    matrix.multiply_with(instructions, input, rows, bias, &mut output).unwrap();
    output
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// The sum in double precision, and that of the magnitudes, to which rounding errors are relative.
fn reference(weight: &[f32], input: &[f32]) -> (f64, f64) {
    let products = weight.iter().zip(input).map(|(weight, input)| f64::from(*weight) * f64::from(*input));
    products.fold((0.0, 0.0), |(sum, magnitude), product| (sum + product, magnitude + product.abs()))
}

/// What the 8-bit kernel makes of a row of activations.
fn rounded(row: &[f32]) -> Vec<f32> {
    let mut result = Vec::new();
    for group in row.chunks(GROUP) {
        let scale = group.iter().fold(0.0_f32, |greatest, value| greatest.max(value.abs())) / 127.0;
        result.extend(
            group.iter().map(|value| if scale == 0.0 { 0.0 } else { (value / scale).round_ties_even() * scale }),
        );
    }
    result
}

#[test]
fn a_product_is_that_of_the_kept_weights_in_double_precision_on_every_path() {
    for (outputs, inputs) in [(48, 144), (7, 320), (320, 7), (33, 1), (1, 65), (100, 1024), (64, 4096)] {
        let bias: Vec<f32> = (0..outputs).map(noise).collect();
        for precision in PRECISIONS {
            let matrix = packed(outputs, inputs, precision);
            let mut weight = vec![0.0; inputs];
            for rows in [1, 2, 5, 13, 29] {
                let input = activations(rows, inputs);
                for instructions in Instructions::available() {
                    let output = product(&matrix, instructions, &input, rows, Some(&bias));
                    for index in 0..outputs {
                        matrix.row(index, &mut weight).unwrap();
                        for row in 0..rows {
                            let mut values = input[row * inputs..(row + 1) * inputs].to_vec();
                            if precision == Precision::Int8 {
                                values = rounded(&values);
                            }
                            let (sum, magnitude) = reference(&weight, &values);
                            let error = (f64::from(output[row * outputs + index]) - sum - f64::from(bias[index])).abs();
                            // An activation half-way between two whole numbers may go either way.
                            let ties = if precision == Precision::Int8 { 2e-4 } else { 0.0 };
                            assert!(
                                error <= (1e-6 + ties) * magnitude + 1e-6,
                                "{instructions:?} {precision:?} {outputs} x {inputs}, {rows} rows: off by {error}"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn an_8_bit_product_is_close() {
    let (outputs, inputs, rows) = (64, 1024, 16);
    let (weight, input) = (weights(outputs, inputs), activations(rows, inputs));
    for instructions in Instructions::available() {
        let output = product(&packed(outputs, inputs, Precision::Int8), instructions, &input, rows, None);
        let (mut error, mut norm) = (0.0, 0.0);
        for row in 0..rows {
            for index in 0..outputs {
                let (sum, _) = reference(&weight[index * inputs..][..inputs], &input[row * inputs..][..inputs]);
                error += (f64::from(output[row * outputs + index]) - sum).powi(2);
                norm += sum * sum;
            }
        }
        let relative = (error / norm).sqrt();
        assert!(relative < 0.018, "{instructions:?}: {relative}");
    }
}

#[test]
fn eight_bit_products_do_not_saturate_at_the_extremes() {
    let inputs = 256;
    for (a, b) in [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)] {
        let matrix = Matrix::pack(40, inputs, Precision::Int8, |_, values| values.fill(a)).unwrap();
        for instructions in Instructions::available() {
            for rows in 1..=13 {
                for value in product(&matrix, instructions, &vec![b; rows * inputs], rows, None) {
                    assert!((value - a * b * inputs as f32).abs() < 1e-3, "{instructions:?} {value}");
                }
            }
        }
    }
}

#[test]
fn a_row_has_the_same_bits_alone_and_in_any_company() {
    for (outputs, inputs) in [(48, 144), (144, 48), (7, 320), (320, 7), (65, 600)] {
        let input = activations(70, inputs);
        for precision in PRECISIONS {
            let matrix = packed(outputs, inputs, precision);
            for instructions in Instructions::available() {
                let alone: Vec<u32> =
                    input.chunks(inputs).flat_map(|row| bits(&product(&matrix, instructions, row, 1, None))).collect();
                for rows in 1..=70 {
                    // Other rows and other positions for every size.
                    let first = (rows * 7) % (71 - rows);
                    let some = &input[first * inputs..(first + rows) * inputs];
                    let together = bits(&product(&matrix, instructions, some, rows, None));
                    let expected = &alone[first * outputs..(first + rows) * outputs];
                    assert!(together == expected, "{instructions:?} {precision:?} {outputs} x {inputs}, {rows} rows");
                }
            }
        }
    }
}

#[test]
fn a_row_of_a_long_prompt_has_the_same_bits_alone() {
    let (outputs, inputs, rows) = (1100, 300, 400);
    let input = activations(rows, inputs);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    for precision in PRECISIONS {
        let matrix = packed(outputs, inputs, precision);
        for instructions in Instructions::available() {
            let together = pool.install(|| product(&matrix, instructions, &input, rows, None));
            for row in (0..rows).step_by(19) {
                let alone = product(&matrix, instructions, &input[row * inputs..][..inputs], 1, None);
                let together = &together[row * outputs..][..outputs];
                assert!(bits(&alone) == bits(together), "{instructions:?} {precision:?}, row {row}");
            }
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let (outputs, inputs, rows) = (1000, 300, 37);
    let input = activations(rows, inputs);
    for precision in PRECISIONS {
        let matrix = packed(outputs, inputs, precision);
        let with_threads = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| bits(&product(&matrix, Instructions::best(), &input, rows, None)))
        };
        assert_eq!(with_threads(1), with_threads(3));
    }
}

#[test]
fn rows_come_back_as_they_were_packed() {
    let (outputs, inputs) = (70, 131);
    let weights = weights(outputs, inputs);
    let halves: Vec<f16> = weights.iter().map(|value| f16::from_f32(*value)).collect();
    let brains: Vec<bf16> = weights.iter().map(|value| bf16::from_f32(*value)).collect();
    let mut row = vec![0.0; inputs];
    let mut check = |matrix: &Matrix, expected: &dyn Fn(usize) -> f32, tolerance: f32| {
        for index in 0..outputs {
            matrix.row(index, &mut row).unwrap();
            for (column, value) in row.iter().enumerate() {
                let expected = expected(index * inputs + column);
                assert!((value - expected).abs() <= tolerance, "{matrix:?} {index} {column}: {value} {expected}");
            }
        }
    };
    let pack = |precision, values| Matrix::pack_values(outputs, inputs, precision, values).unwrap();
    check(&pack(Precision::F32, Values::F32(&weights)), &|index| weights[index], 0.0);
    check(&pack(Precision::F16, Values::F16(&halves)), &|index| halves[index].to_f32(), 0.0);
    check(&pack(Precision::F32, Values::F16(&halves)), &|index| halves[index].to_f32(), 0.0);
    check(&pack(Precision::Bf16, Values::Bf16(&brains)), &|index| brains[index].to_f32(), 0.0);
    check(&pack(Precision::Int8, Values::F32(&weights)), &|index| weights[index], 0.16 / 127.0 / 2.0 + 1e-6);
    let small = pack(Precision::Int8, Values::F32(&weights)).size_bytes();
    assert!(small < pack(Precision::F16, Values::F16(&halves)).size_bytes() * 6 / 10);
}

#[test]
fn what_does_not_fit_is_an_error_that_tells_where() {
    let error = Matrix::pack_values(3, 2, Precision::F16, Values::F32(&[0.0, 1.0, 2.0, 1e6, 0.0, 0.0])).unwrap_err();
    assert_eq!(error, PackError::Range { row: 1, precision: Precision::F16 });
    assert!(Matrix::pack_values(1, 1, Precision::Int8, Values::F32(&[f32::NAN])).is_err());
    assert!(Matrix::pack_values(1, 1, Precision::F32, Values::F32(&[f32::NAN])).is_ok());
    assert!(matches!(Matrix::pack_values(2, 2, Precision::F32, Values::F32(&[0.0; 3])), Err(PackError::Shape(_))));

    let matrix = packed(3, 2, Precision::F32);
    let error = matrix.multiply(&[0.0; 3], 2, None, &mut [0.0; 6]).unwrap_err();
    assert_eq!(error.to_string(), "values of the input (rows x inputs): expected 4, found 3");
    assert!(matrix.multiply(&[0.0; 4], 2, None, &mut [0.0; 5]).is_err());
    assert!(matrix.multiply(&[0.0; 4], 2, Some(&[0.0; 2]), &mut [0.0; 6]).is_err());
    assert!(matrix.row(3, &mut [0.0; 2]).is_err());
    assert!(matrix.row(0, &mut [0.0; 3]).is_err());
}

#[test]
fn nothing_times_something_is_nothing() {
    for precision in PRECISIONS {
        for instructions in Instructions::available() {
            assert!(product(&packed(0, 5, precision), instructions, &[0.0; 10], 2, None).is_empty());
            assert!(product(&packed(5, 4, precision), instructions, &[], 0, None).is_empty());
            let bias = [1.0, 2.0, 3.0];
            for rows in [1, 2, 14] {
                let output = product(&packed(3, 0, precision), instructions, &[], rows, Some(&bias));
                assert_eq!(output, bias.repeat(rows));
            }
            assert_eq!(product(&packed(3, 70, precision), instructions, &[0.0; 140], 2, None), [0.0; 6]);
        }
    }
}

#[test]
fn what_is_not_finite_stays_visible_in_its_row_and_in_no_other() {
    for precision in PRECISIONS {
        let matrix = packed(40, 130, precision);
        for instructions in Instructions::available() {
            for fault in [f32::NAN, f32::INFINITY] {
                let mut input = activations(3, 130);
                input[130 + 129] = fault;
                let output = product(&matrix, instructions, &input, 3, None);
                assert!(output[..40].iter().chain(&output[80..]).all(|value| value.is_finite()));
                assert!(output[40..80].iter().all(|value| !value.is_finite()), "{instructions:?} {precision:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_shape_is_invariant(outputs in 1_usize..200, inputs in 1_usize..300, rows in 1_usize..40, pick in 0_usize..40) {
        let pick = pick % rows;
        let input = activations(rows, inputs);
        for precision in PRECISIONS {
            let matrix = packed(outputs, inputs, precision);
            for instructions in Instructions::available() {
                let together = product(&matrix, instructions, &input, rows, None);
                let alone = product(&matrix, instructions, &input[pick * inputs..][..inputs], 1, None);
                prop_assert_eq!(bits(&alone), bits(&together[pick * outputs..][..outputs]));
            }
        }
    }
}
