//! Calls over a Unix socket whose `:authority` is no authority.
//!
//! gRPC for Java, and so ModelMesh, writes the socket's path there. RFC 3986 has no `/` in an authority, and the HTTP/2
//! library refuses such a call with `PROTOCOL_ERROR` before anybody of ours sees it. Over a Unix socket the authority
//! says nothing that anybody here goes by, so it is overwritten with [`AUTHORITY`] as the bytes come in.
//!
//! That needs no decoding of header blocks (RFC 7541), only walking over them: the value of a literal is replaced,
//! everything else stays byte for byte. An entry of the dynamic table is as large as its name and value, and the new
//! value is never longer than the old one. So the reader's table has at least the entries of the writer's, the newest
//! first, and every index means the same on both sides.
//!
//! Biased towards leaving things alone: what is not understood, HTTP/1 for one, passes as it came.

#[cfg(test)]
mod tests;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is read instead; one byte, so that it is never longer than what was written.
const AUTHORITY: u8 = b'u';

/// How a connection over HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Length, type, flags and stream of a frame (RFC 9113, 4.1).
const HEAD: usize = 9;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// Dependency and weight, where [`PRIORITY`] is set.
const PRIORITY_FIELDS: usize = 5;

/// Bytes of a payload that every peer accepts.
const PAYLOAD: usize = 16 << 10;
/// Bytes of frames that are kept to find an authority in them; the HTTP/2 library has a lower limit for their fields.
const KEPT: usize = 256 << 10;
/// Bytes that are read at once.
const READ: usize = 16 << 10;

/// The index of `:authority` in HPACK's static table.
const INDEX: usize = 1;
const NAME: &[u8] = b":authority";
/// The same in HPACK's Huffman code.
const CODED_NAME: &[u8] = &[0xb8, 0x3b, 0x53, 0x39, 0xec, 0x32, 0x7d, 0x7f];

/// A connection over which any authority may come.
pub(super) struct AnyAuthority<S> {
    stream: S,
    overwriter: Overwriter,
    /// Ready to be read.
    ready: BytesMut,
    buffer: Box<[u8]>,
}

/// Overwrites authorities in what a client sends, whatever pieces it comes in.
struct Overwriter {
    /// Not decided yet.
    kept: Vec<u8>,
    /// Bytes of `kept` by which the next thing can be decided.
    wanted: usize,
    next: Next,
}

/// What comes next.
#[derive(Clone, Copy)]
enum Next {
    Preface,
    Head,
    /// So many bytes of a payload that is not looked at.
    Payload(usize),
    /// The payload of a frame with these flags, which ends a header block or does not.
    HeaderBlock(u8),
    ContinuationHead,
    /// Anything, as it is.
    Rest,
}

// === impl AnyAuthority ===

impl<S> AnyAuthority<S> {
    pub(super) fn new(stream: S) -> Self {
        let overwriter = Overwriter { kept: Vec::new(), wanted: PREFACE.len(), next: Next::Preface };
        Self { stream, overwriter, ready: BytesMut::new(), buffer: vec![0; READ].into_boxed_slice() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for AnyAuthority<S> {
    fn poll_read(self: Pin<&mut Self>, task: &mut Context<'_>, wanted: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.ready.is_empty() {
            let mut read = ReadBuf::new(&mut this.buffer);
            ready!(Pin::new(&mut this.stream).poll_read(task, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.overwriter.take(read.filled(), &mut this.ready);
        }
        let count = this.ready.len().min(wanted.remaining());
        wanted.put_slice(this.ready.get(..count).unwrap_or_default());
        this.ready.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for AnyAuthority<S> {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(task, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(task)
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(task)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(task, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

// === impl Overwriter ===

impl Overwriter {
    /// Takes what came, and adds to `ready` what is decided.
    fn take(&mut self, mut came: &[u8], ready: &mut BytesMut) {
        while !came.is_empty() {
            let passes = match self.next {
                Next::Rest => came.len(),
                Next::Payload(left) => left.min(came.len()),
                _ => 0,
            };
            ready.put_slice(came.get(..passes).unwrap_or_default());
            came.advance(passes);
            if let Next::Payload(left) = self.next {
                self.next = if left > passes { Next::Payload(left - passes) } else { Next::Head };
            }
            if passes == 0 {
                let missing = self.wanted.saturating_sub(self.kept.len()).min(came.len());
                self.kept.extend_from_slice(came.get(..missing).unwrap_or_default());
                came.advance(missing);
                self.decide(ready);
            }
        }
    }

    /// Decides about what is kept, as far as that can be done.
    fn decide(&mut self, ready: &mut BytesMut) {
        if matches!(self.next, Next::Preface) && !PREFACE.starts_with(&self.kept) {
            return self.pass(Next::Rest, ready);
        }
        while self.kept.len() == self.wanted {
            match self.next {
                Next::Preface => return self.pass(Next::Head, ready),
                Next::Head | Next::ContinuationHead => {
                    let head = self.kept.last_chunk::<HEAD>().copied().unwrap_or_default();
                    let [a, b, c, kind, flags, ..] = head;
                    let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                    let is_first = matches!(self.next, Next::Head);
                    if is_first && kind != HEADERS {
                        return self.pass(if length > 0 { Next::Payload(length) } else { Next::Head }, ready);
                    }
                    self.wanted += length;
                    if !is_first && kind != CONTINUATION || self.wanted > KEPT {
                        return self.pass(Next::Rest, ready);
                    }
                    self.next = Next::HeaderBlock(flags);
                }
                Next::HeaderBlock(flags) if flags & END_HEADERS != 0 => {
                    if let Some(frames) = overwritten(&self.kept) {
                        self.kept = frames;
                    }
                    return self.pass(Next::Head, ready);
                }
                Next::HeaderBlock(_) => {
                    self.wanted += HEAD;
                    self.next = Next::ContinuationHead;
                }
                Next::Payload(_) | Next::Rest => return,
            }
        }
    }

    /// Lets go of what is kept.
    fn pass(&mut self, next: Next, ready: &mut BytesMut) {
        ready.put_slice(&self.kept);
        self.kept.clear();
        self.wanted = HEAD;
        self.next = next;
    }
}

/// The frames of a header block with another authority; nothing where they are not understood.
fn overwritten(mut frames: &[u8]) -> Option<Vec<u8>> {
    let (mut first, mut priority, mut block) = (None, [].as_slice(), Vec::new());
    while !frames.is_empty() {
        let (head, rest) = frames.split_first_chunk::<HEAD>()?;
        let [a, b, c, _, flags, stream @ ..] = *head;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let (mut payload, rest) = rest.split_at_checked(length)?;
        frames = rest;
        if first.is_none() {
            first = Some((flags, stream));
            if flags & PADDED != 0 {
                let (padding, rest) = payload.split_first()?;
                payload = rest.get(..rest.len().checked_sub(usize::from(*padding))?)?;
            }
            if flags & PRIORITY != 0 {
                (priority, payload) = payload.split_at_checked(PRIORITY_FIELDS)?;
            }
        }
        block.extend_from_slice(payload);
    }
    let (flags, stream) = first?;
    let block = [priority, &with_authority(&block)?].concat();
    if block.is_empty() {
        return None;
    }
    let mut pieces = block.chunks(PAYLOAD).peekable();
    let (mut kind, mut flags) = (HEADERS, flags & !PADDED & !END_HEADERS);
    let mut frames = Vec::with_capacity(block.len() + HEAD);
    while let Some(piece) = pieces.next() {
        let end = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        let [.., a, b, c] = piece.len().to_be_bytes();
        frames.extend([a, b, c, kind, flags | end]);
        frames.extend(stream);
        frames.extend(piece);
        (kind, flags) = (CONTINUATION, 0);
    }
    Some(frames)
}

/// The header block with another authority (RFC 7541, 6).
///
/// A name that is taken from the dynamic table is not looked up: `:authority` stands in the static one.
fn with_authority(block: &[u8]) -> Option<Vec<u8>> {
    let mut written = Vec::with_capacity(block.len());
    let mut rest = block;
    while let Some(&kind) = rest.first() {
        let field = rest;
        // The bits of the index, and whether a value follows.
        let (bits, is_literal) = match kind {
            0x80.. => (7, false),
            0x40.. => (6, true),
            0x20.. => (5, false),
            _ => (4, true),
        };
        let mut index = integer(&mut rest, bits)?;
        if is_literal {
            if index == 0 && matches!(string(&mut rest)?, (NAME, false) | (CODED_NAME, true)) {
                index = INDEX;
            }
            let before_value = field.len() - rest.len();
            let (value, _) = string(&mut rest)?;
            if index == INDEX && !value.is_empty() {
                written.extend_from_slice(field.get(..before_value)?);
                written.extend([1, AUTHORITY]);
                continue;
            }
        }
        written.extend_from_slice(field.get(..field.len() - rest.len())?);
    }
    Some(written)
}

/// The bytes of a string, and whether they are Huffman code (RFC 7541, 5.2).
fn string<'a>(block: &mut &'a [u8]) -> Option<(&'a [u8], bool)> {
    let is_coded = block.first()? & 0x80 != 0;
    let length = integer(block, 7)?;
    let (string, rest) = block.split_at_checked(length)?;
    *block = rest;
    Some((string, is_coded))
}

/// An integer in so many bits of its first byte (RFC 7541, 5.1), of four bytes more at most.
fn integer(block: &mut &[u8], bits: u32) -> Option<usize> {
    let (first, rest) = block.split_first()?;
    *block = rest;
    let most = (1_usize << bits) - 1;
    let mut value = usize::from(*first) & most;
    if value < most {
        return Some(value);
    }
    for shift in [0, 7, 14, 21] {
        let (byte, rest) = block.split_first()?;
        *block = rest;
        value += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
