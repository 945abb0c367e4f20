// What helps a test may fail it.
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use super::*;

thread_local! {
    /// Bytes that this thread has allocated and not freed.
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

fn count(bytes: usize, sign: isize) {
    BYTES.set(BYTES.get() + sign * bytes.cast_signed());
}

// SAFETY: every call goes to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn labeller() -> Labeller {
    Labeller::new(Rules::parse(include_str!("../../models/tickets-v1.labels")).unwrap())
}

fn request(input: Tensor) -> InferRequest {
    InferRequest { inputs: vec![input], ..InferRequest::default() }
}

fn texts_of(texts: &[&'static [u8]]) -> TensorData {
    TensorData::Bytes(texts.iter().map(|text| Bytes::from_static(text)).collect())
}

fn error(shape: Vec<usize>, data: TensorData) -> String {
    labeller().predict(&request(Tensor::new("text", shape, data).unwrap())).unwrap_err().to_string()
}

#[test]
fn every_text_of_a_batch_gets_a_label_and_a_score() {
    for shape in [vec![2], vec![2, 1]] {
        let texts = Tensor::new("any", shape, texts_of(&[b"where is my parcel", b"hello"])).unwrap();
        let (outputs, _) = labeller().predict(&request(texts)).unwrap();
        let [label, score] = outputs.as_slice() else { panic!("{outputs:?}") };
        assert_eq!((label.shape(), score.shape()), ([2, 1].as_slice(), [2, 1].as_slice()));
        assert_eq!(label.data(), &texts_of(&[b"shipping", b"other"]));
        assert_eq!(score.data(), &TensorData::Fp32(vec![1.0, 0.0]));
    }
}

#[test]
fn a_request_that_is_no_batch_of_texts_is_told_what_is_expected() {
    assert_eq!(error(vec![1], TensorData::Fp32(vec![1.0])), "input 'text': expected BYTES, got FP32");
    assert_eq!(error(vec![1, 2], texts_of(&[b"a", b"b"])), "input 'text': expected shape [n] or [n, 1], got [1, 2]");
    assert!(error(vec![2], texts_of(&[b"a", b"\xff"])).starts_with("input 'text', text 1: not UTF-8"));
    let none = labeller().predict(&InferRequest::default()).unwrap_err();
    assert_eq!(none.to_string(), "expected one input, the texts, got 0");
}

#[test]
fn its_size_is_within_a_tenth_of_what_the_allocator_counts() {
    let before = BYTES.get();
    let labeller = Box::new(labeller());
    let counted = BYTES.get() - before;
    let told = isize::try_from(labeller.size_bytes()).unwrap();
    assert!((told - counted).abs() * 10 <= counted, "it says {told} bytes, the allocator {counted}");
}

#[test]
fn many_and_long_texts_leave_the_async_threads() {
    let texts = |count: usize, length: usize| {
        let data = TensorData::Bytes(vec![Bytes::from("a".repeat(length)); count]);
        request(Tensor::new("text", vec![count], data).unwrap())
    };
    assert!(labeller().is_quick(&texts(8, 200)));
    assert!(!labeller().is_quick(&texts(1, 100_000)));
    assert!(!labeller().is_quick(&texts(1000, 200)));
}
