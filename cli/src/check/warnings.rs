//! What is allowed but hardly meant.

mod candidates;
mod generality;
mod reach;
#[cfg(test)]
mod tests;

use serde_json::Value;

use self::reach::Reach;
use super::tiers::{self, Tier};
use crate::faults::Fault;
use crate::mesh_file::Mesh;
use crate::split;
use crate::yaml::Path;

/// The warnings on a mesh without faults, by their paths in the routing.
pub(super) fn of(mesh: &Mesh) -> Vec<Fault> {
    let mut warnings = Vec::new();
    let mut reach = Reach::of(&mesh.config, &mesh.routing, &mesh.path);
    warnings.append(&mut reach.warnings);
    for (index, model) in mesh.config.models.iter().enumerate() {
        let path = Path::default().key("models").index(index);
        let weights: Vec<f64> = model.variants.iter().map(split::weight).collect();
        warnings
            .extend(nearly_percentages(&weights).map(|message| Fault { path: path.clone().key("variants"), message }));
        let rules = model.rules.iter().enumerate();
        warnings.extend(rules.filter_map(|(rule, it)| {
            let weights: Vec<f64> = it.split.iter().map(|share| share.weight.0).collect();
            let path = path.clone().key("rules").index(rule).key("split");
            nearly_percentages(&weights).map(|message| Fault { path, message })
        }));
        let value = mesh.routing.pointer(&format!("/models/{index}"));
        warnings.extend(value.and_then(|model| late_cheap_key(model, &path)));
    }
    warnings.extend(unknown_destinations(mesh));
    warnings.extend(peek_limit(mesh));
    warnings
}

/// Weights that somebody takes for percentages though they are not.
fn nearly_percentages(weights: &[f64]) -> Option<String> {
    let total: f64 = weights.iter().sum();
    let look_like = weights.iter().all(|weight| weight.fract() == 0.0 && *weight <= 100.0);
    let several = weights.iter().filter(|weight| **weight > 0.0).count() > 1;
    if !look_like || !several || total == 100.0 || !(80.0..=120.0).contains(&total) {
        return None;
    }
    let shares = weights.iter().map(|weight| format!("{weight} is {:.1} %", weight / total * 100.0));
    Some(format!("the weights sum to {total}, not to 100: {}", shares.collect::<Vec<_>>().join(", ")))
}

/// A key in the body before one in the headers holds requests that need not be held.
fn late_cheap_key(model: &Value, path: &Path) -> Option<Fault> {
    let keys = model.pointer("/sticky/by")?.as_array()?;
    let first_in_body = keys.iter().position(|key| tiers::of_key(key) == Tier::Body)?;
    let cheap = keys.iter().skip(first_in_body).find(|key| tiers::of_key(key) == Tier::Header)?;
    let message = format!(
        "the key {} needs the body tier and comes before {}: every request waits for its body, also where a header \
         would do; put it last",
        keys.get(first_in_body).map(tiers::words).unwrap_or_default(),
        tiers::words(cheap)
    );
    Some(Fault { path: path.clone().key("sticky").key("by").index(first_in_body), message })
}

/// Pools and clusters that the deployment of the same file does not have.
fn unknown_destinations(mesh: &Mesh) -> Vec<Fault> {
    let deployment = &mesh.deployment;
    // Istio's clusters are its own, and whoever lists no pools has routes of their own for them.
    let has_cluster = |name: &str| name == "runtimes" || name.contains('|') || deployment.clusters.contains_key(name);
    let has_pool = |name: &str| deployment.pools.is_empty() || deployment.pools.contains_key(name);
    let mut found = Vec::new();
    for (index, model) in mesh.config.models.iter().enumerate().filter(|_| mesh.is_mesh_file) {
        for (position, variant) in model.variants.iter().enumerate() {
            let path = Path::default().key("models").index(index).key("variants").index(position);
            if let Some(cluster) = variant.cluster.as_deref().filter(|name| !has_cluster(name)) {
                let message = format!(
                    "the gateway that `render` writes has no cluster '{cluster}': `deployment.clusters` names them"
                );
                found.push(Fault { path: path.clone().key("cluster"), message });
            }
            if let Some(pool) = variant.pool.as_deref().filter(|name| !has_pool(name)) {
                let message = format!("`deployment.pools` has no '{pool}': its requests go to `deployment.service`");
                found.push(Fault { path: path.key("pool"), message });
            }
        }
    }
    found
}

/// What the gateway does not buffer, the filter cannot read.
fn peek_limit(mesh: &Mesh) -> Option<Fault> {
    let (peek, buffer) = (mesh.config.peek_limit.0, mesh.deployment.gateway.buffer_limit.0);
    (peek >= buffer).then(|| Fault {
        path: Path::default().key("peekLimit"),
        message: format!(
            "{peek} bytes are not below the gateway's buffer limit of {buffer}: longer bodies would get 413; lower it, or \
             raise `deployment.gateway.bufferLimit`"
        ),
    })
}
