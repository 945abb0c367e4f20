//! Users of one model: each request has every key that could be looked at, with the user's name in it.

use std::net::Ipv4Addr;

use anyhow::{Context, bail};
use modelway_decision::config::{ModelEntry, StickyKey};
use serde_json::{Map, json};

use crate::mesh_file::Mesh;
use crate::request::Request;

pub(super) struct Crowd<'m> {
    path: String,
    keys: Vec<&'m StickyKey>,
    headers: Vec<(String, String)>,
    now: u64,
}

// === impl Crowd ===

impl<'m> Crowd<'m> {
    /// The users of the model of this number.
    pub(super) fn of(mesh: &'m Mesh, model: usize, headers: &[String], now: u64) -> anyhow::Result<Self> {
        let model = mesh.config.models.get(model).context("no such model")?;
        let sticky = model.sticky.iter().flat_map(|sticky| &sticky.by);
        let experiments = mesh.config.experiments.iter();
        let over_it = experiments.filter(|it| it.arms.iter().any(|arm| arm.variants.contains_key(&model.name)));
        let mut keys: Vec<&StickyKey> = Vec::new();
        for key in sticky.chain(over_it.flat_map(|experiment| &experiment.by)) {
            if !keys.iter().any(|known| format!("{known:?}") == format!("{key:?}")) {
                keys.push(key);
            }
        }
        let headers: Option<Vec<_>> = headers.iter().map(|line| line.split_once(':')).collect();
        let Some(headers) = headers else { bail!("--header: expected `name: value`") };
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
        Ok(Self { path: path_of(mesh, model), keys, headers, now })
    }

    /// The request of the user of this number.
    pub(super) fn request(&self, number: u64) -> Request {
        let user = format!("user-{number}");
        let mut request = Request::new("POST", &self.path);
        request.head.now = self.now;
        let mut parameters = Map::new();
        let mut body = Map::new();
        for key in &self.keys {
            match key {
                StickyKey::Header(name) => add_header(&mut request, name, &user),
                StickyKey::Cookie(name) => add_header(&mut request, "cookie", &format!("{name}={user}")),
                StickyKey::Claim(name) => {
                    request.head.claims.insert(name.clone(), user.clone());
                }
                StickyKey::Parameter(name) => {
                    parameters.insert(name.clone(), json!(user));
                }
                StickyKey::RequestId => {
                    body.insert("id".to_owned(), json!(user));
                }
                StickyKey::SourceAddress => {
                    // 10.0.0.0/8 and on.
                    let address = 0x0a00_0000_u32.wrapping_add(u32::try_from(number).unwrap_or(u32::MAX));
                    request.head.source_address = Some(Ipv4Addr::from(address).to_string());
                }
            }
        }
        if !parameters.is_empty() {
            body.insert("parameters".to_owned(), parameters.into());
        }
        if !body.is_empty() {
            request.body = serde_json::Value::Object(body).to_string().into_bytes();
        }
        for (name, value) in &self.headers {
            add_header(&mut request, name, value);
        }
        request
    }
}

/// A name that the configuration has checked.
fn add_header(request: &mut Request, name: &str, value: &str) {
    // What is no header's name would have been refused.
    let _ = request.add_header(name, value);
}

/// A pattern's users ask for the name that ends in `model`.
fn path_of(mesh: &Mesh, model: &ModelEntry) -> String {
    let name = match model.name.strip_suffix('*') {
        Some(prefix) => format!("{prefix}model"),
        None => model.name.clone(),
    };
    let scope = mesh.config.scopes.iter().find(|scope| Some(&scope.name) == model.scope.as_ref());
    let prefix = scope.and_then(|scope| scope.path_prefix.as_deref()).unwrap_or_default();
    let mut path = format!("{prefix}/v2/models/");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path + "/infer"
}
