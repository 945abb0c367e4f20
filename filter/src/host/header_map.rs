//! A map of headers as the gateway serialises it, read in place.

use modelway_decision::header::Headers;

/// Headers in the ABI's form: a count, the sizes of every name and value, then the bytes of each
/// with a zero behind it. Numbers are 32 bits, little-endian.
///
/// A request's headers are looked up some ten times, so the two sizes of each become, once and where
/// they stand, the two places where name and value begin: a look-up then reads no more than those,
/// and of a name of the right length its bytes.
#[derive(Debug, Default)]
pub(crate) struct HeaderMap {
    bytes: Vec<u8>,
    /// Of the pairs that are whole.
    count: usize,
    /// Behind the last value and its zero.
    end: usize,
}

/// Walks the places.
struct Pairs<'a> {
    bytes: &'a [u8],
    places: &'a [[u8; PLACES]],
    end: usize,
}

/// The count in front.
const COUNT: usize = 4;
/// Two numbers for each pair.
const PLACES: usize = 8;

// === impl HeaderMap ===

impl HeaderMap {
    pub(super) fn new(mut bytes: Vec<u8>) -> Self {
        let (count, end) = index(&mut bytes).unwrap_or_default();
        Self { bytes, count, end }
    }

    /// The names alone.
    pub(crate) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.pairs().places.iter().filter_map(|place| {
            let (name_at, value_at) = numbers(place);
            self.bytes.get(name_at..value_at.wrapping_sub(1))
        })
    }

    fn pairs(&self) -> Pairs<'_> {
        let (places, _) = self.bytes.get(COUNT..).unwrap_or_default().as_chunks();
        Pairs { bytes: &self.bytes, places: places.get(..self.count).unwrap_or_default(), end: self.end }
    }
}

impl Headers for HeaderMap {
    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.pairs()
    }

    // Once for all who look something up.
    #[inline(never)]
    fn first(&self, name: &[u8]) -> Option<&[u8]> {
        let mut pairs = self.pairs();
        let behind = name.len() + 1;
        for (number, place) in pairs.places.iter().enumerate() {
            let (name_at, value_at) = numbers(place);
            if value_at.wrapping_sub(name_at) == behind
                && self.bytes.get(name_at..).is_some_and(|text| begins_with(text, name))
            {
                pairs.places = pairs.places.get(number..)?;
                return pairs.next().map(|(_, value)| value);
            }
        }
        None
    }
}

/// The pairs of a map in the ABI's form; `None` if it is none.
pub(crate) fn pairs(mut serialized: Vec<u8>) -> Option<HeaderMap> {
    let (count, end) = index(&mut serialized)?;
    Some(HeaderMap { bytes: serialized, count, end })
}

/// Writes places over sizes. Gives how many pairs are whole, and where the last ends; `None` if this is no map.
fn index(bytes: &mut [u8]) -> Option<(usize, usize)> {
    // Sums of three numbers of 32 bits, in 64.
    let size = bytes.len() as u64;
    let (count, rest) = bytes.split_first_chunk_mut::<COUNT>()?;
    let sizes = usize::try_from(u32::from_le_bytes(*count)).ok()?.checked_mul(PLACES)?;
    let (sizes, _) = rest.split_at_mut_checked(sizes)?.0.as_chunks_mut::<PLACES>();
    let mut end = (COUNT + sizes.len() * PLACES) as u64;
    let mut whole = 0;
    for place in sizes {
        let both = u64::from_le_bytes(*place);
        let value_at = end + (both & 0xffff_ffff) + 1;
        let behind = value_at + (both >> 32) + 1;
        if behind > size {
            break;
        }
        *place = (end | value_at << 32).to_le_bytes();
        end = behind;
        whole += 1;
    }
    Some((whole, usize::try_from(end).ok()?))
}

/// Two numbers of 32 bits.
fn numbers(pair: &[u8; PLACES]) -> (usize, usize) {
    let both = u64::from_le_bytes(*pair);
    (both as u32 as usize, (both >> 32) as usize)
}

/// Word by word: a call of the C library's comparison goes byte by byte.
fn begins_with(text: &[u8], name: &[u8]) -> bool {
    let Some(text) = text.get(..name.len()) else { return false };
    let ((words, tail), (text_words, text_tail)) = (name.as_chunks::<8>(), text.as_chunks::<8>());
    let same = |(one, other): (&[u8; 8], &[u8; 8])| u64::from_le_bytes(*one) == u64::from_le_bytes(*other);
    words.iter().zip(text_words).all(same) && tail.iter().zip(text_tail).all(|(one, other)| one == other)
}

// === impl Pairs ===

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (place, rest) = self.places.split_first()?;
        let (name_at, value_at) = numbers(place);
        let end = rest.first().map_or(self.end, |next| numbers(next).0);
        self.places = rest;
        // Each without the zero behind it.
        let (name, value) = (self.bytes.get(name_at..value_at)?, self.bytes.get(value_at..end)?);
        Some((name.split_last()?.1, value.split_last()?.1))
    }
}

/// Headers in the ABI's form, for the host.
pub(super) fn serialized(headers: &[(&str, &[u8])]) -> Vec<u8> {
    let mut serialized = Vec::new();
    serialized.extend_from_slice(&(headers.len() as u32).to_le_bytes());
    for (name, value) in headers {
        serialized.extend_from_slice(&(name.len() as u32).to_le_bytes());
        serialized.extend_from_slice(&(value.len() as u32).to_le_bytes());
    }
    for (name, value) in headers {
        serialized.extend_from_slice(name.as_bytes());
        serialized.push(0);
        serialized.extend_from_slice(value);
        serialized.push(0);
    }
    serialized
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(map: &HeaderMap) -> Vec<(Vec<u8>, Vec<u8>)> {
        map.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
    }

    #[test]
    fn a_map_gives_what_it_was_made_of() {
        let headers: [(&str, &[u8]); 5] = [
            (":path", b"/v2"),
            ("x-modelway-model", b""),
            ("", b"\0"),
            ("x-modelway-modem", b"m"),
            (":path", b"other"),
        ];
        let map = HeaderMap::new(serialized(&headers));
        let expected: Vec<(Vec<u8>, Vec<u8>)> =
            headers.as_slice().iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect();
        assert_eq!(owned(&map), expected);
        assert_eq!(map.first(b":path"), Some(&b"/v2"[..]));
        assert_eq!(map.first(b"x-modelway-modem"), Some(&b"m"[..]));
        assert_eq!(map.first(b"x-modelway-model"), Some(&b""[..]));
        assert_eq!(map.first(b""), Some(&b"\0"[..]));
        assert_eq!(map.first(b":pat"), None);
        assert_eq!(map.first(b"x-modelway-mode1"), None);
    }

    #[test]
    fn a_map_that_is_cut_short_or_lies_gives_the_pairs_that_are_whole() {
        let whole = serialized(&[("a", b"one"), ("bc", b"two")]);
        for size in 0..whole.len() {
            let map = HeaderMap::new(whole.get(..size).unwrap().to_vec());
            let expected = if size < 4 + 16 + 6 { 0 } else { 1 };
            assert_eq!(map.iter().count(), expected, "{size}");
            assert_eq!(map.first(b"a").is_some(), expected == 1);
            assert_eq!(map.first(b"bc"), None);
        }
        for place in 0..20 {
            let mut bytes = whole.clone();
            bytes[place] = 0xff;
            let map = HeaderMap::new(bytes);
            assert!(map.iter().count() <= 2);
            assert_eq!(map.first(b"nothing"), None);
        }
    }
}
