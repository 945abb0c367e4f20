//! Over what nobody looks into: sixteen bytes at a time, and eight at a time where it ends.

mod block;

use self::block::{Block, has_end, has_structure};

/// How many bytes from the start change nothing for a reader that follows brackets only: no bracket,
/// nothing that JSON has no use for, and whole strings, whatever is in them.
pub(super) fn unstructured(bytes: &[u8]) -> usize {
    let mut passed = 0;
    loop {
        let rest = bytes.get(passed..).unwrap_or_default();
        let plain = structureless(rest);
        match rest.get(plain) {
            Some(b'"') => match string(rest.get(plain + 1..).unwrap_or_default()) {
                Some(length) => passed += plain + 1 + length,
                None => return passed + plain,
            },
            Some(b'[' | b']' | b'{' | b'}' | b'/' | b'\'' | b'#') | None => return passed + plain,
            Some(_) => passed += plain + 1,
        }
    }
}

/// The length of what is left of a string, its end included, unless its end is still to come.
fn string(bytes: &[u8]) -> Option<usize> {
    let mut passed = 0;
    loop {
        let rest = bytes.get(passed..)?;
        let plain = plain_text(rest);
        match rest.get(plain)? {
            b'"' => return Some(passed + plain + 1),
            // An escape: whatever it hides is no end.
            _ => passed += plain + 2,
        }
    }
}

/// How many bytes from the start hold no string, no bracket and nothing that JSON has no use for
/// outside strings. Stops early at some letters (`y`, `Y`, `_`), which numbers do not have.
fn structureless(bytes: &[u8]) -> usize {
    position(bytes, has_structure, structure)
}

fn structure(word: u64) -> u64 {
    // One test finds `[ ] { }` and another both `"` and `#`, because each group differs in few bits.
    zeros((word | each(0x26)) ^ each(0x7f)) | zeros((word & each(0xfe)) ^ each(b'"')) | zeros(quoteish(word))
}

/// How many bytes from the start are neither the end of a string nor an escape.
pub(super) fn plain_text(bytes: &[u8]) -> usize {
    position(bytes, has_end, end)
}

fn end(word: u64) -> u64 {
    zeros(word ^ each(b'"')) | zeros(word ^ each(b'\\'))
}

/// Zero where a byte is `'` or `/`: other languages' quotes and comments.
fn quoteish(word: u64) -> u64 {
    (word | each(0x08)) ^ each(b'/')
}

/// The position of the first byte that `marks` marks, else the length. `is_marked` tells of a block whether there is one.
fn position(bytes: &[u8], is_marked: impl Fn(&Block) -> bool, marks: impl Fn(u64) -> u64) -> usize {
    // Most texts end within their first words.
    let (start, rest) = bytes.split_at_checked(32).unwrap_or((bytes, &[]));
    let found = by_words(start, &marks);
    if found < start.len() {
        return found;
    }
    let (blocks, _) = rest.as_chunks();
    let mut passed = start.len();
    for block in blocks {
        if is_marked(block) {
            break;
        }
        passed += block.len();
    }
    passed + by_words(bytes.get(passed..).unwrap_or_default(), &marks)
}

fn by_words(bytes: &[u8], marks: &impl Fn(u64) -> u64) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    let mut passed = 0;
    for word in words {
        let found = marks(u64::from_le_bytes(*word));
        if found != 0 {
            return passed + (found.trailing_zeros() / 8) as usize;
        }
        passed += 8;
    }
    let mut last = [b' '; 8];
    last.iter_mut().zip(tail).for_each(|(slot, byte)| *slot = *byte);
    let found = marks(u64::from_le_bytes(last));
    passed + ((found.trailing_zeros() / 8) as usize).min(tail.len())
}

/// This byte eight times.
const fn each(byte: u8) -> u64 {
    0x0101_0101_0101_0101 * byte as u64
}

/// The high bit of each byte that is zero, and perhaps of bytes behind the first such one: a borrow.
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(each(1)) & !word & each(0x80)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_structure(byte: u8) -> bool {
        b"[]{}\"#'/Yy_\x7f".contains(&byte)
    }

    #[test]
    fn every_byte_of_structure_stops_the_scan_and_no_byte_of_a_number_does() {
        for byte in 0..=u8::MAX {
            assert_eq!(structureless(&[byte]) == 0, is_structure(byte), "{byte:#x}");
            assert_eq!(plain_text(&[byte]) == 0, byte == b'"' || byte == b'\\', "{byte:#x}");
        }
    }

    /// What a look at each byte finds: how far the brackets do not change.
    fn unstructured_slowly(bytes: &[u8]) -> usize {
        let (mut in_string, mut escaped, mut string_start) = (false, false, 0);
        for (at, &byte) in bytes.iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => {
                    string_start = at;
                    in_string = !in_string;
                }
                b'[' | b']' | b'{' | b'}' | b'/' | b'\'' | b'#' if !in_string => return at,
                _ => {}
            }
        }
        if in_string { string_start } else { bytes.len() }
    }

    proptest! {
        #[test]
        fn strings_are_passed_whole(bytes in prop::collection::vec(prop::sample::select(&b"\"\\\"\\[]{}#/'y1a,aaaaaaaa"[..]), 0..150)) {
            prop_assert_eq!(unstructured(&bytes), unstructured_slowly(&bytes));
        }

        #[test]
        fn a_scan_stops_where_a_look_at_each_byte_would(bytes in prop::collection::vec(any::<u8>(), 0..120), dull in 0_usize..100) {
            let bytes = [vec![b'1'; dull], bytes].concat();
            let expected = bytes.iter().position(|byte| is_structure(*byte)).unwrap_or(bytes.len());
            prop_assert_eq!(structureless(&bytes), expected);
            let expected = bytes.iter().position(|byte| b"\"\\".contains(byte)).unwrap_or(bytes.len());
            prop_assert_eq!(plain_text(&bytes), expected);
        }
    }
}
