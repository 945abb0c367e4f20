//! The machine on programs written by hand.

use super::load;
use crate::formats::LoadError;
use crate::formats::sklearn::value::{Heap, Id, Value};

/// The result of a program in Python's notation, circles cut at a depth.
fn run(program: &[u8]) -> String {
    let file = [b"\x80\x04", program].concat();
    match load(&file) {
        Ok((heap, root)) => show(&heap, root, 0),
        Err(error) => error.to_string(),
    }
}

fn show(heap: &Heap<'_>, id: Id, depth: usize) -> String {
    if depth > 4 {
        return "…".into();
    }
    let list = |items: &[Id]| items.iter().map(|&item| show(heap, item, depth + 1)).collect::<Vec<_>>().join(", ");
    match heap.get(id) {
        Value::None => "None".into(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::BigInt => "big".into(),
        Value::Float(value) => value.to_string(),
        Value::Text(text) => format!("'{text}'"),
        Value::OwnedText(text) => format!("'{text}'"),
        Value::Bytes(_) | Value::ByteText(_) | Value::Latin1(_) => format!("b{:?}", heap.bytes(id).unwrap()),
        Value::Tuple(items) => format!("({})", list(items)),
        Value::List(items) => format!("[{}]", list(items)),
        Value::Set(items) => format!("{{{}}}", list(items)),
        Value::Dict(entries) => {
            let entry =
                |&(key, value): &(Id, Id)| format!("{}: {}", show(heap, key, depth + 1), show(heap, value, depth + 1));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        Value::Global(global) => global.to_string(),
        Value::Dtype(dtype) => format!("{:?}{}", dtype.kind, dtype.size),
        Value::Array(array) => format!("array{:?}", array.shape),
        Value::Object(object) => {
            let state = object.state.map(|state| show(heap, state, depth + 1)).unwrap_or_default();
            format!("{}({state})", object.class)
        }
    }
}

#[test]
fn scalars_of_every_encoding_have_their_value() {
    for (program, value) in [
        (&b"N."[..], "None"),
        (b"\x88.", "true"),
        (b"I01\n.", "true"),
        (b"I00\n.", "false"),
        (b"K\xff.", "255"),
        (b"M\x00\x01.", "256"),
        (b"J\xfe\xff\xff\xff.", "-2"),
        (b"I-7\n.", "-7"),
        (b"L12345678901L\n.", "12345678901"),
        (b"L123456789012345678901L\n.", "big"),
        (b"\x8a\x00.", "0"),
        (b"\x8a\x01\xff.", "-1"),
        (b"\x8a\x02\xff\x00.", "255"),
        (b"\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00.", "big"),
        (b"\x8b\x02\x00\x00\x00\x00\x01.", "256"),
        (b"G\x3f\xe0\x00\x00\x00\x00\x00\x00.", "0.5"),
        (b"F-1.5e3\n.", "-1500"),
        (b"\x8c\x02\xc3\xa9.", "'é'"),
        (b"X\x02\x00\x00\x00ab.", "'ab'"),
        (b"\x8d\x01\x00\x00\x00\x00\x00\x00\x00a.", "'a'"),
        (b"C\x01a.", "b[97]"),
        (b"B\x01\x00\x00\x00a.", "b[97]"),
        (b"\x8e\x01\x00\x00\x00\x00\x00\x00\x00a.", "b[97]"),
        (b"\x96\x01\x00\x00\x00\x00\x00\x00\x00a.", "b[97]"),
        (b"U\x01a.", "b[97]"),
        (b"T\x01\x00\x00\x00a.", "b[97]"),
    ] {
        assert_eq!(run(program), value, "{program:?}");
    }
}

#[test]
fn containers_are_filled_from_the_stack() {
    for (program, value) in [
        (&b")."[..], "()"),
        (b"K\x01\x85.", "(1)"),
        (b"K\x01K\x02\x86.", "(1, 2)"),
        (b"K\x01K\x02K\x03\x87.", "(1, 2, 3)"),
        (b"(K\x01K\x02K\x03K\x04t.", "(1, 2, 3, 4)"),
        (b"]K\x01a(K\x02K\x03e.", "[1, 2, 3]"),
        (b"(K\x01K\x02l.", "[1, 2]"),
        (b"}K\x01K\x02s(K\x03K\x04u.", "{1: 2, 3: 4}"),
        (b"(K\x01K\x02d.", "{1: 2}"),
        (b"\x8f(K\x01K\x02\x90.", "{1, 2}"),
        (b"(K\x01\x91.", "{1}"),
        (b"K\x01K\x020.", "1"),
        (b"K\x01(K\x02K\x031.", "1"),
        (b"K\x01(0.", "1"),
        (b"K\x012\x86.", "(1, 1)"),
    ] {
        assert_eq!(run(program), value, "{program:?}");
    }
}

#[test]
fn remembered_values_are_shared_and_change_together() {
    assert_eq!(run(b"]q\x05h\x05\x86K\x01h\x05\x86."), "(1, [])");
    assert_eq!(run(b"]\x94h\x00K\x07a0h\x00."), "[7]");
    assert_eq!(run(b"]p9\ng9\n\x86."), "([], [])");
    assert_eq!(run(b"]r\x00\x00\x01\x00j\x00\x00\x01\x00\x86."), "([], [])");
    assert_eq!(run(b"]q\x00h\x00a."), "[[[[[…]]]]]");
    assert_eq!(run(b"h\x03."), "the pickle refers to value 3, which it does not have (at byte 2)");
}

#[test]
fn frames_are_passed_over() {
    assert_eq!(run(b"\x95\x02\x00\x00\x00\x00\x00\x00\x00K\x01."), "1");
}

#[test]
fn numpys_and_codecs_calls_are_understood() {
    let dtype = b"cnumpy\ndtype\n\x8c\x02f8\x89\x88\x87R(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb";
    assert_eq!(run(&[&dtype[..], b"."].concat()), "Float8");
    let bytes = 2.5_f64.to_le_bytes();
    let scalar = [&b"cnumpy.core.multiarray\nscalar\n"[..], dtype, b"C\x08", &bytes, b"\x86R."].concat();
    assert_eq!(run(&scalar), "2.5");
    assert_eq!(run(b"c_codecs\nencode\n\x8c\x03a\xc3\xbf\x8c\x06latin1\x86R."), "b[97, 255]");
    assert_eq!(run(b"c__builtin__\nbytes\n)R."), "b[]");
    assert_eq!(run(b"ccollections\nOrderedDict\n)RK\x01K\x02s."), "{1: 2}");
    assert_eq!(run(b"ccopy_reg\n_reconstructor\ncsklearn.svm.classes\nSVC\nNN\x87R}b."), "sklearn.svm.classes.SVC({})");
}

#[test]
fn a_name_alone_is_no_call() {
    assert_eq!(run(b"cposix\nsystem\n."), "posix.system");
    assert_eq!(run(b"\x8c\x05posix\x8c\x06system\x93."), "posix.system");
}

#[test]
fn every_way_to_call_something_unknown_is_refused() {
    let refused = "the pickle refers to 'posix.system', which this reader does not know; nothing was executed";
    for program in [
        &b"cposix\nsystem\n\x8c\x02id\x85R."[..],
        b"\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.",
        b"cposix\nsystem\n\x8c\x02id\x85\x81.",
        b"cposix\nsystem\n\x8c\x02id\x85}\x92.",
        b"(X\x02\x00\x00\x00idiposix\nsystem\n.",
        b"(cposix\nsystem\nX\x02\x00\x00\x00ido.",
        b"ccopyreg\n_reconstructor\ncposix\nsystem\nNN\x87R.",
    ] {
        assert_eq!(run(program), refused, "{program:?}");
    }
    for program in [&b"cbuiltins\neval\n\x8c\x011\x85R."[..], b"cnumpy\nload\n)R.", b"csklearnx.a\nb\n)R."] {
        assert!(run(program).contains("which this reader does not know"), "{program:?}");
    }
}

#[test]
fn what_only_other_programs_can_read_is_refused() {
    for program in [&b"Pid\n."[..], b"\x82\x01.", b"\x97.", b"S'a'\n.", b"Va\n."] {
        assert!(matches!(load(&[b"\x80\x04", program].concat()), Err(LoadError::Unsupported(_))), "{program:?}");
    }
}

#[test]
fn instructions_without_their_operands_are_refused() {
    for program in [
        &b"."[..],
        b"\x85.",
        b"(\x85.",
        b"K\x01(\x85.",
        b"t.",
        b"K\x01e.",
        b"K\x01K\x02a.",
        b"}(K\x01u.",
        b"(.",
        b"K\x01R.",
        b"K\x01)R.",
        b"K\x01)b.",
        b"cnumpy\ndtype\n)R.",
        b"K\x01K\x02\x93.",
        b"(o.",
        b"q\x00.",
        b"\xff.",
        b"",
        b"cno-end",
    ] {
        assert!(matches!(load(&[b"\x80\x04", program].concat()), Err(LoadError::Malformed(_))), "{program:?}");
    }
}

#[test]
fn other_protocols_are_refused() {
    for start in [&b"\x80\x01N."[..], b"\x80\x06N.", b"(lp0\n.", b"", b"\x80"] {
        let error = load(start).err().unwrap().to_string();
        assert!(error.contains("no pickle of protocol 2 to 5 at byte 0"), "{error}");
    }
}
