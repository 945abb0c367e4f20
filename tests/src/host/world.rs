//! What the guest can reach through host calls: clock, timer, logs, metrics, shared data, and the streams.

use std::collections::BTreeMap;
use std::time::Duration;

use wasmtime::{Memory, TypedFunc};

use super::flow::Flow;
use crate::headers::Headers;

/// How the host behaves where Envoy's behaviour depends on its configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// `allow_on_headers_stop_iteration` in the filter's `PluginConfig`.
    pub allow_on_headers_stop_iteration: bool,
    /// `per_connection_buffer_limit_bytes` of the listener.
    pub buffer_limit: usize,
    /// What `random_get` starts from.
    pub seed: u64,
    /// What `proxy_get_log_level` says and below which lines are not kept: 0 trace … 5 critical.
    pub log_level: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { allow_on_headers_stop_iteration: true, buffer_limit: 1 << 20, seed: 1, log_level: 2 }
    }
}

/// One line of the guest's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// 0 trace, 1 debug, 2 info, 3 warn, 4 error, 5 critical.
    pub level: u32,
    /// The line without its level.
    pub text: String,
}

/// A metric by its name; the kind is Envoy's number: 0 counter, 1 gauge, 2 histogram.
#[derive(Clone, Debug, Default)]
pub struct Metric {
    /// 0 counter, 1 gauge, 2 histogram.
    pub kind: u32,
    /// The name it was defined with.
    pub name: String,
    /// The value of a counter or gauge.
    pub value: u64,
    /// What was recorded in a histogram.
    pub samples: Vec<u64>,
}

/// The two directions of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Request,
    Response,
}

/// An answer that the guest gives itself.
#[derive(Clone, Debug)]
pub(crate) struct LocalReply {
    pub(crate) status: u32,
    pub(crate) body: Vec<u8>,
    pub(crate) headers: Headers,
    pub(crate) grpc_status: i32,
    pub(crate) details: String,
}

/// What a host call asks for and Envoy does only after the guest has returned.
#[derive(Clone, Debug)]
pub(crate) enum Deferred {
    Continue(u32, Direction),
    Reply(u32, LocalReply),
    Reset(u32),
}

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) request: Flow,
    pub(crate) response: Flow,
    pub(crate) buffer_limit: usize,
    /// The answer is our own: the details that Envoy would log.
    pub(crate) local_reply: Option<String>,
    pub(crate) reset: bool,
    pub(crate) properties: BTreeMap<Vec<u8>, Vec<u8>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Timer {
    pub(crate) period: Duration,
    pub(crate) due: Duration,
}

pub(crate) struct World {
    pub(crate) settings: Settings,
    /// Since the Unix epoch; only the test moves it.
    pub(crate) clock: Duration,
    pub(crate) timer: Option<Timer>,
    pub(crate) configuration: Vec<u8>,
    /// Envoy shows the configuration during `proxy_on_configure` only.
    pub(crate) configuration_reachable: bool,
    pub(crate) log: Vec<LogLine>,
    pub(crate) metrics: BTreeMap<u32, Metric>,
    pub(crate) shared_data: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    pub(crate) streams: BTreeMap<u32, Stream>,
    /// The context whose callback runs, and the one the guest has asked to act for (0: the same).
    pub(crate) current_context: u32,
    pub(crate) effective_context: u32,
    pub(crate) deferred: Vec<Deferred>,
    pub(crate) random_state: u64,
    pub(crate) memory: Option<Memory>,
    pub(crate) allocate: Option<TypedFunc<u32, u32>>,
}

// === impl Stream ===

impl Stream {
    pub(crate) fn new(buffer_limit: usize) -> Self {
        Self {
            request: Flow::new(),
            response: Flow::new(),
            buffer_limit,
            local_reply: None,
            reset: false,
            properties: BTreeMap::new(),
        }
    }

    pub(crate) fn flow(&mut self, direction: Direction) -> &mut Flow {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }

    /// Whether callbacks in this direction have come to their end.
    pub(crate) fn is_over(&self, direction: Direction) -> bool {
        self.reset || (direction == Direction::Request && self.local_reply.is_some())
    }
}

// === impl World ===

impl World {
    pub(crate) fn new(settings: Settings, configuration: &[u8]) -> Self {
        Self {
            random_state: settings.seed,
            settings,
            clock: Duration::from_secs(1_790_000_000),
            timer: None,
            configuration: configuration.to_vec(),
            configuration_reachable: false,
            log: Vec::new(),
            metrics: BTreeMap::new(),
            shared_data: BTreeMap::new(),
            streams: BTreeMap::new(),
            current_context: 0,
            effective_context: 0,
            deferred: Vec::new(),
            memory: None,
            allocate: None,
        }
    }

    /// The context that a host call acts for.
    pub(crate) fn acting_context(&self) -> u32 {
        if self.effective_context == 0 { self.current_context } else { self.effective_context }
    }

    /// The stream that a host call acts for, unless it acts for the plugin.
    pub(crate) fn acting_stream(&mut self) -> Option<&mut Stream> {
        let context = self.acting_context();
        self.streams.get_mut(&context)
    }

    pub(crate) fn nanoseconds(&self) -> u64 {
        u64::try_from(self.clock.as_nanos()).unwrap_or(u64::MAX)
    }

    pub(crate) fn keep_log(&mut self, level: u32, text: String) {
        if level >= self.settings.log_level {
            self.log.push(LogLine { level, text });
        }
    }

    /// The next bytes of a small generator (SplitMix64): the same for the same seed, so that a test can be repeated.
    pub(crate) fn random_bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            self.random_state = self.random_state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.random_state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            bytes.extend((mixed ^ (mixed >> 31)).to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}
