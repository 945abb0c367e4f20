//! The bytes of a pickle, read from front to back.

use crate::formats::LoadError;

/// A place in a file that only moves forward.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// How many bytes were read.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// The next `length` bytes.
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], LoadError> {
        let end = self.position.checked_add(length);
        let Some(taken) = end.and_then(|end| self.bytes.get(self.position..end)) else {
            let left = self.bytes.len().saturating_sub(self.position);
            return Err(LoadError::Malformed(format!(
                "truncated or damaged: {length} bytes expected at byte {}, {left} are left",
                self.position
            )));
        };
        self.position = self.position.saturating_add(length);
        Ok(taken)
    }

    /// As many bytes as a length read from the file says.
    pub(crate) fn take_length(&mut self, length: u64) -> Result<&'a [u8], LoadError> {
        // A length beyond the address space is beyond the file, too.
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], LoadError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, LoadError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, LoadError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn i32(&mut self) -> Result<i32, LoadError> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, LoadError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, LoadError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// The bytes up to the next line feed, which is read and left out.
    pub(crate) fn line(&mut self) -> Result<&'a str, LoadError> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        // Names and numbers are short; a search through gigabytes for every one of them would be slow.
        let near = rest.get(..MAX_LINE).unwrap_or(rest);
        let Some(length) = near.iter().position(|&byte| byte == b'\n') else {
            return Err(LoadError::Malformed(format!("a line that starts at byte {} has no end", self.position)));
        };
        let line = self.take(length)?;
        self.take(1)?;
        self.utf8(line)
    }

    /// The bytes as text.
    pub(crate) fn utf8(&self, bytes: &'a [u8]) -> Result<&'a str, LoadError> {
        std::str::from_utf8(bytes)
            .map_err(|_| LoadError::Malformed(format!("the text that ends at byte {} is not UTF-8", self.position)))
    }
}

const MAX_LINE: usize = 4096;
