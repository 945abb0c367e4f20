use proptest::prelude::*;

use super::*;

/// What a client gets of an answer that comes in these pieces.
fn through(renaming: &mut Renaming, pieces: &[&[u8]]) -> Vec<u8> {
    let mut sent = Vec::new();
    let mut window = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        window.extend_from_slice(piece);
        let read = |start: usize, count: usize| -> Result<Vec<u8>, ()> {
            assert!(count > 0 && start + count <= window.len(), "read {count} at {start} of {}", window.len());
            Ok(window[start..start + count].to_vec())
        };
        match renaming.step(window.len(), index + 1 == pieces.len(), read).unwrap() {
            Step::Wait => {
                assert!(index + 1 < pieces.len(), "waits for nothing");
                continue;
            }
            Step::Keep => {}
            Step::Change(prefix) => {
                window.splice(..prefix.replaces, prefix.with);
            }
        }
        sent.append(&mut window);
    }
    sent
}

fn whole(naming: Naming, answer: &[u8]) -> String {
    let sent = through(&mut Renaming::new(naming, b"iris-v2", b"iris"), &[answer]);
    String::from_utf8(sent).unwrap()
}

fn message(fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, content) in fields {
        bytes.push(number << 3 | 2);
        let mut length = content.len();
        while length >= 0x80 {
            bytes.push(length as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend_from_slice(content);
    }
    bytes
}

fn frame(message: &[u8]) -> Vec<u8> {
    [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

#[test]
fn a_document_gets_the_public_name() {
    for (answer, expected) in [
        (r#"{"model_name":"iris-v2","outputs":[]}"#, r#"{"model_name":"iris","outputs":[]}"#),
        (r#" { "id" : "7", "modelName" : "iris-v2" }"#, r#" { "id" : "7", "modelName" : "iris" }"#),
        (
            r#"{"parameters":{"model_name":"iris-v2"},"model_name":"iris-v2"}"#,
            r#"{"parameters":{"model_name":"iris-v2"},"model_name":"iris"}"#,
        ),
    ] {
        assert_eq!(whole(Naming::Document, answer.as_bytes()), expected);
    }
}

#[test]
fn what_is_not_the_upstreams_name_stays() {
    for answer in [
        r#"{"model_name":"other","id":"iris-v2"}"#,
        r#"{"id":"model_name","x":"iris-v2"}"#,
        r#"{"outputs":[{"model_name":"iris-v2"}]}"#,
        r#"{"model_name":["iris-v2"]}"#,
        r#"{"model_name":null,"a":"iris-v2"}"#,
        r#"["model_name","iris-v2"]"#,
        r#"{"model_na"#,
        r#"{"model_name":"iris-v2"#,
        "",
        "iris-v2",
        r#"{}{"model_name":"iris-v2"}"#,
    ] {
        assert_eq!(whole(Naming::Document, answer.as_bytes()), answer);
    }
}

#[test]
fn names_are_compared_and_written_as_json_writes_them() {
    let mut renaming = Renaming::new(Naming::OpenAiDocument, b"a\"b", b"c\\d");
    assert_eq!(through(&mut renaming, &[br#"{"model":"a\"b"}"#]), br#"{"model":"c\\d"}"#);
}

#[test]
fn a_name_far_into_a_document_is_not_waited_for() {
    let long = format!(r#"{{"outputs":[{}1],"model_name":"iris-v2"}}"#, "1,".repeat(5_000));
    let pieces: Vec<&[u8]> = long.as_bytes().chunks(1_000).collect();
    let mut renaming = Renaming::new(Naming::Document, b"iris-v2", b"iris");
    assert_eq!(through(&mut renaming, &pieces), long.as_bytes());
    assert!(renaming.is_done());
}

#[test]
fn every_event_gets_the_public_name() {
    let event = |name: &str, text: &str| {
        format!("data: {{\"id\":\"1\",\"model\":\"{name}\",\"choices\":[{{\"text\":\"{text}\"}}]}}\n\n")
    };
    let stream = |name: &str| {
        format!(
            ": a comment\n\n{}event: x\n{}data: [DONE]\n\n",
            event(name, "a\\nb"),
            event(name, "\\\"model\\\":\\\"iris-v2\\\"")
        )
    };
    assert_eq!(whole(Naming::OpenAiEvents, stream("iris-v2").as_bytes()), stream("iris"));
}

#[test]
fn every_message_gets_the_public_name() {
    let stream = |name: &[u8]| {
        let one = frame(&message(&[(1, name), (3, b"id"), (6, &[7; 300])]));
        let other = frame(&message(&[(1, b"someone-else"), (3, b"iris-v2")]));
        let unnamed = frame(&message(&[(3, b"iris-v2")]));
        let compressed = [&[1][..], &frame(&message(&[(1, b"iris-v2")]))[1..]].concat();
        [one.clone(), other, frame(b""), unnamed, compressed, one].concat()
    };
    let mut renaming = Renaming::new(Naming::Messages, b"iris-v2", b"iris");
    assert_eq!(through(&mut renaming, &[&stream(b"iris-v2")]), stream(b"iris"));
}

#[test]
fn a_message_in_a_message_keeps_both_lengths_right() {
    let stream = |name: &[u8]| {
        let answer = message(&[(1, name), (3, b"id"), (6, &[7; 120])]);
        [frame(&message(&[(2, &answer)])), frame(&message(&[(1, b"an error")])), frame(&message(&[(2, &answer)]))]
            .concat()
    };
    // The outer length needs one byte more, and one less.
    for (from, to) in [(&b"iris"[..], &[b'n'; 130][..]), (&[b'n'; 130][..], &b"iris"[..])] {
        let mut renaming = Renaming::new(Naming::NestedMessages, from, to);
        assert_eq!(through(&mut renaming, &[&stream(from)]), stream(to));
    }
}

proptest! {
    #[test]
    fn however_an_answer_is_cut_the_client_gets_the_same(
        cuts in proptest::collection::vec(0_usize..900, 0..12),
        kind in 0_usize..4,
        names in proptest::collection::vec(prop_oneof![Just("iris-v2"), Just("iris-v3"), Just("i")], 1..6),
    ) {
        let (naming, answer) = match kind {
            0 => (Naming::Document, format!(r#"{{"id":"x","model_name":"{}","outputs":[1,2]}}"#, names[0]).into_bytes()),
            1 => (Naming::OpenAiEvents, names.iter().map(|name| format!("data: {{\"model\": \"{name}\", \"x\": \"{}\"}}\n\n", "y".repeat(40))).collect::<String>().into_bytes()),
            2 => (Naming::Messages, names.iter().flat_map(|name| frame(&message(&[(1, name.as_bytes()), (3, &[1; 60])]))).collect()),
            _ => (Naming::NestedMessages, names.iter().flat_map(|name| frame(&message(&[(2, &message(&[(1, name.as_bytes()), (3, &[1; 60])]))]))).collect()),
        };
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % (answer.len() + 1)).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut start = 0;
        for cut in cuts.into_iter().chain([answer.len()]) {
            pieces.push(&answer[start..cut]);
            start = cut;
        }
        let renaming = Renaming::new(naming, b"iris-v2", b"a-public-name");
        prop_assert_eq!(through(&mut renaming.clone(), &pieces), through(&mut renaming.clone(), &[&answer]));
    }

    #[test]
    fn any_bytes_pass_without_harm(
        bytes in proptest::collection::vec(prop_oneof![Just(b'"'), Just(b'{'), Just(b':'), Just(b'\\'), Just(0), any::<u8>()], 0..200),
        split in 0_usize..200,
        kind in 0_usize..5,
    ) {
        let naming = [Naming::Document, Naming::OpenAiDocument, Naming::OpenAiEvents, Naming::Messages, Naming::NestedMessages][kind];
        let (first, second) = bytes.split_at(split.min(bytes.len()));
        // The name is not there, so nothing may change.
        let sent = through(&mut Renaming::new(naming, b"a name that is not there", b"x"), &[first, second]);
        prop_assert_eq!(sent, bytes);
    }
}
