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
        let read = |range: Range<usize>| Ok::<_, Infallible>(bytes[range].to_vec());
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

/// A message of whole fields, of any kind that there is.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let field = (1_u8..16, 0_usize..4, prop::collection::vec(any::<u8>(), 0..90)).prop_map(|(number, kind, bytes)| {
        let tag = |kind: u8| number << 3 | kind;
        let eight = [bytes.clone(), vec![7; 8]].concat();
        match kind {
            0 => vec![tag(0), 0xff, 0x80, bytes.len() as u8 & 0x7f],
            1 => [&[tag(1)], &eight[..8]].concat(),
            2 => [&[tag(5)], &eight[..4]].concat(),
            _ => [&[tag(2), bytes.len() as u8], &bytes[..]].concat(),
        }
    });
    prop::collection::vec(field, 0..6).prop_map(|fields| fields.concat())
}

proptest! {
    #[test]
    fn name_and_version_stand_behind_the_first_message_however_the_body_is_cut(
        message in messages(),
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

    /// Half a field would swallow what stands behind it, and the name before it would count.
    #[test]
    fn a_message_that_ends_within_a_field_is_refused_however_it_is_cut(
        message in messages(),
        half in prop::sample::select(vec![&b"\x9a"[..], b"\x0a", b"\x0a\x80", b"\x0a\x09longer", b"\x08", b"\x09\0", b"\x0d\0\0\0", b"\x0b", b"\x00", b"\xfa\xff\xff\xff\xff\x01\0"]),
        cuts in prop::collection::vec(any::<usize>(), 0..10),
    ) {
        let body = framed(&[&message, half].concat());
        prop_assert_eq!(edited(&mut Tail::new(b"m", None), &body, &cuts).unwrap_err().status, 400);
    }

    #[test]
    fn a_body_that_ends_early_only_gets_its_length_changed(body in messages(), cuts in prop::collection::vec(any::<usize>(), 0..6)) {
        // Longer than any of these messages.
        let body = [&b"\0\0\x01\0\0"[..], &body].concat();
        let out = edited(&mut Tail::new(b"m", None), &body, &cuts).unwrap();
        prop_assert_eq!(&out[..5], b"\0\0\x01\0\x05");
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
