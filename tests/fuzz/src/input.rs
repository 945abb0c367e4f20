//! A fuzzer's bytes, taken apart: a few for choices, the rest for the reader.

/// Takes choices off the front; what is left goes to the reader.
pub struct Input<'a> {
    rest: &'a [u8],
}

// === impl Input ===

impl<'a> Input<'a> {
    /// Over all of the bytes.
    pub fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }

    /// A byte, 0 at the end.
    pub fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        byte
    }

    /// Where to cut a body: up to seven places, each of 16 bits.
    pub fn cuts(&mut self) -> Vec<usize> {
        let count = self.byte() & 7;
        (0..count).map(|_| usize::from(self.byte()) << 8 | usize::from(self.byte())).collect()
    }

    /// All that is left.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }
}

/// The pieces of a body cut at these places.
pub fn pieces<'a>(body: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).collect();
    places.extend([0, body.len()]);
    places.sort_unstable();
    places.windows(2).filter_map(|pair| body.get(pair[0]..pair[1])).collect()
}
