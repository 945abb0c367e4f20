//! Files that are cut, changed, inconsistent or hostile: an error each, never a panic, a hang or much memory.

use std::time::{Duration, Instant};

use super::fixtures::data;
use crate::formats::sklearn::Svc;

fn error_of(file: &[u8]) -> String {
    Svc::from_bytes(file).err().map(|error| error.to_string()).unwrap_or_default()
}

/// Marsaglia's xorshift64: the same numbers on every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % u64::try_from(limit).unwrap()) as usize
    }
}

/// Small files of each way to write one.
fn small_files() -> Vec<(&'static str, Vec<u8>)> {
    let names = [
        "encodings/iris-protocol2.pkl",
        "encodings/iris-protocol5.pkl",
        "encodings/iris-protocol4-plain.joblib",
        "encodings/iris-protocol4-zlib.joblib",
        "encodings/iris-protocol4-gzip.joblib",
        "labels/object.joblib",
        "releases/sklearn-0.20.4-python3.7-two.joblib",
    ];
    names.into_iter().map(|name| (name, data(name))).collect()
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    for (name, file) in small_files() {
        for length in 0..file.len() {
            assert!(Svc::from_bytes(&file[..length]).is_err(), "{name} cut to {length} bytes");
        }
        assert!(Svc::from_bytes(&file).is_ok(), "{name}");
    }
}

#[test]
fn a_large_file_cut_at_every_thousandth_byte_is_refused() {
    let file = data("digits/rbf.joblib");
    for length in (0..file.len()).step_by(1000) {
        assert!(Svc::from_bytes(&file[..length]).is_err(), "cut to {length} bytes");
    }
}

#[test]
fn a_file_with_any_byte_changed_is_read_or_refused() {
    for (name, file) in small_files() {
        for position in 0..file.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut changed = file.clone();
                changed[position] ^= change;
                use_model(&changed, name);
            }
        }
    }
}

#[test]
fn a_file_with_many_changes_is_read_or_refused() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for (name, file) in small_files() {
        for _ in 0..3000 {
            let mut changed = file.clone();
            for _ in 0..=numbers.below(8) {
                let position = numbers.below(changed.len());
                match numbers.below(4) {
                    0 => changed[position] = numbers.next() as u8,
                    1 => {
                        changed.remove(position);
                    }
                    2 => changed.insert(position, numbers.next() as u8),
                    _ => {
                        let from = numbers.below(changed.len());
                        let length = numbers.below(40).min(changed.len() - from.max(position));
                        changed.copy_within(from..from + length, position);
                    }
                }
            }
            use_model(&changed, name);
        }
    }
}

#[test]
fn bytes_that_are_no_pickle_are_refused_with_what_was_expected() {
    let mut numbers = Numbers(7);
    for length in [0, 1, 2, 100, 100_000] {
        let noise: Vec<u8> = (0..length).map(|_| (numbers.next() & 0x3f) as u8 | 0x80).collect();
        let error = error_of(&noise);
        assert!(error.starts_with("no pickle of protocol 2 to 5 at byte 0: starts with ["), "{error}");
    }
}

/// If the changed file still reads as a model, that model must be sound enough to answer.
fn use_model(file: &[u8], name: &str) {
    let Ok(svc) = Svc::from_bytes(file) else { return };
    let row = vec![0.5; svc.features()];
    assert!(svc.predict(&row).is_ok(), "{name}");
    assert!(svc.decision_function(&row).is_ok(), "{name}");
}

#[test]
fn lengths_beyond_the_file_are_refused_before_anything_is_allocated() {
    let huge = u64::MAX.to_le_bytes();
    for (code, length) in
        [(0x8d, &huge[..]), (0x8e, &huge), (0x96, &huge), (b'X', &huge[..4]), (b'B', &huge[..4]), (0x8b, &huge[..4])]
    {
        let file = [&[0x80, 4, code], length, b"abc."].concat();
        let error = error_of(&file);
        assert!(error.contains("bytes expected at byte") && error.ends_with("4 are left"), "{code:#x}: {error}");
    }
}

#[test]
fn an_array_larger_than_the_file_is_refused() {
    let file = data("releases/sklearn-0.20.4-python3.7-two.joblib");
    // The shape (rows, columns) of the support vectors: two BININT1 and TUPLE2.
    let wrapper = file.windows(16).position(|bytes| bytes == b"support_vectors_").unwrap();
    let shape = wrapper
        + file[wrapper..]
            .windows(6)
            .position(|bytes| bytes[0] == b'K' && bytes[2] == b'K' && bytes[4] == 0x86)
            .unwrap();
    let huge = [&file[..shape], b"J\xff\xff\xff\x7f", b"J\xff\xff\xff\x7f", &file[shape + 4..]].concat();
    let error = error_of(&huge);
    assert!(error.contains("bytes expected at byte"), "{error}");
}

#[test]
fn deep_nesting_is_harmless() {
    let start = Instant::now();
    for nest in [
        // ((((…)))) by tuples, which closes itself a million times.
        [&[0x80, 4, b')'], &vec![0x85; 1_000_000][..], b"."].concat(),
        // [[[[…]]]] by lists that are appended to each other.
        [&[0x80, 4], &vec![b']'; 1_000_000][..], &vec![b'a'; 999_999], b"."].concat(),
    ] {
        let error = error_of(&nest);
        assert!(error.starts_with("the file holds a "), "{error}");
    }
    let marks = [&[0x80, 4], &vec![b'('; 10_000_000][..], b"."].concat();
    assert!(error_of(&marks).contains("nests deeper than 65536"));
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn shared_and_circular_values_are_harmless() {
    // A list of ten times the list before, sixty deep: 10^60 leaves if it were unfolded.
    let mut laughs = vec![0x80, 4, b']', b'q', 0];
    for level in 0..60 {
        laughs.extend([b']', b'q', level + 1, b'(']);
        laughs.extend([b'h', level].repeat(10));
        laughs.push(b'e');
    }
    laughs.push(b'.');
    assert!(error_of(&laughs).starts_with("the file holds a list"));
    // A list that holds itself, a dict that is its own value.
    assert!(error_of(b"\x80\x04]q\x00h\x00a.").starts_with("the file holds a list"));
    assert!(error_of(b"\x80\x04}q\x00X\x01\x00\x00\x00ah\x00s.").starts_with("the file holds a dict"));
    // An SVC that is its own state, and every one of its attributes.
    let circular = b"\x80\x04csklearn.svm._classes\nSVC\n)\x81q\x00h\x00b.";
    assert!(error_of(circular).contains("not fitted"));
    let attributes = b"\x80\x04csklearn.svm._classes\nSVC\n)\x81q\x00}X\x10\x00\x00\x00support_vectors_h\x00sb.";
    assert!(error_of(attributes).contains("was fitted on a sparse matrix"), "{}", error_of(attributes));
}

#[test]
fn more_values_than_a_model_has_are_refused() {
    let start = Instant::now();
    let many = [&[0x80, 4], &b"]0".repeat(5_000_000)[..], b"."].concat();
    assert!(error_of(&many).contains("more than 4000000 values"));
    let stack = [&[0x80, 4, b'N'], &vec![b'2'; 3_000_000][..], b"."].concat();
    assert!(error_of(&stack).contains("stack is deeper than 2000000"));
    let steps = [&[0x80, 4, b'N'], &b"20".repeat(17_000_000)[..], b"."].concat();
    assert!(error_of(&steps).contains("more than 32000000 instructions"));
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_bomb_of_zeros_stops_at_the_ratio_that_is_accepted() {
    let bomb = {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        let zeros = vec![0; 1 << 20];
        for _ in 0..300 {
            std::io::Write::write_all(&mut encoder, &zeros).unwrap();
        }
        encoder.finish().unwrap()
    };
    assert!(bomb.len() < 1 << 20);
    let error = error_of(&bomb);
    assert!(error.starts_with("inflates to more than ") && error.ends_with("save it uncompressed"), "{error}");
}

#[test]
fn a_text_that_many_objects_share_is_not_copied_for_each() {
    // An object array of 200 kB × 20,000 places that are all the same text: 4 GB if each were a copy.
    let file = data("labels/object.joblib");
    let text = vec![b'x'; 200_000];
    let inner = file.windows(9).position(|bytes| bytes == b"\x8c\x06setosa\x94").unwrap();
    let memo = [&[0x8d], &200_000_u64.to_le_bytes()[..], &text, &file[inner + 8..inner + 9]].concat();
    let changed = [&file[..inner], &memo, &file[inner + 9..]].concat();
    assert!(Svc::from_bytes(&changed).is_ok(), "{}", error_of(&changed));
    // Behind the first text the same one from the stack, and the shape (3,) of the nested pickle made to fit.
    let places = [&memo[..], &[b'2'; 20_000]].concat();
    let changed = [&file[..inner], &places, &file[inner + 9..]].concat();
    assert!(error_of(&changed).contains("does not fit the 20003 objects"), "{}", error_of(&changed));
    let shape = file[..inner].windows(5).rposition(|bytes| bytes == b"K\x01K\x03\x85").unwrap();
    let changed =
        [&file[..shape], b"K\x01M\x23\x4e\x85", &file[shape + 5..inner], &places, &file[inner + 9..]].concat();
    assert_eq!(error_of(&changed), "SVC: 'classes_' holds more than 67108864 bytes of text");
}

#[test]
fn attributes_that_do_not_fit_each_other_are_refused_by_name() {
    for (file, text) in [
        ("support-vectors-flat", "SVC: 'support_vectors_' has the shape [12], expected two dimensions"),
        (
            "support-vectors-empty",
            "SVC: 'support_vectors_' has the shape [0, 2], expected at least one vector of one feature",
        ),
        ("support-vectors-nan", "SVC: 'support_vectors_' holds NaN, expected finite numbers"),
        ("support-vectors-text", "SVC: 'support_vectors_' holds no numbers"),
        (
            "support-vectors-complex",
            "SVC: 'support_vectors_' has a dtype (Other, 16 bytes) that this reader does not know",
        ),
        ("support-vectors-list", "SVC: 'support_vectors_' is a list, expected an array"),
        ("features", "SVC: 'n_features_in_' is 3, and 'support_vectors_' has 2 columns"),
        ("counts-sum", "SVC: '_n_support' sums to 13, and 'support_vectors_' has 6 rows"),
        ("counts-negative", "SVC: '_n_support' holds -1, which is no count"),
        ("counts-shape", "SVC: '_n_support' has the shape [2], expected [3], one count a class"),
        ("counts-missing", "SVC: there is no attribute '_n_support' or 'n_support_'"),
        ("coefficients-shape", "SVC: '_dual_coef_' has the shape [1, 6], expected [2, 6]"),
        ("coefficients-infinite", "SVC: '_dual_coef_' holds inf, expected finite numbers"),
        (
            "intercepts-shape",
            "SVC: '_intercept_' has the shape [2], expected [3], one value for each pair of 3 classes",
        ),
        ("classes-one", "SVC: 'classes_' has the shape [1], expected one dimension with two classes or more"),
        (
            "classes-mixed",
            "SVC: 'classes_' is an object array with an integer, expected all texts or all numbers of one type",
        ),
        ("gamma-nan", "SVC: '_gamma' is NaN, expected a finite number"),
        ("gamma-text", "SVC: '_gamma' is a text, expected a finite number"),
        ("kernel-unknown", "the SVC has the kernel 'chi2', served are 'rbf', 'linear', 'poly' and 'sigmoid'"),
        ("degree-fraction", "SVC: 'degree' is 2.5, expected an integer of 0 or more"),
        ("shape-unknown", "SVC: 'decision_function_shape' is ovx, expected 'ovr' or 'ovo'"),
        (
            "ties-of-pairs",
            "SVC: 'break_ties' must be False when 'decision_function_shape' is 'ovo', as scikit-learn says",
        ),
        ("sigmoids-shape", "SVC: '_probA' has the shape [1], expected [3]"),
    ] {
        assert_eq!(error_of(&data(&format!("inconsistent/{file}.pkl"))), text, "{file}");
    }
}
