//! The rows of what was measured in gateways.

use crate::plan::{SIZES, grpc_name, models_name, names, rest_key_first_name, rest_name};
use crate::raw::{Of, Row, Side};
use crate::rounds::Measured;
use crate::routing::MANY;

const PER_REQUEST: &str = "µs CPU per request";
const ADDED: &str = "µs CPU added per request";

/// What the body-reading peers and ours are compared at.
const PEERS_AT: &str = "100 KB";

/// The rows for which all sides were measured.
pub(crate) fn rows(measured: &Measured) -> Vec<Row> {
    let mut rows = Vec::new();
    for (_, size) in SIZES {
        rows.extend(rest(measured, size));
    }
    for (_, size) in SIZES {
        rows.extend(grpc(measured, size));
    }
    for (_, size) in SIZES {
        rows.extend(against_peers(measured, size));
    }
    rows.extend(full_scan(measured));
    rows.extend(many_models(measured));
    rows
}

/// The rows of modules that were named on the command line, against Envoy alone.
pub(crate) fn rows_of_modules(measured: &Measured, modules: &[String]) -> Vec<Row> {
    let mut rows = Vec::new();
    for module in modules {
        for (_, size) in SIZES {
            for workload in [rest_name(size), grpc_name(size)] {
                let sides = (measured.side(module, &workload), measured.side(names::NONE, &workload));
                let (Some(ours), Some(none)) = sides else { continue };
                let name = format!("filter {workload}: {module}, against no filter");
                rows.push(Row::against(&name, PER_REQUEST, Of::OursToPeer, ours, none));
            }
        }
    }
    rows
}

/// The cost of a request through ours over that of one through Envoy alone.
fn rest(measured: &Measured, size: &str) -> Vec<Row> {
    let none = measured.side(names::NONE, &rest_name(size));
    let empty = measured.side(names::EMPTY, &rest_name(size));
    let row = |title: &str, ours: Option<Side>, peer: &Option<Side>| {
        let (ours, peer) = (ours?, peer.clone()?);
        Some(Row::against(&format!("filter REST {size}: {title}"), PER_REQUEST, Of::OursToPeer, ours, peer))
    };
    let side = |variant| measured.side(variant, &rest_name(size));
    let goal = |row: Row, goal| if size == "1 KB" { row.goal(goal) } else { row };
    [
        row("header tier, against no filter", side(names::HEADER_TIER), &none).map(|row| goal(row, "<= 1.15")),
        row("header tier without body callbacks, against no filter", side(names::HEADERS_ONLY), &none)
            .map(|row| goal(row, "<= 1.15")),
        row("path rewritten, against no filter", side(names::REWRITE), &none).map(|row| goal(row, "<= 1.15")),
        row("all policies on, against no filter", side(names::POLICIES), &none).map(|row| goal(row, "<= 1.35")),
        row("header tier, against an empty module", side(names::HEADER_TIER), &empty),
        row("key in the body, against no filter", measured.side(names::KEY_IN_BODY, &rest_key_first_name(size)), &none),
        row("the header tier's host calls without its code, against no filter", side(names::HOST_CALLS), &none),
        row("empty module with our exports, against no filter", empty.clone(), &none),
        row("empty module with the fewest exports, against no filter", side(names::PRUNED), &none),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn grpc(measured: &Measured, size: &str) -> Vec<Row> {
    let side = |variant| measured.side(variant, &grpc_name(size));
    let row = |title: &str, ours: Option<Side>, peer: Option<Side>| {
        Some(Row::against(&format!("filter gRPC {size}: {title}"), PER_REQUEST, Of::OursToPeer, ours?, peer?))
    };
    [
        row("peek with rewrite, against an empty module", side(names::REWRITE), side(names::EMPTY))
            .map(|row| row.goal("<= 1.10")),
        row("peek with rewrite, against no filter", side(names::REWRITE), side(names::NONE)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What is added to Envoy's own cost: by ours, and by what else finds the model.
fn against_peers(measured: &Measured, size: &str) -> Vec<Row> {
    let ways = [
        ("model in the path", measured.side(names::REWRITE, &rest_name(size))),
        ("whole body read", measured.side(names::KEY_ANYWHERE, &rest_name(size))),
    ];
    let peers = [(names::JSON_TO_METADATA, ">= 10"), (names::LUA, ">= 5"), (names::EXT_PROC, ">= 5")];
    let mut rows = Vec::new();
    for (way, ours) in ways {
        for (peer, goal) in peers {
            let sides =
                (ours.clone(), measured.side(peer, &rest_name(size)), measured.side(names::NONE, &rest_name(size)));
            let (Some(ours), Some(other), Some(base)) = sides else { continue };
            let name = format!("filter REST {size}: {way}, CPU added, against {peer}");
            let row = Row::against(&name, ADDED, Of::PeerToOurs, ours, other).above(base);
            rows.push(if size == PEERS_AT { row.goal(goal) } else { row });
        }
    }
    if let Some(samples) = measured.cells.get(&(names::EXT_PROC.to_owned(), rest_name(size))) {
        let server = Side::new("the external processor itself", samples.beside.clone());
        rows.push(Row::alone(&format!("filter REST {size}: ext_proc, the server's own CPU"), PER_REQUEST, server));
    }
    rows
}

/// A key behind a megabyte of tensors: all of it is held, copied into the module and scanned there.
fn full_scan(measured: &Measured) -> Option<Row> {
    let (size, name) = SIZES.into_iter().next_back()?;
    let per_byte = |side: Side| {
        let samples = side.samples.into_iter().map(|microseconds| microseconds * 1e3 / size as f64);
        Side::new(side.what, samples.collect())
    };
    let ours = per_byte(measured.side(names::KEY_ANYWHERE, &rest_name(name))?);
    let base = per_byte(measured.side(names::NONE, &rest_name(name))?);
    let title = format!("filter full JSON scan of {name} in V8, CPU added (1 is 1 GB/s)");
    Some(Row::alone(&title, "ns per byte", ours).above(base).goal("<= 1"))
}

fn many_models(measured: &Measured) -> Vec<Row> {
    let mut rows = Vec::new();
    let one = measured.side(names::ONE_MODEL, &models_name(1));
    for (variant, asked) in [(names::MANY_MODELS, 1), (names::MANY_MODELS, MANY), (names::BY_PATTERN, MANY)] {
        let (Some(ours), Some(one)) = (measured.side(variant, &models_name(asked)), one.clone()) else { continue };
        let calls = if asked == 1 { "always the same asked for" } else { "all of them asked for" };
        let name = format!("filter {}, {calls}, gateway CPU, against one model", variant.trim_start_matches("ours, "));
        rows.push(Row::against(&name, PER_REQUEST, Of::OursToPeer, ours, one).goal("<= 1.1"));
    }
    let megabytes = |name: &str| measured.resident.get(name).map(|bytes| Side::one(name, *bytes as f64 / 1e6));
    let milliseconds = |name: &str| measured.started_in.get(name).map(|time| Side::one(name, time.as_secs_f64() * 1e3));
    for variant in [names::MANY_MODELS, names::BY_PATTERN] {
        let what = variant.trim_start_matches("ours, ");
        if let (Some(ours), Some(one)) = (megabytes(variant), megabytes(names::ONE_MODEL)) {
            rows.push(Row::against(&format!("filter {what}, memory of the gateway"), "MB", Of::OursToPeer, ours, one));
        }
        if let (Some(ours), Some(one)) = (milliseconds(variant), milliseconds(names::ONE_MODEL)) {
            rows.push(Row::against(&format!("filter {what}, gateway ready"), "ms", Of::OursToPeer, ours, one));
        }
    }
    rows
}

// === impl Measured ===

impl Measured {
    fn side(&self, variant: &str, workload: &str) -> Option<Side> {
        let samples = self.cells.get(&(variant.to_owned(), workload.to_owned()))?;
        Some(Side::new(format!("{variant} / {workload}"), samples.gateway.clone()))
    }
}
