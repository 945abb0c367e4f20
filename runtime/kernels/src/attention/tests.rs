use super::*;
use crate::testing::noise;
use proptest::prelude::*;

/// The shape of a layer, and what a text has before the new rows.
#[derive(Clone, Copy, Debug)]
struct Shape {
    heads: usize,
    kv_heads: usize,
    width: usize,
    alibi: bool,
    window: Option<usize>,
    cap: Option<f32>,
    both: bool,
    far: bool,
    precision: CachePrecision,
}

/// Queries, keys and values of all positions of a text.
struct Text {
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    length: usize,
}

impl Text {
    fn new(shape: Shape, length: usize, seed: usize) -> Self {
        let make = |count: usize, seed: usize, scale: f32| (0..count).map(|i| scale * noise(i + seed)).collect();
        let kv = length * shape.kv_heads * shape.width;
        // Halves are exact in both precisions of the cache, so that one reference serves both.
        let halves = |values: Vec<f32>| values.into_iter().map(|v| half::f16::from_f32(v).to_f32()).collect();
        Self {
            queries: make(length * shape.heads * shape.width, seed, 2.0),
            keys: halves(make(kv, seed + 7_000_003, 2.0)),
            values: halves(make(kv, seed + 9_000_011, 1.0)),
            length,
        }
    }

    fn cache(&self, shape: Shape, length: usize) -> Cache {
        let mut cache = Cache::new(shape.kv_heads, shape.width, shape.precision);
        self.append(shape, &mut cache, 0, length);
        cache
    }

    fn append(&self, shape: Shape, cache: &mut Cache, from: usize, to: usize) {
        let row = shape.kv_heads * shape.width;
        let heads = |values| Heads::contiguous(values, shape.kv_heads, shape.width);
        cache
            .append(to - from, heads(&self.keys[from * row..to * row]), heads(&self.values[from * row..to * row]))
            .unwrap();
    }

    fn queries(&self, shape: Shape, from: usize, to: usize) -> &[f32] {
        let row = shape.heads * shape.width;
        &self.queries[from * row..to * row]
    }

    /// What one head of one position attends to, in double precision.
    fn reference(&self, shape: Shape, position: usize, head: usize) -> Vec<f64> {
        let Shape { heads, kv_heads, width, .. } = shape;
        let kv_head = head / (heads / kv_heads);
        let query = &self.queries[(position * heads + head) * width..][..width];
        let reach = shape.window.unwrap_or(usize::MAX);
        let from = (position + 1).saturating_sub(reach);
        let to = if shape.both { position.saturating_add(reach).min(self.length) } else { position + 1 };
        let slope = if shape.alibi { f64::from(slopes(heads)[head]) } else { 0.0 };
        let scores: Vec<f64> = (from..to)
            .map(|at| {
                let key = &self.keys[(at * kv_heads + kv_head) * width..][..width];
                let dot: f64 = query.iter().zip(key).map(|(q, k)| f64::from(*q) * f64::from(*k)).sum();
                let score = dot * f64::from(scale(width));
                let capped = shape.cap.map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh());
                let place = (head * (2 * REACH - 1) + at + REACH - 1) - position;
                let distance = if shape.far { f64::from(distances(heads)[place]) } else { 0.0 };
                capped + slope * at as f64 + distance
            })
            .collect();
        let greatest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|score| (score - greatest).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut output = vec![0.0; width];
        for (at, weight) in (from..to).zip(weights) {
            let value = &self.values[(at * kv_heads + kv_head) * width..][..width];
            for (output, value) in output.iter_mut().zip(value) {
                *output += weight / total * f64::from(*value);
            }
        }
        output
    }
}

fn scale(width: usize) -> f32 {
    1.0 / (width as f32).sqrt()
}

fn slopes(heads: usize) -> Vec<f32> {
    (1..=heads).map(|head| 2.0_f32.powf(-8.0 * head as f32 / heads as f32)).collect()
}

/// What is said of distances, up to the longest text here.
const REACH: usize = 150;

fn distances(heads: usize) -> Vec<f32> {
    (0..heads * (2 * REACH - 1)).map(|index| 2.0 * noise(index + 5_000_011)).collect()
}

fn run(instructions: Instructions, shape: Shape, queries: &[f32], spans: &[Span<'_>]) -> Vec<f32> {
    let slopes = slopes(shape.heads);
    let distances = distances(shape.heads);
    let attention = Attention {
        heads: shape.heads,
        scale: scale(shape.width),
        slopes: shape.alibi.then_some(&slopes[..]),
        window: shape.window,
        cap: shape.cap,
        distances: shape.far.then_some(Distances { values: &distances, reach: REACH }),
        is_bidirectional: shape.both,
    };
    let mut output = vec![f32::NAN; queries.len()];
    let queries = Heads::contiguous(queries, shape.heads, shape.width);
    attend_with(instructions, &attention, queries, spans, &mut output).unwrap();
    output
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn shapes() -> Vec<Shape> {
    let precision = CachePrecision::F32;
    let base = Shape {
        heads: 4,
        kv_heads: 4,
        width: 64,
        alibi: true,
        window: None,
        cap: None,
        both: false,
        far: false,
        precision,
    };
    vec![
        base,
        Shape { precision: CachePrecision::F16, ..base },
        Shape { heads: 6, kv_heads: 2, width: 80, alibi: false, ..base },
        Shape { heads: 5, kv_heads: 1, width: 7, ..base },
        Shape { heads: 1, kv_heads: 1, width: 1, alibi: false, ..base },
        Shape { heads: 2, kv_heads: 2, width: 33, window: Some(5), ..base },
        Shape { window: Some(17), precision: CachePrecision::F16, ..base },
        Shape { heads: 6, kv_heads: 2, cap: Some(1.5), alibi: false, ..base },
        Shape { width: 20, window: Some(5), cap: Some(50.0), precision: CachePrecision::F16, ..base },
        Shape { heads: 6, kv_heads: 2, alibi: false, far: true, ..base },
        Shape { window: Some(17), far: true, ..base },
    ]
}

/// The same where queries see their whole text.
fn bidirectional_shapes() -> Vec<Shape> {
    shapes().into_iter().map(|shape| Shape { both: true, ..shape }).collect()
}

#[test]
fn attention_is_that_of_double_precision_on_every_path() {
    for shape in shapes().into_iter().chain(bidirectional_shapes()) {
        for (before, rows) in [(0, 1), (0, 51), (20, 1), (16, 16), (15, 40), (130, 3)] {
            let text = Text::new(shape, before + rows, 100 * before);
            let cache = text.cache(shape, text.length);
            for instructions in Instructions::available() {
                let queries = text.queries(shape, before, text.length);
                let output = run(instructions, shape, queries, &[Span { cache: &cache, rows }]);
                for (index, output) in output.chunks(shape.width).enumerate() {
                    let (row, head) = (index / shape.heads, index % shape.heads);
                    let expected = text.reference(shape, before + row, head);
                    for (output, expected) in output.iter().zip(expected) {
                        let error = (f64::from(*output) - expected).abs();
                        assert!(error < 3e-6, "{instructions:?} {shape:?} {before}+{rows}: off by {error}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_text_has_the_same_bits_alone_and_in_company_whole_and_step_by_step() {
    for shape in shapes() {
        let lengths = [1, 51, 16, 33, 70];
        let texts: Vec<Text> = lengths.iter().map(|length| Text::new(shape, *length, 1000 * length)).collect();
        for instructions in Instructions::available() {
            let mut alone = Vec::new();
            for text in &texts {
                let mut cache = text.cache(shape, 0);
                let mut stepwise = Vec::new();
                for position in 0..text.length {
                    text.append(shape, &mut cache, position, position + 1);
                    let queries = text.queries(shape, position, position + 1);
                    stepwise.extend(run(instructions, shape, queries, &[Span { cache: &cache, rows: 1 }]));
                }
                let whole = run(instructions, shape, &text.queries, &[Span { cache: &cache, rows: text.length }]);
                assert!(bits(&whole) == bits(&stepwise), "{instructions:?} {shape:?} {}", text.length);
                alone.extend(whole);
            }
            let caches: Vec<Cache> = texts.iter().map(|text| text.cache(shape, text.length)).collect();
            let spans: Vec<Span<'_>> = caches.iter().map(|cache| Span { cache, rows: cache.len() }).collect();
            let queries: Vec<f32> = texts.iter().flat_map(|text| text.queries.iter().copied()).collect();
            let together = run(instructions, shape, &queries, &spans);
            assert!(bits(&together) == bits(&alone), "{instructions:?} {shape:?}");
        }
    }
}

#[test]
fn a_text_that_is_seen_whole_has_the_same_bits_alone_in_company_and_query_by_query() {
    for shape in bidirectional_shapes() {
        let lengths = [70, 1, 16, 33, 51];
        let texts: Vec<Text> = lengths.iter().map(|length| Text::new(shape, *length, 1000 * length)).collect();
        let caches: Vec<Cache> = texts.iter().map(|text| text.cache(shape, text.length)).collect();
        let row = shape.heads * shape.width;
        for instructions in Instructions::available() {
            let mut alone = Vec::new();
            for (text, cache) in texts.iter().zip(&caches) {
                let whole = run(instructions, shape, &text.queries, &[Span { cache, rows: text.length }]);
                for position in 0..text.length {
                    // The new rows are the last ones, so a query by itself is the first of those from it on.
                    let rest = text.length - position;
                    let queries = text.queries(shape, position, text.length);
                    let from = run(instructions, shape, queries, &[Span { cache, rows: rest }]);
                    assert!(bits(&from[..row]) == bits(&whole[position * row..][..row]), "{instructions:?} {shape:?}");
                }
                alone.extend(whole);
            }
            let spans: Vec<Span<'_>> = caches.iter().map(|cache| Span { cache, rows: cache.len() }).collect();
            let queries: Vec<f32> = texts.iter().flat_map(|text| text.queries.iter().copied()).collect();
            let together = run(instructions, shape, &queries, &spans);
            assert!(bits(&together) == bits(&alone), "{instructions:?} {shape:?}");
        }
    }
}

#[test]
fn what_stands_behind_a_query_changes_it_only_where_it_is_seen() {
    for (both, is_changed) in [(false, false), (true, true)] {
        let shape = Shape { both, ..shapes()[0] };
        let (text, other) = (Text::new(shape, 40, 1), Text::new(shape, 40, 2));
        let first = |cache: &Cache| {
            let output = run(Instructions::best(), shape, &text.queries, &[Span { cache, rows: 40 }]);
            bits(&output[..20 * shape.heads * shape.width])
        };
        let mut changed = text.cache(shape, 20);
        other.append(shape, &mut changed, 20, 40);
        assert_eq!(first(&changed) != first(&text.cache(shape, 40)), is_changed);
    }
}

#[test]
fn queries_keys_and_values_are_read_where_a_fused_projection_has_them() {
    let shape = shapes()[0];
    let Shape { heads, width, .. } = shape;
    let text = Text::new(shape, 21, 5);
    let row = heads * width;
    // BLOOM's layout: for each head its query, its key and its value.
    let mut fused = Vec::new();
    for index in 0..21 * heads {
        for part in [&text.queries, &text.keys, &text.values] {
            fused.extend_from_slice(&part[index * width..][..width]);
        }
    }
    let part = |index: usize| Heads { values: &fused[index * width..], row_stride: 3 * row, head_stride: 3 * width };
    let mut cache = Cache::new(heads, width, shape.precision);
    cache.append(21, part(1), part(2)).unwrap();
    let slopes = slopes(heads);
    let attention = Attention {
        heads,
        scale: scale(width),
        slopes: Some(&slopes),
        window: None,
        cap: None,
        distances: None,
        is_bidirectional: false,
    };
    let mut output = vec![0.0; 21 * row];
    attend(&attention, part(0), &[Span { cache: &cache, rows: 21 }], &mut output).unwrap();
    let plain = text.cache(shape, 21);
    assert_eq!(output, run(Instructions::best(), shape, &text.queries, &[Span { cache: &plain, rows: 21 }]));
}

#[test]
fn a_clone_shares_what_it_begins_with_and_changes_nothing_in_it() {
    let shape = shapes()[0];
    let (first, second) = (Text::new(shape, 50, 1), Text::new(shape, 50, 2));
    let mut prefix = first.cache(shape, 20);
    let mut other = prefix.clone();
    second.append(shape, &mut other, 20, 40);
    first.append(shape, &mut prefix, 20, 50);
    let queries = first.queries(shape, 20, 50);
    let expected = first.cache(shape, 50);
    assert_eq!(
        run(Instructions::best(), shape, queries, &[Span { cache: &prefix, rows: 30 }]),
        run(Instructions::best(), shape, queries, &[Span { cache: &expected, rows: 30 }])
    );
    assert_eq!((prefix.len(), other.len()), (50, 40));
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let shape = shapes()[0];
    let text = Text::new(shape, 4, 1);
    let cache = text.cache(shape, 4);
    let row = shape.heads * shape.width;
    let attention = Attention {
        heads: 4,
        scale: 1.0,
        slopes: None,
        window: None,
        cap: None,
        distances: None,
        is_bidirectional: false,
    };
    let queries = Heads::contiguous(&text.queries, 4, 64);
    let span = Span { cache: &cache, rows: 4 };
    let mut output = vec![0.0; 8 * row];
    assert!(attend(&attention, queries, &[span], &mut output[..4 * row]).is_ok());
    assert!(attend(&attention, queries, &[span], &mut output[..3 * row]).is_err());
    assert!(attend(&attention, queries, &[Span { cache: &cache, rows: 5 }], &mut output[..5 * row]).is_err());
    assert!(attend(&attention, queries, &[span, span], &mut output).is_err(), "queries end too soon");
    assert!(attend(&Attention { heads: 6, ..attention }, queries, &[span], &mut output[..6 * row]).is_err());
    assert!(
        attend(&Attention { slopes: Some(&[1.0]), ..attention }, queries, &[span], &mut output[..4 * row]).is_err()
    );
    let distances = |values, reach| Attention { distances: Some(Distances { values, reach }), ..attention };
    assert!(attend(&distances(&[0.0; 28], 4), queries, &[span], &mut output[..4 * row]).is_ok());
    assert!(attend(&distances(&[0.0; 27], 4), queries, &[span], &mut output[..4 * row]).is_err());
    assert!(attend(&distances(&[0.0; 20], 3), queries, &[span], &mut output[..4 * row]).is_err());
    assert!(attend(&attention, queries, &[], &mut []).is_ok());
    assert!(attend(&attention, queries, &[Span { cache: &cache, rows: 0 }], &mut []).is_ok());
    let mut cache = Cache::new(4, 64, CachePrecision::F32);
    assert!(cache.append(5, queries, queries).is_err());
    assert!(cache.is_empty());
    let none = Cache::new(0, 64, CachePrecision::F32);
    assert!(attend(&attention, queries, &[Span { cache: &none, rows: 0 }], &mut []).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_of_a_text_gives_the_same_bits(
        kv_heads in 1_usize..4, group in 1_usize..4, width in 1_usize..70, length in 1_usize..90,
        cut in 0_usize..90, window in proptest::option::of(1_usize..40), alibi: bool, cap in proptest::option::of(1.0_f32..9.0),
    ) {
        let cut = cut % length;
        let shape = Shape { heads: kv_heads * group, kv_heads, width, alibi, window, cap, both: false, far: false, precision: CachePrecision::F32 };
        let text = Text::new(shape, length, 3);
        for instructions in Instructions::available() {
            let cache = text.cache(shape, length);
            let whole = run(instructions, shape, &text.queries, &[Span { cache: &cache, rows: length }]);
            let rest = run(instructions, shape, text.queries(shape, cut, length), &[Span { cache: &cache, rows: length - cut }]);
            prop_assert_eq!(bits(&whole[cut * shape.heads * width..]), bits(&rest));
        }
    }
}
