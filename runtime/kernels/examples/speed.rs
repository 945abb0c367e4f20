//! What a multiplication takes on this machine: `cargo run --release -p modelway-kernels --example speed`.
//!
//! The least of many repeats, since other programs run beside it; for one thread also the mean of the
//! time that it had a processor (from Linux), which other programs change less. GB/s are of packed
//! weights, read once a call. Arguments: shapes as `inputs x outputs` without blanks (default: those of bloomz-560m).

#![allow(clippy::print_stdout, clippy::expect_used, reason = "a program for people to look at")]

use modelway_kernels::{Instructions, Matrix, Precision};
use std::time::{Duration, Instant};

const ROWS: [usize; 7] = [1, 2, 4, 8, 16, 51, 408];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let shapes: Vec<(usize, usize)> = if arguments.is_empty() {
        vec![(1024, 4096), (4096, 1024), (1024, 3072), (1024, 250_880)]
    } else {
        let parse = |text: &String| {
            let (inputs, outputs) = text.split_once('x')?;
            Some((inputs.parse().ok()?, outputs.parse().ok()?))
        };
        arguments.iter().filter_map(parse).collect()
    };
    println!("{:?}", Instructions::best());
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        for &(inputs, outputs) in &shapes {
            for precision in [Precision::F32, Precision::F16, Precision::Bf16, Precision::Int8] {
                let matrix = Matrix::pack(outputs, inputs, precision, |row, values| {
                    for (index, value) in values.iter_mut().enumerate() {
                        *value = noise(row * inputs + index) * 0.05;
                    }
                })
                .expect("finite weights");
                for rows in ROWS {
                    if outputs > 100_000 && rows > 51 {
                        continue;
                    }
                    let input: Vec<f32> = (0..rows * inputs).map(noise).collect();
                    let mut output = vec![0.0; rows * outputs];
                    let (least, mean) = pool.install(|| {
                        measure(|| matrix.multiply(&input, rows, None, &mut output).expect("right shapes"))
                    });
                    let seconds = if threads == 1 { least.min(mean) } else { least }.as_secs_f64();
                    println!(
                        "{threads} threads {inputs}x{outputs} {precision:?} {rows} rows: {:.3} ms, {:.1} GB/s, {:.0} GFLOP/s",
                        seconds * 1e3,
                        matrix.size_bytes() as f64 / seconds / 1e9,
                        2.0 * (rows * inputs * outputs) as f64 / seconds / 1e9,
                    );
                }
            }
        }
    }
}

/// In -1.0..1.0, from a number's bits.
fn noise(index: usize) -> f32 {
    let mixed = (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) as f32 / (1 << 23) as f32 - 1.0
}

/// The least time of a call, and the mean of the processor's time: of at least ten calls, and half a
/// second's worth.
fn measure(mut call: impl FnMut()) -> (Duration, Duration) {
    call();
    let start = Instant::now();
    let processor = processor_time();
    let mut least = Duration::MAX;
    let mut repeats = 0;
    while repeats < 10 || start.elapsed() < Duration::from_millis(400) {
        let before = Instant::now();
        call();
        least = least.min(before.elapsed());
        repeats += 1;
    }
    let mean = processor_time().zip(processor).map_or(Duration::MAX, |(after, before)| (after - before) / repeats);
    (least, mean)
}

/// How long this thread has had a processor.
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
}
