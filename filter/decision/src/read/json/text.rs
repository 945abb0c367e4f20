//! The bytes of one string or literal, with escapes resolved, if anybody wants them.

use crate::message::LONGEST_VALUE;

/// A text that is being read.
#[derive(Debug, Default)]
pub(super) struct Text {
    bytes: Vec<u8>,
    is_wanted: bool,
    /// The code unit of a `\u` escape, as far as its digits have come.
    unit: u32,
    high_surrogate: Option<u32>,
}

// === impl Text ===

impl Text {
    /// Begins a new one.
    pub(super) fn begin(&mut self, is_wanted: bool) {
        self.bytes.clear();
        self.is_wanted = is_wanted;
        self.high_surrogate = None;
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// Bytes as they stand. Keeps no more than is needed to see that a text is too long.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        if !self.is_wanted || bytes.is_empty() {
            return;
        }
        self.flush_surrogate();
        self.push(bytes);
    }

    /// The byte behind a backslash, unless it begins `\uXXXX`.
    pub(super) fn keep_escaped(&mut self, byte: u8) {
        let plain = match byte {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            other => other,
        };
        self.keep(&[plain]);
    }

    /// One of the four digits of `\uXXXX`; false if it is none.
    pub(super) fn keep_hex(&mut self, byte: u8, is_first: bool, is_last: bool) -> bool {
        let Some(digit) = char::from(byte).to_digit(16) else { return false };
        self.unit = if is_first { digit } else { self.unit << 4 | digit };
        if is_last {
            self.end_unit();
        }
        true
    }

    /// Ends it: what was kept.
    pub(super) fn end(&mut self) -> Vec<u8> {
        self.flush_surrogate();
        self.is_wanted = false;
        std::mem::take(&mut self.bytes)
    }

    /// Gives back what [`Self::end`] gave, so that the next text needs no new memory.
    pub(super) fn recycle(&mut self, bytes: Vec<u8>) {
        self.bytes = bytes;
    }

    fn end_unit(&mut self) {
        match (self.high_surrogate.take(), self.unit) {
            (Some(high), low @ 0xdc00..=0xdfff) => self.push_char(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)),
            (lone, unit) => {
                if lone.is_some() {
                    self.push_char(0xfffd);
                }
                match unit {
                    0xd800..=0xdbff => self.high_surrogate = Some(unit),
                    unit => self.push_char(unit),
                }
            }
        }
    }

    fn flush_surrogate(&mut self) {
        if self.high_surrogate.take().is_some() {
            self.push_char(0xfffd);
        }
    }

    fn push_char(&mut self, code: u32) {
        let letter = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        self.push(letter.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn push(&mut self, bytes: &[u8]) {
        let room = (LONGEST_VALUE + 1).saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }
}
