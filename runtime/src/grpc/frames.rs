//! Checks the frames of a request's body as they pass.
//!
//! tonic answers a frame that is too long with `OUT_OF_RANGE`, one that is cut short or absent with
//! `INTERNAL`. The first is a limit of ours and the second a fault of the client's; an error of the
//! body reaches the client with the code that it has here.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tonic::Status;

#[cfg(test)]
mod tests;

/// Compressed flag and length.
const HEADER: usize = 5;

/// A request's body that ends in an error where it breaks gRPC's framing.
pub(crate) struct RequestFrames<B> {
    body: B,
    check: Check,
    has_ended: bool,
}

#[derive(Debug)]
struct Check {
    limit: usize,
    needs_message: bool,
    header: [u8; HEADER],
    /// Bytes of the header that came.
    header_length: usize,
    /// Bytes of the message that did not come yet.
    missing: usize,
    messages: usize,
}

// === impl RequestFrames ===

impl<B> RequestFrames<B> {
    /// Messages may have `limit` bytes; a unary call needs one.
    pub(crate) fn new(body: B, limit: usize, needs_message: bool) -> Self {
        let check = Check { limit, needs_message, header: [0; HEADER], header_length: 0, missing: 0, messages: 0 };
        Self { body, check, has_ended: false }
    }
}

impl<B> Body for RequestFrames<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let checked = match frame {
            Some(Ok(frame)) => {
                let passed = frame.data_ref().map_or(Ok(()), |data| self.check.pass(data));
                // Trailers end the body, as its end does.
                let passed = if frame.is_trailers() { passed.and_then(|()| self.check.end()) } else { passed };
                Some(passed.map(|()| frame))
            }
            Some(Err(error)) => Some(Err(Status::from_error(error.into()))),
            None => self.check.end().err().map(Err),
        };
        self.has_ended = !matches!(checked, Some(Ok(_)));
        Poll::Ready(checked)
    }

    fn is_end_stream(&self) -> bool {
        // Even an empty body has to be polled once, to be found wanting.
        self.has_ended
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === impl Check ===

impl Check {
    fn pass(&mut self, mut data: &[u8]) -> Result<(), Status> {
        while !data.is_empty() {
            if self.missing > 0 {
                let taken = self.missing.min(data.len());
                self.missing -= taken;
                data = data.get(taken..).unwrap_or_default();
                continue;
            }
            let (Some(slot), Some((&byte, rest))) = (self.header.get_mut(self.header_length), data.split_first())
            else {
                return Ok(());
            };
            *slot = byte;
            data = rest;
            self.header_length += 1;
            if self.header_length == HEADER {
                self.begin_message()?;
            }
        }
        Ok(())
    }

    fn begin_message(&mut self) -> Result<(), Status> {
        let [flag, length @ ..] = self.header;
        let length = u32::from_be_bytes(length) as usize;
        if flag > 1 {
            let text = format!("a message frame begins with byte {flag}, expected 0 or 1: this is not gRPC framing");
            return Err(Status::invalid_argument(text));
        }
        if length > self.limit {
            let text = format!("the message has {length} bytes, the limit is {}", self.limit);
            return Err(Status::resource_exhausted(text));
        }
        self.header_length = 0;
        self.missing = length;
        self.messages += 1;
        Ok(())
    }

    fn end(&self) -> Result<(), Status> {
        if self.missing > 0 {
            let text = format!("the request ends {} bytes before its message does", self.missing);
            return Err(Status::invalid_argument(text));
        }
        if self.header_length > 0 {
            return Err(Status::invalid_argument("the request ends inside the header of a message"));
        }
        if self.needs_message && self.messages == 0 {
            return Err(Status::invalid_argument("the request has no message, expected one"));
        }
        Ok(())
    }
}
