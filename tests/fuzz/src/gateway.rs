//! A request through the decision, step by step as the filter takes it.

use std::borrow::Cow;

use modelway_decision::rewrite::{Edit, Prefix, Tail};
use modelway_decision::{Decision, Peek, Route, Router, Start, header};

use crate::input::pieces;

/// The fields of a request, `:method` and `:path` among them.
pub type Headers = Vec<(Vec<u8>, Vec<u8>)>;

/// What the gateway knows of a request, its body aside. The sender's address and claims stand among the fields.
struct Head<'a>(&'a Headers);

/// The field of the sender's address.
const SOURCE: &[u8] = b":source";
/// The fields of the sender's claims begin so.
const CLAIM: &[u8] = b":claim-";
/// 2026-11-22 12:00:00 UTC.
const NOW: u64 = 1_795_348_800_000_000_000;

/// What of a body is looked at first; the filter's own first look is longer, as bodies are.
const FIRST_LOOK: usize = 64;

/// A draw for requests without a key.
const DRAW: u64 = 0x1234_5678_9abc_def0;

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its header fields.
    pub headers: Headers,
    /// Its body; `None`: the headers end it.
    pub body: Option<Vec<u8>>,
}

/// Where it went.
// Made once for each input; its size costs nothing here.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Seen {
    /// On, as it was.
    Passed,
    /// Nowhere; the HTTP and the gRPC status of the answer.
    Refused(u32, u32),
    /// To a model.
    Routed(Routed),
}

/// What the upstream gets, and is told in headers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Routed {
    /// `x-modelway-model`.
    pub model: Vec<u8>,
    /// `x-modelway-variant`.
    pub variant: Option<Vec<u8>>,
    /// `x-modelway-target`.
    pub target: Vec<u8>,
    /// `x-modelway-version`.
    pub version: Option<Vec<u8>>,
    /// `x-modelway-affinity`.
    pub affinity: Vec<u8>,
    /// `x-modelway-pool`.
    pub pool: Option<Vec<u8>>,
    /// The path.
    pub path: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
    /// All that was decided, for comparing.
    pub decision: String,
}

/// A router of a configuration that must be right.
///
/// # Panics
///
/// Where it is refused.
pub fn router(routing: &serde_json::Value) -> Router {
    match Router::from_json(routing.to_string().as_bytes()) {
        Ok(router) => router,
        Err(error) => panic!("{routing} is refused: {error}"),
    }
}

/// Sends a request, its body cut at these places.
pub fn send(router: &Router, request: &Request, cuts: &[usize]) -> Seen {
    let head = &Head(&request.headers);
    let mut peek = match router.start(head, request.body.is_some(), DRAW) {
        Start::Known(Route::To(mut decision)) => return known(request, &mut decision, cuts),
        Start::Known(route) => return seen(request, route, None),
        Start::Read(peek) => peek,
    };
    let body = request.body.as_deref().unwrap_or_default();
    let mut received = 0;
    for piece in pieces(body, cuts) {
        received += piece.len();
        if is_enough(router, head, &mut peek, body.get(..received).unwrap_or_default()) {
            break;
        }
    }
    let route = router.finish(head, Some(&*peek), DRAW);
    seen(request, route, Some(&*peek))
}

/// As the filter reads what has come so far: little at first, then as much as there is room for, and never what the peek
/// passes over.
fn is_enough(router: &Router, head: &Head<'_>, peek: &mut Peek, received: &[u8]) -> bool {
    loop {
        let from = peek.taken();
        let most = if from == 0 { FIRST_LOOK } else { usize::MAX };
        let to = received.len().min(from + peek.room().min(most));
        let is_enough = router.read(head, peek, received.get(from..to).unwrap_or_default());
        if is_enough || from == to {
            return is_enough;
        }
        peek.pass(received.len().saturating_sub(peek.taken()));
    }
}

/// Sends it whole, in these pieces and in many small ones: however it is cut, the same must come of it.
///
/// # Panics
///
/// Where it does not.
pub fn send_in_pieces(router: &Router, request: &Request, cuts: &[usize]) -> Seen {
    let whole = send(router, request, &[]);
    if let Some(body) = &request.body {
        assert_eq!(whole, send(router, request, cuts), "cut at {cuts:?}");
        // A long body byte by byte would take most of the time.
        let step = body.len() / 128 + 1;
        let everywhere: Vec<usize> = (0..body.len()).step_by(step).collect();
        assert_eq!(whole, send(router, request, &everywhere), "cut after every {step} bytes");
    }
    whole
}

fn seen(request: &Request, route: Route<'_>, peek: Option<&Peek>) -> Seen {
    match route {
        Route::Pass => Seen::Passed,
        Route::Reply(reply) => Seen::Refused(reply.status.into(), reply.grpc_status),
        Route::To(decision) => Seen::Routed(routed(request, &decision, peek)),
    }
}

fn routed(request: &Request, decision: &Decision<'_>, peek: Option<&Peek>) -> Routed {
    let told = [
        Some(&*decision.model),
        decision.variant,
        Some(&*decision.target),
        decision.version.as_deref(),
        Some(&*decision.affinity),
        decision.pool,
        decision.cluster,
        decision.authority,
        decision.set_cookie.as_deref().map(str::as_bytes),
    ];
    for value in told.into_iter().flatten() {
        let is_header = !value.iter().any(u8::is_ascii_control) && value.trim_ascii() == value;
        assert!(is_header, "{} does not come through as a header", value.escape_ascii());
    }
    let path = request.headers.iter().find(|(name, _)| name == b":path").map(|(_, value)| value.clone());
    let body = request.body.clone().unwrap_or_default();
    Routed {
        model: decision.model.to_vec(),
        variant: decision.variant.map(<[u8]>::to_vec),
        target: decision.target.to_vec(),
        version: decision.version.as_deref().map(<[u8]>::to_vec),
        affinity: decision.affinity.to_vec(),
        pool: decision.pool.map(<[u8]>::to_vec),
        path: decision.path.clone().or(path).unwrap_or_default(),
        body: if decision.rewrites_message { rewritten(&body, decision, peek) } else { body },
        decision: format!("{decision:?}"),
    }
}

fn rewritten(body: &[u8], decision: &Decision<'_>, peek: Option<&Peek>) -> Vec<u8> {
    let peek = peek.expect("a body that was read");
    let read = body.get(..peek.renamed_bytes()).expect("no more than was read");
    match peek.renamed(read, &decision.target, decision.version.as_deref()) {
        Some(Prefix { replaces, with }) => {
            assert_eq!(
                Prefix { replaces, with: with.clone() }.new_length(body.len() as u64),
                (with.len() + body.len() - replaces) as u64
            );
            [&with, body.get(replaces..).unwrap_or_default()].concat()
        }
        None => body.to_vec(),
    }
}

/// A decision from the headers; a message that goes by may get a tail.
fn known(request: &Request, decision: &mut Decision<'_>, cuts: &[usize]) -> Seen {
    let tail = decision.tail.take();
    let mut routed = routed(request, decision, None);
    if let Some(mut tail) = tail {
        let expected = tail.new_length(routed.body.len() as u64);
        match with_tail(&mut tail, &routed.body, cuts) {
            Ok(body) => routed.body = body,
            Err(status) => return status,
        }
        assert!(!tail.is_done() || routed.body.len() as u64 == expected, "the length is not what was told");
    }
    Seen::Routed(routed)
}

#[allow(clippy::result_large_err)]
fn with_tail(tail: &mut Tail, body: &[u8], cuts: &[usize]) -> Result<Vec<u8>, Seen> {
    let mut sent = Vec::new();
    let mut waiting = Vec::new();
    let pieces = pieces(body, cuts);
    for (index, piece) in pieces.iter().enumerate() {
        waiting.extend_from_slice(piece);
        let end = index + 1 == pieces.len();
        let read = |range: std::ops::Range<usize>| waiting.get(range).map(<[u8]>::to_vec).ok_or(());
        match tail.edit(waiting.len(), end, read).expect("no more is read than is there") {
            Edit::Keep => {}
            Edit::Wait => {
                assert!(!end, "bytes are kept back for ever");
                continue;
            }
            Edit::Change(start, behind) => {
                if let Some(Prefix { replaces, with }) = start {
                    waiting.splice(..replaces, with);
                }
                waiting.extend_from_slice(&behind);
            }
            Edit::Refuse(reply) => return Err(Seen::Refused(reply.status.into(), reply.grpc_status)),
        }
        sent.append(&mut waiting);
    }
    sent.append(&mut waiting);
    Ok(sent)
}

// === impl Head ===

impl header::Headers for Head<'_> {
    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.as_slice().iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    fn source_address(&self) -> Option<Cow<'_, [u8]>> {
        self.first(SOURCE).map(Cow::Borrowed)
    }

    fn claim(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.first(&[CLAIM, name].concat()).map(|value| Cow::Owned(value.to_vec()))
    }

    fn now(&self) -> u64 {
        NOW
    }
}

// === impl Request ===

impl Request {
    /// A request with these fields first.
    pub fn new(method: &str, path: &[u8], body: Option<&[u8]>) -> Self {
        let headers = vec![
            (b":method".to_vec(), method.as_bytes().to_vec()),
            (b":path".to_vec(), path.to_vec()),
            (b":authority".to_vec(), b"models.example".to_vec()),
        ];
        Self { headers, body: body.map(<[u8]>::to_vec) }
    }

    /// The same with one more field.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.as_bytes().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// A JSON `POST`.
    pub fn json(path: &str, body: &[u8]) -> Self {
        Self::new("POST", path.as_bytes(), Some(body)).header("content-type", "application/json")
    }

    /// A gRPC call for a model.
    pub fn grpc(body: &[u8]) -> Self {
        Self::new("POST", b"/inference.GRPCInferenceService/ModelInfer", Some(body))
            .header("content-type", "application/grpc")
    }
}

// === impl Seen ===

impl Seen {
    /// What the upstream gets where it was routed.
    pub fn routed(&self) -> Option<&Routed> {
        match self {
            Self::Routed(routed) => Some(routed),
            Self::Passed | Self::Refused(..) => None,
        }
    }

    /// The variant where there is one.
    pub fn variant(&self) -> Option<&[u8]> {
        self.routed()?.variant.as_deref()
    }
}
