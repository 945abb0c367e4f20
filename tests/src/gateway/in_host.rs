//! The gateway that is the host of our own, with a scripted upstream behind it and virtual time around it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use anyhow::{Result, bail};

use super::{Exchange, Gateway, Message, PATIENCE, Protocol, ROUTE_MARK, Request, Setup, Stats, is_grpc};
use crate::answer::Answer;
use crate::headers::Headers;
use crate::host::{Guest, Host, Outcome, Refusal, Settings, StreamId};

/// Envoy hands over HTTP/2 bodies by the frame.
const HTTP2_FRAME: usize = 16 * 1024;

/// How finely the clock moves while nothing is sent.
const STEP: Duration = Duration::from_millis(10);

/// The host with the built module.
pub struct HostGateway {
    host: Host,
    setup: Setup,
}

/// What a client does next, and when.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Headers,
    Data { part: usize },
}

struct Client {
    request: Request,
    stream: Option<StreamId>,
    started: Duration,
    finished: Option<Duration>,
    answered: bool,
}

// === impl HostGateway ===

impl HostGateway {
    /// Loads the module with this setup; the inner error is the filter's refusal.
    pub fn start(setup: &Setup, guest: &Guest) -> Result<std::result::Result<Self, Refusal>> {
        let settings = Settings {
            allow_on_headers_stop_iteration: setup.stop_iteration,
            buffer_limit: setup.buffer_limit as usize,
            ..Settings::default()
        };
        let host = Host::configure(guest, &settings, setup.routing.as_bytes())?;
        Ok(host.map(|host| Self { host, setup: setup.clone() }))
    }

    /// The host itself.
    pub fn host(&mut self) -> &mut Host {
        &mut self.host
    }

    /// Sends the headers of a request.
    fn open(&mut self, client: &mut Client) {
        client.started = self.host.now();
        let end = client.request.body.is_empty() && client.request.trailers.is_none();
        let stream = self.host.request(&client.request.headers, end);
        client.stream = Some(stream);
        let limit = match (self.setup.route_body_limit, client.request.protocol) {
            (Some(limit), _) => usize::try_from(limit).unwrap_or(usize::MAX),
            (None, Protocol::Http1) => self.setup.buffer_limit as usize,
            (None, Protocol::Http2) => self.setup.http2_window() as usize,
        };
        self.host.limit_buffer(stream, limit);
    }

    /// Sends one piece of a body, in the chunks in which Envoy would hand it over, and what ends the body.
    fn send_part(&mut self, client: &Client, index: usize) {
        let (Some(stream), Some(part)) = (client.stream, client.request.body.get(index)) else { return };
        let last = index + 1 == client.request.body.len();
        let trailers = client.request.trailers.as_ref();
        let ends_with_data = last && trailers.is_none() && client.request.protocol == Protocol::Http2;
        let chunk_size = match client.request.protocol {
            Protocol::Http1 => self.setup.buffer_limit as usize,
            Protocol::Http2 => HTTP2_FRAME,
        };
        let mut chunks = part.bytes.chunks(chunk_size).peekable();
        if part.bytes.is_empty() && ends_with_data {
            self.host.data(stream, b"", true);
        }
        while let Some(chunk) = chunks.next() {
            self.host.data(stream, chunk, ends_with_data && chunks.peek().is_none());
        }
        if !last {
            return;
        }
        match trailers {
            Some(trailers) => self.host.trailers(stream, trailers),
            // HTTP/1 knows the end only after the last chunk.
            None if !ends_with_data => self.host.data(stream, b"", true),
            None => {}
        }
    }

    /// Lets the upstream answer, and notes when the client has its whole answer.
    fn settle(&mut self, client: &mut Client) {
        let Some(stream) = client.stream else { return };
        if client.finished.is_some() {
            return;
        }
        if let Outcome::Upstream(message) = self.host.outcome(stream) {
            // A gRPC answer may begin before the request has ended; the client waits for its end all the same.
            if message.complete && !client.answered {
                client.answered = true;
                self.answer(stream, &message.headers);
            }
        }
        if self.host.response(stream).is_some_and(|answer| answer.complete) {
            client.finished = Some(self.host.now());
        }
    }

    fn answer(&mut self, stream: StreamId, request: &Headers) {
        let answer = Answer::asked_by(request);
        if answer.never {
            return;
        }
        let grpc = is_grpc(request);
        let pieces = answer.pieces(request);
        self.host.respond(stream, &answer.head(request), pieces.is_none());
        let Some(mut pieces) = pieces else { return };
        let last = if grpc { None } else { pieces.pop() };
        for piece in pieces {
            self.host.respond_data(stream, &piece, false);
        }
        if grpc {
            let trailers = Headers::new().with("grpc-status", answer.grpc_status.to_string());
            self.host.respond_trailers(stream, &trailers);
        } else {
            self.host.respond_data(stream, &last.unwrap_or_default(), true);
        }
    }

    fn finish(&mut self, client: &Client) -> Exchange {
        let Some(stream) = client.stream else {
            return Exchange { answer: None, failure: Some("never sent".to_owned()), upstream: None, took: PATIENCE };
        };
        let upstream = match self.host.outcome(stream) {
            Outcome::Upstream(message) => Some(routed(message)),
            _ => None,
        };
        let answer = self.host.response(stream).filter(|answer| answer.complete).cloned();
        let failure = answer.is_none().then(|| format!("{:?}", self.host.outcome(stream)));
        let took = client.finished.unwrap_or(self.host.now()).saturating_sub(client.started);
        self.host.close(stream);
        Exchange { answer, failure, upstream, took }
    }
}

impl Gateway for HostGateway {
    fn exchange(&mut self, requests: Vec<Request>) -> Result<Vec<Exchange>> {
        let start = self.host.now();
        let mut last_event = start;
        let mut events = BinaryHeap::new();
        let mut clients = Vec::new();
        for (index, request) in requests.into_iter().enumerate() {
            let mut due = start;
            events.push(Reverse((due, index, Event::Headers)));
            for (part, sent) in request.body.iter().enumerate() {
                due += sent.after;
                events.push(Reverse((due, index, Event::Data { part })));
            }
            last_event = last_event.max(due);
            clients.push(Client { request, stream: None, started: start, finished: None, answered: false });
        }
        while let Some(Reverse((due, index, event))) = events.pop() {
            while self.host.now() < due {
                self.host.advance(STEP.min(due.saturating_sub(self.host.now())));
                clients.iter_mut().for_each(|client| self.settle(client));
            }
            let Some(client) = clients.get_mut(index) else { continue };
            match event {
                Event::Headers => self.open(client),
                Event::Data { part } => self.send_part(client, part),
            }
            self.settle(client);
        }
        while clients.iter().any(|client| client.finished.is_none()) && self.host.now() < last_event + PATIENCE {
            self.host.advance(STEP);
            clients.iter_mut().for_each(|client| self.settle(client));
        }
        if let Some(failure) = self.host.failure() {
            bail!("the filter has died: {failure}");
        }
        Ok(clients.iter().map(|client| self.finish(client)).collect())
    }

    fn stats(&mut self) -> Result<Stats> {
        Ok(self.host.metrics().map(|metric| (metric.name.clone(), metric.value)).collect())
    }

    fn log(&mut self) -> Result<Vec<String>> {
        Ok(self.host.log().iter().map(|line| line.text.clone()).collect())
    }
}

/// What the router adds on the way: the mark of the route that the headers select.
fn routed(mut message: Message) -> Message {
    let canary = message.headers.get("x-modelway-variant") == Some(b"canary");
    message.headers.add(ROUTE_MARK.as_bytes(), if canary { b"canary" } else { b"default" });
    message
}
