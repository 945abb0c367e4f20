use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

fn framed(message: &[u8]) -> Vec<u8> {
    [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat()
}

/// What comes out when the body comes in these pieces.
fn edited(tail: &mut Tail, body: &[u8], cuts: &[usize]) -> Result<Vec<u8>, Reply> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).chain([0, body.len()]).collect();
    cuts.sort_unstable();
    let mut out = Vec::new();
    let mut held = Vec::new();
    for pair in cuts.windows(2) {
        held.extend_from_slice(&body[pair[0]..pair[1]]);
        let bytes = held.clone();
        let read = |count: usize| Ok::<_, Infallible>(bytes[..count].to_vec());
        match tail.edit(bytes.len(), pair[1] == body.len(), read) {
            Ok(Edit::Wait) => continue,
            Ok(Edit::Keep) => out.append(&mut held),
            Ok(Edit::Change(start, end)) => {
                let replaces = start.as_ref().map_or(0, |start| start.replaces);
                out.extend(start.map(|start| start.with).unwrap_or_default());
                out.extend_from_slice(&held[replaces..]);
                out.extend(end);
                held.clear();
            }
            Ok(Edit::Refuse(reply)) => return Err(reply),
            Err(never) => match never {},
        }
    }
    Ok(out)
}

proptest! {
    #[test]
    fn name_and_version_stand_behind_the_first_message_however_the_body_is_cut(
        message in prop::collection::vec(any::<u8>(), 0..80),
        more in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..3),
        model in "[a-z]{1,200}",
        version in prop::option::of("[0-9]{1,3}"),
        cuts in prop::collection::vec(any::<usize>(), 0..10),
    ) {
        let rest: Vec<u8> = more.iter().flat_map(|message| framed(message)).collect();
        let body = [framed(&message), rest.clone()].concat();
        let mut tail = Tail::new(model.as_bytes(), version.as_deref().map(str::as_bytes));
        let length = tail.new_length(body.len() as u64);
        let mut fields = Vec::new();
        put_text_field(1, model.as_bytes(), &mut fields);
        put_text_field(2, version.unwrap_or_default().as_bytes(), &mut fields);
        let out = edited(&mut tail, &body, &cuts).unwrap();
        prop_assert_eq!(out.len() as u64, length);
        prop_assert_eq!(out, [framed(&[message, fields].concat()), rest].concat());
        prop_assert!(tail.is_done());
    }

    #[test]
    fn a_body_that_ends_early_only_gets_its_length_changed(body in prop::collection::vec(any::<u8>(), 0..40), cuts in prop::collection::vec(any::<usize>(), 0..6)) {
        let body = [&b"\0\0\0\x01\0"[..], &body].concat();
        let out = edited(&mut Tail::new(b"m", None), &body, &cuts).unwrap();
        prop_assert_eq!(&out[..5], b"\0\0\0\x01\x05");
        prop_assert_eq!(&out[5..], &body[5..]);
    }
}

#[test]
fn a_body_of_less_than_a_frame_is_left_alone() {
    for body in [&b""[..], b"\0", b"\0\0\0\0"] {
        assert_eq!(edited(&mut Tail::new(b"m", None), body, &[1, 2]).unwrap(), body);
    }
}

#[test]
fn what_cannot_be_renamed_is_refused() {
    for body in [&b"\x01\0\0\0\x01x"[..], b"\0\xff\xff\xff\xffx", b"not a frame"] {
        assert_eq!(edited(&mut Tail::new(b"m", None), body, &[]).unwrap_err().status, 400);
    }
}
