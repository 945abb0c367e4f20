//! One direction of one stream, as Envoy's filter manager keeps it around a filter: what has arrived, what the filter
//! holds back, what has gone on. The rules are Envoy's (`filter_manager.cc`, `context.cc`), and
//! `tests/host_agrees_with_envoy.rs` holds them against a real one.

use crate::headers::Headers;

/// A message that has left the filter, towards the upstream or towards the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The header fields, pseudo headers among them.
    pub headers: Headers,
    /// The body so far.
    pub body: Vec<u8>,
    /// The trailers, once they have come.
    pub trailers: Option<Headers>,
    /// Whether the message has ended.
    pub complete: bool,
}

/// Where the iteration over the filters stands at this filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Iteration {
    /// Nothing is held.
    Running,
    /// Held here, and this filter still gets callbacks for data and trailers.
    StoppedHere,
    /// Held here, and nobody gets callbacks until the filter says so.
    StoppedAll,
}

/// What a headers, data or trailers callback has answered, after Envoy's translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Continue,
    StopHere,
    StopAll,
    BufferAndStop,
    WatermarkAndStop,
    DropAndStop,
}

/// The state of one direction.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) headers: Headers,
    /// Envoy hands the filter a null pointer once the headers have gone on by `Continue`.
    pub(crate) headers_reachable: bool,
    /// What the filter sees as the body in its data callback.
    pub(crate) window: Vec<u8>,
    pub(crate) window_reachable: bool,
    pub(crate) trailers: Option<Headers>,
    pub(crate) trailers_reachable: bool,
    pub(crate) iteration: Iteration,
    /// Held data that has been shown to the filter, or that waits for it when all is stopped.
    pub(crate) held: Vec<u8>,
    /// The filter asked to buffer in its last data callback.
    pub(crate) buffering: bool,
    /// Over the limit a buffering filter fails the request, a streaming one slows the sender down.
    streaming: bool,
    /// The sender has said that no more comes.
    pub(crate) ended: bool,
    pub(crate) sent: Option<Message>,
}

// === impl Flow ===

impl Flow {
    pub(crate) fn new() -> Self {
        Self {
            headers: Headers::new(),
            headers_reachable: false,
            window: Vec::new(),
            window_reachable: false,
            trailers: None,
            trailers_reachable: false,
            iteration: Iteration::Running,
            held: Vec::new(),
            buffering: false,
            streaming: true,
            ended: false,
            sent: None,
        }
    }

    /// The headers have come and stand before the filter.
    pub(crate) fn headers_arrive(&mut self, headers: Headers, end: bool) {
        self.headers = headers;
        self.headers_reachable = true;
        self.ended = end;
    }

    /// What the filter answered to the headers.
    pub(crate) fn after_headers(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Continue => {
                self.headers_reachable = false;
                self.send_headers();
            }
            Verdict::StopHere => self.iteration = Iteration::StoppedHere,
            _ => self.iteration = Iteration::StoppedAll,
        }
    }

    /// Puts a chunk before the filter; the answer is whether the filter is to be called, and with which size.
    pub(crate) fn data_arrives(&mut self, chunk: &[u8], end: bool) -> Option<usize> {
        self.ended = end;
        if self.iteration == Iteration::StoppedAll {
            self.held.extend_from_slice(chunk);
            return None;
        }
        self.window = if self.buffering { std::mem::take(&mut self.held) } else { Vec::new() };
        self.window.extend_from_slice(chunk);
        self.window_reachable = true;
        Some(self.window.len())
    }

    /// What the filter answered to the data. The answer says whether the buffer has passed `limit`.
    #[must_use]
    pub(crate) fn after_data(&mut self, verdict: Verdict, limit: usize) -> bool {
        let window = std::mem::take(&mut self.window);
        self.window_reachable = false;
        self.buffering = false;
        match verdict {
            Verdict::Continue => {
                self.held.extend(window);
                if self.iteration == Iteration::Running {
                    self.send_held();
                    return false;
                }
                if !self.streaming && self.held.len() > limit {
                    return true;
                }
                self.release();
                false
            }
            Verdict::BufferAndStop => {
                self.iteration = Iteration::StoppedHere;
                self.buffering = true;
                self.streaming = false;
                self.held.extend(window);
                self.held.len() > limit
            }
            Verdict::WatermarkAndStop => {
                self.iteration = Iteration::StoppedHere;
                self.streaming = true;
                self.held.extend(window);
                false
            }
            Verdict::StopHere | Verdict::StopAll | Verdict::DropAndStop => {
                self.iteration = Iteration::StoppedHere;
                false
            }
        }
    }

    /// Puts the trailers before the filter; the answer is whether the filter is to be called.
    pub(crate) fn trailers_arrive(&mut self, trailers: Headers) -> bool {
        self.ended = true;
        self.trailers = Some(trailers);
        if self.iteration == Iteration::StoppedAll {
            return false;
        }
        self.trailers_reachable = true;
        true
    }

    /// What the filter answered to the trailers.
    pub(crate) fn after_trailers(&mut self, verdict: Verdict) {
        if verdict == Verdict::Continue {
            self.trailers_reachable = false;
            self.release();
        } else if self.iteration == Iteration::Running {
            self.iteration = Iteration::StoppedHere;
        }
    }

    /// Lets go of what is held: headers, then data, then trailers.
    pub(crate) fn release(&mut self) {
        self.iteration = Iteration::Running;
        self.send_headers();
        self.send_held();
        self.send_trailers();
    }

    fn send_headers(&mut self) {
        if self.sent.is_some() {
            return;
        }
        let complete = self.ended && self.held.is_empty() && self.trailers.is_none();
        self.sent = Some(Message { headers: self.headers.clone(), body: Vec::new(), trailers: None, complete });
    }

    fn send_held(&mut self) {
        let held = std::mem::take(&mut self.held);
        let complete = self.ended && self.trailers.is_none();
        if let Some(sent) = &mut self.sent {
            sent.body.extend(held);
            sent.complete |= complete;
        }
    }

    fn send_trailers(&mut self) {
        if let (Some(sent), Some(trailers)) = (&mut self.sent, &self.trailers) {
            sent.trailers = Some(trailers.clone());
            sent.complete = true;
        }
    }
}
