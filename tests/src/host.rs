//! A proxy-wasm host (ABI 0.2.1) that behaves as Envoy does, so that a case takes microseconds and time is the test's.
//!
//! It is biased towards Envoy's corners: when a header map is out of reach, where a buffer may be edited, what is held
//! and when it is let go. Where Envoy and the specification differ, it does what Envoy does.
//! Several streams live in one instance, and the clock stands still until the test moves it.

mod flow;
mod guest;
mod imports;
mod local_reply;
mod memory;
mod pairs;
mod wasi;
mod world;

use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use wasmtime::{Instance, Linker, Store, Val};

pub use flow::Message;
use flow::{Iteration, Verdict};
pub use guest::{Guest, filter_path, repository};
use world::{Deferred, Direction, LocalReply, Stream, World};
pub use world::{LogLine, Metric, Settings};

use crate::headers::Headers;

/// The context of the plugin itself; streams come after it.
pub(crate) const ROOT_CONTEXT: u32 = 1;

const ALLOCATORS: [&str; 2] = ["proxy_on_memory_allocate", "malloc"];

/// A stream of a [`Host`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(u32);

/// Where a request is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The filter holds it.
    Held,
    /// It has gone on to the upstream, this much of it.
    Upstream(Message),
    /// The gateway has answered it.
    LocalReply(Message),
    /// It was reset.
    Reset,
}

/// The filter refused its configuration; what it logged meanwhile is the reason.
#[derive(Debug)]
pub struct Refusal {
    /// The guest's log.
    pub log: Vec<LogLine>,
    /// What went wrong where it was not a plain refusal.
    pub failure: Option<String>,
}

/// One instance of a guest, configured and running.
pub struct Host {
    store: Store<World>,
    instance: Instance,
    next_context: u32,
    /// Why the guest is dead. From then on every request is answered 503, as by `failure_policy: FAIL_CLOSED`.
    failure: Option<String>,
}

// === impl Host ===

impl Host {
    /// Starts the guest and shows it its configuration.
    pub fn configure(
        guest: &Guest,
        settings: &Settings,
        configuration: &[u8],
    ) -> Result<std::result::Result<Self, Refusal>> {
        let mut linker = Linker::new(&guest.engine);
        imports::link(&mut linker).and_then(|()| wasi::link(&mut linker)).map_err(|error| anyhow!("{error:?}"))?;
        let mut store = Store::new(&guest.engine, World::new(settings.clone(), configuration));
        // Refused by engines that do not count.
        let _ = store.set_fuel(u64::MAX);
        let instance = linker
            .instantiate(&mut store, &guest.module)
            .map_err(|error| anyhow!("envoy would not load this module: {error:?}"))?;
        if instance.get_func(&mut store, "proxy_abi_version_0_2_1").is_none() {
            bail!("the module does not export proxy_abi_version_0_2_1");
        }
        let memory = instance.get_memory(&mut store, "memory");
        let allocate = ALLOCATORS.iter().find_map(|name| instance.get_typed_func::<u32, u32>(&mut store, name).ok());
        store.data_mut().memory = memory;
        store.data_mut().allocate = allocate;

        let mut host = Self { store, instance, next_context: ROOT_CONTEXT + 1, failure: None };
        let accepted = host.start(configuration.len());
        if accepted && host.failure.is_none() {
            return Ok(Ok(host));
        }
        Ok(Err(Refusal { log: host.log().to_vec(), failure: host.failure }))
    }

    fn start(&mut self, configuration_size: usize) -> bool {
        self.call(0, "_initialize", &[]);
        self.call(ROOT_CONTEXT, "proxy_on_context_create", &[ROOT_CONTEXT, 0]);
        if self.call(ROOT_CONTEXT, "proxy_on_vm_start", &[ROOT_CONTEXT, 0]) == Some(0) {
            return false;
        }
        let size = u32::try_from(configuration_size).unwrap_or(u32::MAX);
        self.store.data_mut().configuration_reachable = true;
        let accepted = self.call(ROOT_CONTEXT, "proxy_on_configure", &[ROOT_CONTEXT, size]);
        self.store.data_mut().configuration_reachable = false;
        accepted != Some(0)
    }

    // === the client's side ===

    /// A request arrives; `end` says that nothing follows its headers.
    pub fn request(&mut self, headers: &Headers, end: bool) -> StreamId {
        let id = self.next_context;
        self.next_context += 1;
        let world = self.store.data_mut();
        world.streams.insert(id, Stream::new(world.settings.buffer_limit));
        self.call(id, "proxy_on_context_create", &[id, ROOT_CONTEXT]);
        self.headers_arrive(id, Direction::Request, headers, end);
        StreamId(id)
    }

    /// Sets how much of this request's body may be held, where that is not the listener's limit: over HTTP/2 it is the
    /// stream's window, and a route may have a limit of its own.
    pub fn limit_buffer(&mut self, stream: StreamId, limit: usize) {
        if let Some(stream) = self.stream(stream.0) {
            stream.buffer_limit = limit;
        }
    }

    /// More of the request's body arrives.
    pub fn data(&mut self, stream: StreamId, chunk: &[u8], end: bool) {
        self.data_arrives(stream.0, Direction::Request, chunk, end);
    }

    /// The request's trailers arrive, which end it.
    pub fn trailers(&mut self, stream: StreamId, trailers: &Headers) {
        self.trailers_arrive(stream.0, Direction::Request, trailers);
    }

    // === the upstream's side ===

    /// The upstream answers a request; `end` says that nothing follows its headers.
    pub fn respond(&mut self, stream: StreamId, headers: &Headers, end: bool) {
        self.headers_arrive(stream.0, Direction::Response, headers, end);
    }

    /// More of the response's body arrives.
    pub fn respond_data(&mut self, stream: StreamId, chunk: &[u8], end: bool) {
        self.data_arrives(stream.0, Direction::Response, chunk, end);
    }

    /// The response's trailers arrive, which end it.
    pub fn respond_trailers(&mut self, stream: StreamId, trailers: &Headers) {
        self.trailers_arrive(stream.0, Direction::Response, trailers);
    }

    // === what has come of it ===

    /// Where the request is now.
    pub fn outcome(&self, stream: StreamId) -> Outcome {
        let Some(stream) = self.store.data().streams.get(&stream.0) else { return Outcome::Reset };
        if stream.reset {
            return Outcome::Reset;
        }
        if stream.local_reply.is_some() {
            return stream.response.sent.clone().map_or(Outcome::Held, Outcome::LocalReply);
        }
        stream.request.sent.clone().map_or(Outcome::Held, Outcome::Upstream)
    }

    /// What the client has got so far.
    pub fn response(&self, stream: StreamId) -> Option<&Message> {
        self.store.data().streams.get(&stream.0)?.response.sent.as_ref()
    }

    /// Why the gateway answered itself: the response code details that Envoy would log.
    pub fn response_details(&self, stream: StreamId) -> Option<&str> {
        self.store.data().streams.get(&stream.0)?.local_reply.as_deref()
    }

    /// The stream is over: the guest logs it and forgets it.
    pub fn close(&mut self, stream: StreamId) {
        self.call(stream.0, "proxy_on_log", &[stream.0]);
        self.call(stream.0, "proxy_on_done", &[stream.0]);
        self.call(stream.0, "proxy_on_delete", &[stream.0]);
        self.store.data_mut().streams.remove(&stream.0);
    }

    // === time ===

    /// Moves the clock, with every tick that falls due on the way.
    pub fn advance(&mut self, duration: Duration) {
        let target = self.store.data().clock + duration;
        loop {
            let world = self.store.data_mut();
            let Some(timer) = world.timer.as_mut().filter(|timer| timer.due <= target) else { break };
            world.clock = world.clock.max(timer.due);
            timer.due += timer.period;
            self.call(ROOT_CONTEXT, "proxy_on_tick", &[ROOT_CONTEXT]);
        }
        self.store.data_mut().clock = target;
    }

    /// The virtual time since the Unix epoch.
    pub fn now(&self) -> Duration {
        self.store.data().clock
    }

    // === what the guest has left behind ===

    /// The guest's log so far.
    pub fn log(&self) -> &[LogLine] {
        &self.store.data().log
    }

    /// The metrics that the guest has defined.
    pub fn metrics(&self) -> impl Iterator<Item = &Metric> {
        self.store.data().metrics.values()
    }

    /// Why the guest has died, if it has: the trap and where it happened.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// The bytes of the guest's memory.
    pub fn memory_size(&self) -> usize {
        self.store.data().memory.map_or(0, |memory| memory.data_size(&self.store))
    }

    /// The instructions that a metered guest has run.
    pub fn instructions(&self) -> Option<u64> {
        self.store.get_fuel().ok().map(|left| u64::MAX - left)
    }

    /// What an export without parameters answers, of a module that has one besides those of the ABI.
    pub fn ask(&mut self, export: &str) -> Option<u32> {
        self.call(ROOT_CONTEXT, export, &[])
    }

    // === calls into the guest ===

    /// Calls an export, then does what the guest asked for meanwhile. `None`: there is no such export, or the guest is
    /// dead; Envoy goes on as if the answer had been "continue".
    fn call(&mut self, context: u32, export: &str, arguments: &[u32]) -> Option<u32> {
        if self.failure.is_some() {
            return None;
        }
        let function = self.instance.get_func(&mut self.store, export)?;
        let world = self.store.data_mut();
        world.current_context = context;
        world.effective_context = 0;
        let arguments: Vec<Val> = arguments.iter().map(|argument| Val::I32(argument.cast_signed())).collect();
        let result_count = function.ty(&self.store).results().len();
        let mut results = vec![Val::I32(0); result_count];
        let outcome = function.call(&mut self.store, &arguments, &mut results);
        let world = self.store.data_mut();
        world.current_context = 0;
        world.effective_context = 0;
        let deferred = std::mem::take(&mut world.deferred);
        if let Err(trap) = outcome {
            self.failure = Some(format!("{export} trapped: {trap:?}"));
            return None;
        }
        for action in deferred {
            self.perform(action);
        }
        results.first().and_then(Val::i32).map(i32::cast_unsigned)
    }

    fn perform(&mut self, action: Deferred) {
        match action {
            Deferred::Continue(id, direction) => self.continue_stream(id, direction),
            Deferred::Reply(id, reply) => self.reply(id, &reply),
            Deferred::Reset(id) => {
                if let Some(stream) = self.stream(id) {
                    stream.reset = true;
                }
            }
        }
    }

    fn stream(&mut self, id: u32) -> Option<&mut Stream> {
        self.store.data_mut().streams.get_mut(&id)
    }

    /// The stream, unless nothing more happens in this direction.
    fn live(&mut self, id: u32, direction: Direction) -> Option<&mut Stream> {
        self.stream(id).filter(|stream| !stream.is_over(direction))
    }

    // === the filter chain ===

    fn headers_arrive(&mut self, id: u32, direction: Direction, headers: &Headers, end: bool) {
        if self.fail_closed(id, direction) {
            return;
        }
        let Some(stream) = self.live(id, direction) else { return };
        stream.flow(direction).headers_arrive(headers.clone(), end);
        let export = match direction {
            Direction::Request => "proxy_on_request_headers",
            Direction::Response => "proxy_on_response_headers",
        };
        let count = u32::try_from(headers.len()).unwrap_or(u32::MAX);
        let answer = self.call(id, export, &[id, count, u32::from(end)]);
        if self.fail_closed(id, direction) {
            return;
        }
        let stop_here = self.store.data().settings.allow_on_headers_stop_iteration;
        let verdict = match answer.unwrap_or(0) {
            0 => Verdict::Continue,
            1 if stop_here => Verdict::StopHere,
            _ => Verdict::StopAll,
        };
        if let Some(stream) = self.live(id, direction) {
            stream.flow(direction).after_headers(verdict);
        }
    }

    fn data_arrives(&mut self, id: u32, direction: Direction, chunk: &[u8], end: bool) {
        if self.fail_closed(id, direction) {
            return;
        }
        let Some(stream) = self.live(id, direction) else { return };
        let Some(size) = stream.flow(direction).data_arrives(chunk, end) else { return };
        let export = match direction {
            Direction::Request => "proxy_on_request_body",
            Direction::Response => "proxy_on_response_body",
        };
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let answer = self.call(id, export, &[id, size, u32::from(end)]);
        if self.fail_closed(id, direction) {
            return;
        }
        let verdict = match answer.unwrap_or(0) {
            0 => Verdict::Continue,
            1 => Verdict::BufferAndStop,
            2 => Verdict::WatermarkAndStop,
            _ => Verdict::DropAndStop,
        };
        let Some(stream) = self.live(id, direction) else { return };
        let limit = stream.buffer_limit;
        if stream.flow(direction).after_data(verdict, limit) {
            self.reply(id, &too_large());
        }
    }

    fn trailers_arrive(&mut self, id: u32, direction: Direction, trailers: &Headers) {
        if self.fail_closed(id, direction) {
            return;
        }
        let Some(stream) = self.live(id, direction) else { return };
        if stream.flow(direction).trailers_arrive(trailers.clone()) {
            self.show_trailers(id, direction);
        }
    }

    fn show_trailers(&mut self, id: u32, direction: Direction) {
        let Some(stream) = self.live(id, direction) else { return };
        let count = stream.flow(direction).trailers.as_ref().map_or(0, Headers::len);
        let export = match direction {
            Direction::Request => "proxy_on_request_trailers",
            Direction::Response => "proxy_on_response_trailers",
        };
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let answer = self.call(id, export, &[id, count]);
        if self.fail_closed(id, direction) {
            return;
        }
        let verdict = if answer.unwrap_or(0) == 0 { Verdict::Continue } else { Verdict::StopHere };
        if let Some(stream) = self.live(id, direction) {
            stream.flow(direction).after_trailers(verdict);
        }
    }

    /// `proxy_continue_stream`: what was held here goes on; what nobody has seen yet comes before the filter first.
    fn continue_stream(&mut self, id: u32, direction: Direction) {
        let Some(stream) = self.live(id, direction) else { return };
        let flow = stream.flow(direction);
        flow.headers_reachable = false;
        if flow.iteration != Iteration::StoppedAll {
            flow.release();
            return;
        }
        let unseen = std::mem::take(&mut flow.held);
        let trailers = flow.trailers.take();
        let ended = flow.ended && trailers.is_none();
        flow.ended = ended && unseen.is_empty();
        flow.release();
        if !unseen.is_empty() {
            self.data_arrives(id, direction, &unseen, ended);
        }
        if let Some(trailers) = trailers {
            self.trailers_arrive(id, direction, &trailers);
        }
    }

    /// The gateway answers itself; its answer passes the response callbacks like any other.
    fn reply(&mut self, id: u32, reply: &LocalReply) {
        let Some(stream) = self.stream(id) else { return };
        if stream.local_reply.is_some() {
            return;
        }
        if stream.response.sent.is_some() {
            stream.reset = true;
            return;
        }
        stream.local_reply = Some(reply.details.clone());
        let (headers, body) = local_reply::render(reply, &stream.request.headers);
        self.headers_arrive(id, Direction::Response, &headers, body.is_empty());
        if !body.is_empty() {
            self.data_arrives(id, Direction::Response, &body, true);
        }
    }

    /// With a dead guest every request is answered 503 without it.
    fn fail_closed(&mut self, id: u32, direction: Direction) -> bool {
        if self.failure.is_none() {
            return false;
        }
        if direction == Direction::Request
            && let Some(stream) = self.stream(id)
            && stream.local_reply.is_none()
        {
            stream.local_reply = Some("wasm_fail_stream".to_owned());
            let headers = Headers::new().with(":status", "503");
            stream.response.sent = Some(Message { headers, body: Vec::new(), trailers: None, complete: true });
        }
        true
    }
}

fn too_large() -> LocalReply {
    LocalReply {
        status: 413,
        body: b"Payload Too Large".to_vec(),
        headers: Headers::new(),
        grpc_status: -1,
        details: "request_payload_too_large".to_owned(),
    }
}

#[cfg(test)]
mod tests;
