//! The decision: from a call to the variant that serves it.

mod compile;
mod entry;
mod experiment;
mod headers;
mod key;
mod names;
mod positions;
mod ramp;
mod reach;
mod split;
mod stages;
#[cfg(test)]
mod tests;
mod why;

pub use self::headers::Field;
pub(crate) use self::why::put_json_text;
pub use self::why::{Exposure, Reason, Why};

use std::borrow::Cow;

use self::entry::{Asking, Brake, Choice, Entry, Variant, cookie_value};
use self::headers::OutgoingHeaders;
use self::key::Key;
use self::names::Names;
use crate::brake::{Gate, Guard};
use crate::config::{Admin, Claims, ConfigError, Mode, OnPeekLimit, Protocol, Rewrite, Routing, Stats, UnknownModels};
use crate::header::{self, Headers};
use crate::message::{Message, Needs};
use crate::nearest::nearest;
use crate::peek::Peek;
use crate::reply::{Reply, shown};
use crate::rewrite::Tail;

/// A configuration, compiled: nothing in it needs checking any more.
#[derive(Debug)]
pub struct Router {
    entries: Vec<Entry>,
    names: Names,
    parameter_names: Vec<Vec<u8>>,
    unknown_models: UnknownModels,
    rewrite: Rewrite,
    admin: Admin,
    /// Whether a key or a rule looks at something that only a request's body tells.
    reads_bodies: bool,
    /// Whether a rule looks at names, datatypes or shapes of inputs.
    keeps_inputs: bool,
    peek_limit: usize,
    on_peek_limit: OnPeekLimit,
    mode: Mode,
    path_prefixes: Vec<Vec<u8>>,
    brakes: Vec<BrakePlace>,
    headers: OutgoingHeaders,
    secret: Option<Vec<u8>>,
    exposure_sample: Option<f64>,
    settings: Settings,
}

/// Where a brake's variant stands.
#[derive(Debug)]
struct BrakePlace {
    entry: usize,
    position: usize,
    /// Scope, model and variant, with zeros between, which no name has.
    name: Vec<u8>,
}

/// What concerns the shell alone.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the claims of the sender's token stand.
    pub claims: Claims,
    /// Whether answers bear the model's public name.
    pub restore_model_name: bool,
    /// Whether requests go on as they came.
    pub dry_run: bool,
    /// What is counted.
    pub stats: Stats,
    /// Whether model, variant and target are left for access logs.
    pub filter_state: bool,
}

/// What to do once the headers are there.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub enum Start<'a> {
    /// The headers tell all.
    Known(Route<'a>),
    /// The body tells the rest: hold the headers and feed the peek.
    Read(Box<Peek>),
}

/// Where a request goes.
// It lives for one call; a box would be a piece of memory for every request.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub enum Route<'a> {
    /// On, as it is: no call for a model, or none whose model could be read.
    Pass,
    /// Nowhere: this is the answer.
    Reply(Reply),
    /// To a model.
    To(Decision<'a>),
}

/// Where a call for a model goes, and what the headers of the contract say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decision<'a> {
    /// The model by the name that was asked for.
    pub model: Cow<'a, [u8]>,
    /// The variant chosen; none for a model that is not listed.
    pub variant: Option<&'a [u8]>,
    /// The variant's number in this configuration, where the model was asked for by the name that lists it. Two
    /// requests of one number have model and variant in common.
    pub number: Option<u32>,
    /// What the client speaks.
    pub protocol: Protocol,
    /// The upstream's name of the model.
    pub target: Cow<'a, [u8]>,
    /// The variant's version, else the one asked for.
    pub version: Option<Cow<'a, [u8]>>,
    /// What the gateway hashes.
    pub affinity: Cow<'a, [u8]>,
    /// What a route may match.
    pub pool: Option<&'a [u8]>,
    /// Envoy's cluster, where the route goes by a header.
    pub cluster: Option<&'a [u8]>,
    /// The host that the upstream gets.
    pub authority: Option<&'a [u8]>,
    /// The variant that gets a copy.
    pub shadow: Option<Box<ShadowCopy<'a>>>,
    /// The brake that the answer counts for.
    pub brake: Option<Braked>,
    /// A `set-cookie` value for the answer, so that the next request sticks.
    pub set_cookie: Option<String>,
    /// The unit's part in an experiment, where it is to be recorded.
    pub exposure: Option<Exposure<'a>>,
    /// Why it is what it is.
    pub why: Why<'a>,
    /// Whether the client may know why, and asks.
    pub explains: bool,
    /// Whether a histogram of latencies is kept.
    pub latency_histogram: bool,
    /// The path to send on, where it changes.
    pub path: Option<Vec<u8>>,
    /// Whether the name, and the version, that the body tells are to be replaced.
    pub rewrites_message: bool,
    /// What is to be added behind a gRPC message that is not held.
    pub tail: Option<Box<Tail>>,
}

/// A copy of a request for a variant whose answer nobody gets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShadowCopy<'a> {
    /// The variant.
    pub variant: &'a [u8],
    /// The upstream's name of its model.
    pub target: Cow<'a, [u8]>,
    /// Its version.
    pub version: Option<&'a [u8]>,
    /// Envoy's cluster for the copy.
    pub cluster: &'a [u8],
}

/// A request for a guarded variant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Braked {
    /// The brake's number.
    pub number: usize,
    /// Whether the request was let through as a probe.
    pub is_probe: bool,
}

/// Model and version as asked for.
#[derive(Clone)]
struct Asked<'a> {
    model: Cow<'a, [u8]>,
    version: Option<Cow<'a, [u8]>>,
}

// === impl Router ===

impl Router {
    /// Reads and compiles a configuration; the error tells every fault with its path.
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        Self::new(&Routing::from_json(json)?)
    }

    /// Settings that concern the shell alone.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The headers of a decision that upstreams and routes read, by name.
    pub fn headers(&self) -> impl Iterator<Item = (Field, &str)> {
        self.headers.iter()
    }

    /// Whether only the filter may set a header of this name: a client's copies are removed.
    pub fn is_ours(&self, name: &[u8]) -> bool {
        self.headers.is_ours(name)
    }

    /// The names that clients call and their entries' numbers, aliases and patterns left out.
    pub fn model_names(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.iter().filter(|entry| !entry.is_pattern).map(|entry| entry.name.as_slice())
    }

    /// The guards and gates of all brakes, in the order of their numbers.
    pub fn brakes(&self) -> impl Iterator<Item = (&Guard, &Gate)> {
        let brakes = self.brakes.iter().filter_map(|place| self.brake_at(place));
        brakes.map(|brake| (&brake.guard, &brake.gate))
    }

    /// What tells a brake from all others, also of other configurations of the same models.
    pub fn brake_name(&self, number: usize) -> Option<&[u8]> {
        self.brakes.get(number).map(|place| place.name.as_slice())
    }

    fn brake_at(&self, place: &BrakePlace) -> Option<&Brake> {
        self.entries.get(place.entry)?.variants.get(place.position)?.brake.as_ref()
    }

    /// The number of a parameter that rules or keys look at.
    fn parameter_number(&self, name: &[u8]) -> Option<usize> {
        self.parameter_names.iter().position(|known| known == name)
    }

    /// What of the body can matter for this model, given the headers.
    fn needed(&self, head: &impl Headers, protocol: Protocol, model: &[u8], version: Option<&[u8]>) -> Needs {
        let Some(entry) = self.entry(head, model) else { return Needs::default() };
        entry.needed(&Asking { head, protocol, version, forced: self.forced(head) })
    }

    fn entry(&self, head: &impl Headers, model: &[u8]) -> Option<&Entry> {
        self.names.find(head, model).and_then(|index| self.entries.get(index))
    }

    /// The variant that a tester who knows the secret asks for.
    fn forced<'a>(&self, head: &'a impl Headers) -> Option<&'a [u8]> {
        if self.is_tester(head) { head.first(header::FORCE) } else { None }
    }

    fn is_tester(&self, head: &impl Headers) -> bool {
        let Some(secret) = &self.secret else { return false };
        head.first(header::SECRET).is_some_and(|given| equal_in_constant_time(given, secret))
    }

    fn decide<'a>(
        &'a self,
        head: &impl Headers,
        protocol: Protocol,
        asked: Asked<'a>,
        message: &Message,
        random: u64,
    ) -> Route<'a> {
        let explains = self.is_tester(head) && head.first(header::EXPLAIN).is_some();
        let Some(entry) = self.entry(head, &asked.model) else {
            return match self.unknown_models {
                UnknownModels::Pass => Route::To(Decision { explains, ..Decision::unlisted(protocol, asked) }),
                UnknownModels::Reject => Route::Reply(self.no_such_model(&asked.model)),
            };
        };
        let asking = Asking { head, protocol, version: asked.version.as_deref(), forced: self.forced(head) };
        if let Some(forced) = asking.forced
            && !entry.variants.iter().any(|variant| variant.name == forced)
        {
            return Route::Reply(no_such_variant(&asked.model, entry, forced));
        }
        match entry.choose(&asking, message, random) {
            Some(choice) => {
                let is_recorded = |exposure: &Exposure<'_>| {
                    self.exposure_sample
                        .is_some_and(|sample| crate::assign::Unit::random(exposure.unit).place() < sample)
                };
                let mut decision = Decision::listed(protocol, asked, entry, &choice);
                decision.exposure = choice.exposure.filter(is_recorded);
                decision.explains = explains;
                Route::To(decision)
            }
            None if self.unknown_models == UnknownModels::Pass => {
                Route::To(Decision { explains, ..Decision::unlisted(protocol, asked) })
            }
            None => Route::Reply(no_such_version(&asked, entry)),
        }
    }

    fn no_such_model(&self, model: &[u8]) -> Reply {
        /// Comparing is quadratic in the names' lengths: a stranger must not make it expensive.
        const MOST_COMPARED: usize = 256;
        let asked = shown(model);
        let known = self.entries.iter().take(MOST_COMPARED).filter_map(|entry| std::str::from_utf8(&entry.name).ok());
        match nearest(&asked, known) {
            Some(known) => Reply::not_found(format!("model '{asked}' is not known, did you mean '{known}'?")),
            None => Reply::not_found(format!("model '{asked}' is not known")),
        }
    }

    fn rewrites(&self, asked: &Asked<'_>, decision: &Decision<'_>) -> bool {
        match self.rewrite {
            Rewrite::Auto => asked.model != decision.target || asked.version != decision.version,
            Rewrite::Headers => false,
            Rewrite::Always => true,
        }
    }
}

// === impl Decision ===

impl<'a> Decision<'a> {
    /// The name asked for is the upstream's own.
    fn unlisted(protocol: Protocol, asked: Asked<'a>) -> Self {
        Self {
            variant: None,
            number: None,
            protocol,
            target: asked.model.clone(),
            affinity: asked.model.clone(),
            model: asked.model,
            version: asked.version,
            pool: None,
            cluster: None,
            authority: None,
            shadow: None,
            brake: None,
            set_cookie: None,
            exposure: None,
            why: Why { reason: Reason::Unlisted, key: None, draw: None, avoided: None },
            explains: false,
            latency_histogram: false,
            path: None,
            rewrites_message: false,
            tail: None,
        }
    }

    fn listed(protocol: Protocol, asked: Asked<'a>, entry: &'a Entry, choice: &Choice<'a>) -> Self {
        let variant = choice.variant;
        let target = entry.target(variant, &asked.model);
        let shadow = choice.shadow.and_then(|shadow| {
            Some(Box::new(ShadowCopy {
                variant: &shadow.name,
                target: entry.target(shadow, &asked.model),
                version: shadow.version.as_deref(),
                cluster: shadow.cluster.as_deref()?,
            }))
        });
        let is_probe = choice.is_probe;
        let new_cookie = choice.draw.and_then(|draw| draw.new_cookie).zip(entry.cookie.as_ref());
        let is_by_own_name = !entry.is_pattern && *asked.model == *entry.name;
        Self {
            variant: Some(&variant.name),
            number: is_by_own_name.then_some(variant.number),
            protocol,
            affinity: variant.affinity.as_deref().map_or_else(|| target.clone(), Cow::Borrowed),
            target,
            version: variant.version.as_deref().map(Cow::Borrowed).or(asked.version),
            model: asked.model,
            pool: variant.pool.as_deref(),
            cluster: variant.cluster.as_deref(),
            authority: variant.authority.as_deref(),
            shadow,
            brake: variant.brake.as_ref().map(|brake| Braked { number: brake.number, is_probe }),
            set_cookie: new_cookie.map(|(bits, cookie)| cookie.set(&cookie_value(bits))),
            exposure: None,
            why: Why {
                reason: choice.reason,
                key: choice.draw.and_then(|draw| draw.key).map(Key::shown),
                draw: choice.draw.map(|draw| draw.unit.hash()),
                avoided: choice.avoided.map(|variant| variant.name.as_slice()),
            },
            explains: false,
            latency_histogram: entry.latency_histogram,
            path: None,
            rewrites_message: false,
            tail: None,
        }
    }
}

impl Entry {
    /// The upstream's name of a variant's model.
    fn target<'a>(&'a self, variant: &'a Variant, asked: &Cow<'a, [u8]>) -> Cow<'a, [u8]> {
        match (&variant.model, self.is_pattern) {
            (Some(model), _) => model.as_slice().into(),
            (None, true) => asked.clone(),
            (None, false) => self.name.as_slice().into(),
        }
    }
}

fn no_such_version(asked: &Asked<'_>, entry: &Entry) -> Reply {
    let (model, version) = (shown(&asked.model), shown(asked.version.as_deref().unwrap_or_default()));
    let known: Vec<String> = entry.versions().map(|version| format!("'{}'", shown(version))).collect();
    Reply::not_found(format!("model '{model}' has no version '{version}', it has {}", known.join(", ")))
}

fn no_such_variant(model: &[u8], entry: &Entry, asked: &[u8]) -> Reply {
    let known: Vec<String> = entry.variants.iter().map(|variant| format!("'{}'", shown(&variant.name))).collect();
    Reply::invalid(format!("model '{}' has no variant '{}', it has {}", shown(model), shown(asked), known.join(", ")))
}

/// The time tells nothing about where two secrets differ.
fn equal_in_constant_time(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |differs, (left, right)| differs | (left ^ right)) == 0
}
