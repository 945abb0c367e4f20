//! What is counted: requests by model, variant, protocol and outcome; what the filter refused; bodies
//! that it could not read; latencies where a model asks for them.
//!
//! A series is defined when it first counts something and then costs one call to the gateway. The
//! gateway keeps every series for good, so names that a client makes up are capped: beyond the cap
//! they share `other`. Models that the configuration lists by name are never folded.

mod name;
mod series;
#[cfg(test)]
mod tests;

use std::cell::RefCell;

use modelway_decision::config::Protocol;
use modelway_decision::{Router, Unread};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use self::name::StatName;
use self::series::AllSeries;
use crate::host::{self, MetricId, MetricKind};
use crate::outcome::{Outcome, protocol_name};
use crate::table::Table;

/// What one request is counted by.
#[derive(Clone, Copy)]
pub(crate) struct Labels<'a> {
    pub(crate) model: &'a [u8],
    pub(crate) variant: Option<&'a [u8]>,
    /// Tells model and variant within a configuration, where both are listed.
    pub(crate) number: Option<u32>,
}

/// A configuration's series of requests that have counted something, by the variant's number, protocol and outcome:
/// for these no label is looked at again.
pub(crate) struct OwnSeries(RefCell<Table<MetricId>>);

thread_local! {
    /// Of the instance, not of a plugin: a configuration that replaces another one goes on with the same series.
    static SERIES: RefCell<AllSeries> = const { RefCell::new(AllSeries::new()) };
}

// === impl OwnSeries ===

impl OwnSeries {
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(Table::new()))
    }
}

/// Stands for the names beyond the cap.
const OTHER: &[u8] = b"other";

/// Counts a request that has ended, or whose outcome is known.
pub(crate) fn count_request(
    router: &Router,
    own: &OwnSeries,
    labels: Labels<'_>,
    protocol: Protocol,
    outcome: Outcome,
) {
    if !router.settings().stats.enabled {
        return;
    }
    let number = labels.number.map(|number| u64::from(number) << 4 | (protocol as u64) << 2 | outcome as u64);
    let known = number.and_then(|number| own.0.borrow_mut().get_mut(number).copied());
    let id = known.or_else(|| {
        let id = series_of(router, labels, protocol, outcome)?;
        if let Some(number) = number {
            own.0.borrow_mut().insert(number, id);
        }
        Some(id)
    });
    if let Some(id) = id {
        let _ = host::increment_metric(id);
    }
}

/// The series of these labels, defined if they come for the first time.
#[inline(never)]
fn series_of(router: &Router, labels: Labels<'_>, protocol: Protocol, outcome: Outcome) -> Option<MetricId> {
    let settings = router.settings().stats;
    SERIES.with_borrow_mut(|all| {
        let model = all.label_for(labels.model, settings.most_names, || router.lists(labels.model)).unwrap_or(OTHER);
        let key = all.key(&[b"r", model, labels.variant.unwrap_or_default(), &[protocol as u8, outcome as u8]]);
        all.find_or_define(key, MetricKind::Counter, || {
            StatName::default()
                .tag("model", model)
                .tag("variant", labels.variant.unwrap_or(b"-"))
                .tag("protocol", protocol_name(protocol).as_bytes())
                .tag("outcome", outcome.name().as_bytes())
                .named("modelway_requests_total")
        })
    })
}

/// Adds a latency to the histogram of a model's variant.
pub(crate) fn record_latency(router: &Router, labels: Labels<'_>, milliseconds: u64) {
    let settings = router.settings().stats;
    if !settings.enabled {
        return;
    }
    SERIES.with_borrow_mut(|all| {
        let model = all.label_for(labels.model, settings.most_names, || router.lists(labels.model)).unwrap_or(OTHER);
        let key = all.key(&[b"l", model, labels.variant.unwrap_or_default()]);
        let id = all.find_or_define(key, MetricKind::Histogram, || {
            StatName::default()
                .tag("model", model)
                .tag("variant", labels.variant.unwrap_or(b"-"))
                .named("modelway_request_milliseconds")
        });
        if let Some(id) = id {
            let _ = host::record_metric(id, milliseconds);
        }
    });
}

/// Counts an answer that the filter gave itself.
pub(crate) fn count_refused(router: &Router, status: u16) {
    let reason = match status {
        403 => "forbidden",
        404 => "not_found",
        500.. => "internal",
        _ => "invalid",
    };
    count(router, "modelway_refused_total", reason);
}

/// Why routing did without a body that the gateway does not show.
pub(crate) const NOT_SHOWN: &str = "not_shown";

/// Why routing did without a body, or without a part of it.
pub(crate) fn reason(unread: Unread) -> &'static str {
    match unread {
        Unread::Compressed => "compressed",
        Unread::Malformed => "malformed",
        Unread::PastLimit => "over_limit",
    }
}

/// Counts a body that routing did without, by one of the reasons above.
pub(crate) fn count_unread(router: &Router, reason: &'static str) {
    count(router, "modelway_unread_bodies_total", reason);
}

/// Says whether the gateway shows no bodies.
pub(crate) fn set_body_tier_missing(is_missing: bool) {
    SERIES.with_borrow_mut(|all| {
        let key = all.key(&[b"b"]);
        let name = || StatName::default().named("modelway_body_tier_missing");
        if let Some(id) = all.find_or_define(key, MetricKind::Gauge, name) {
            let _ = host::record_metric(id, u64::from(is_missing));
        }
    });
}

fn count(router: &Router, name: &'static str, reason: &'static str) {
    if !router.settings().stats.enabled {
        return;
    }
    SERIES.with_borrow_mut(|all| {
        let key = all.key(&[b"c", name.as_bytes(), reason.as_bytes()]);
        let name = || StatName::default().tag("reason", reason.as_bytes()).named(name);
        if let Some(id) = all.find_or_define(key, MetricKind::Counter, name) {
            let _ = host::increment_metric(id);
        }
    });
}

/// One number for several texts; a seed that nobody outside knows keeps names from being made to collide.
fn hash(seed: u64, parts: &[&[u8]]) -> u64 {
    parts.iter().fold(seed, |hash, part| xxh3_64_with_seed(part, hash ^ (part.len() as u64).rotate_left(32)))
}
