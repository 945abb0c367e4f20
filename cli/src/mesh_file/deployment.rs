//! The `deployment` section: what `up` starts and `render` writes down.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;
use std::path::{Path as FilePath, PathBuf};

use modelway_decision::config::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use crate::faults::{self, Fault};
use crate::source::Section;
use crate::yaml::Path;

/// Where the mesh runs: on this machine for `up`, in a cluster or beside an Envoy of yours for `render`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Deployment {
    /// The Envoy that clients call.
    pub(crate) gateway: Gateway,
    /// The filter's module, for `render`.
    pub(crate) module: Module,
    /// The model servers as the gateway finds them, for `render`.
    pub(crate) service: Service,
    /// Services for pools: where requests for variants with this `pool` go. Others go to `service`.
    pub(crate) pools: BTreeMap<String, Service>,
    /// Services for variants with this `cluster`, as Envoy's clusters beside `runtimes`, which is `service`. In Istio the
    /// clusters are its own: `outbound|8001||host`.
    pub(crate) clusters: BTreeMap<String, Service>,
    /// The cluster, for `render --target istio`.
    pub(crate) istio: Istio,
    /// The model servers that `up` starts.
    pub(crate) runtimes: Runtimes,
    /// For `up`: folder whose entries are the models, relative to the mesh file. Default `models`.
    pub(crate) models: PathBuf,
    /// For `up`: commands to show once the mesh is up; `$MODELWAY_GATEWAY` stands for the gateway's URL.
    pub(crate) examples: Vec<String>,
}

/// The Envoy that clients call.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Gateway {
    /// Where it listens. Default 127.0.0.1.
    pub(crate) address: IpAddr,
    /// Default 8008; 0 takes one that is free.
    pub(crate) port: u16,
    /// Port of Envoy's admin interface, on 127.0.0.1 only. Default 9901; `up` takes one that is free.
    pub(crate) admin_port: u16,
    /// Envoy's worker threads, for `up`. Default 1.
    pub(crate) concurrency: NonZeroU16,
    /// How much of a connection Envoy may buffer. Default 32 KiB, as Istio's gateways have.
    #[serde(deserialize_with = "byte_size")]
    pub(crate) buffer_limit: ByteSize,
    /// The largest request that can be sent again to another runtime. Default 64 MiB.
    #[serde(deserialize_with = "byte_size")]
    pub(crate) request_buffer_limit: ByteSize,
}

/// The filter's module.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Module {
    /// Where Istio fetches it: `oci://…`, `https://…` or `file://…`.
    pub(crate) url: Option<String>,
    /// The SHA-256 of the module, 64 hexadecimal digits. Without it, what is fetched is not checked.
    pub(crate) sha256: Option<String>,
    /// Where a plain Envoy finds it. Default `/etc/envoy/modelway_filter.wasm`.
    pub(crate) file: PathBuf,
}

/// The model servers as the gateway finds them: one port, for REST and gRPC alike.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Service {
    /// A name or an address. Default `modelway-runtime.modelway.svc.cluster.local`.
    pub(crate) host: String,
    /// Default 8001.
    pub(crate) port: NonZeroU16,
    /// What it speaks, by default `Http2`. For Istio leave it out of `pools`: there the `appProtocol` of the Service's port says
    /// it, and what is given here goes before.
    http: Option<UpstreamHttp>,
    /// Path that answers 200 while a server should get requests, asked every second. Default for `service`
    /// `/v2/health/ready`, as Modelway's runtime has it; `null` and for `pools` and `clusters` none. Not one that depends on
    /// single models: Triton and MLServer have `/v2/health/live`.
    #[serde(deserialize_with = "said")]
    #[schemars(with = "Option<String>")]
    health_path: Option<Option<String>>,
}

/// Which HTTP a model server speaks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
pub(crate) enum UpstreamHttp {
    /// HTTP/2 without TLS, for REST and gRPC alike, as Modelway's runtime does.
    #[default]
    Http2,
    /// HTTP/1.1, as servers do whose port has no gRPC.
    Http1,
    /// What the client speaks to the gateway: gRPC comes over HTTP/2, REST mostly over HTTP/1.1.
    AsClient,
}

/// What names things in the cluster.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Istio {
    /// What the resources are called. Default `modelway`.
    pub(crate) name: String,
    /// Namespace of the Gateway, the VirtualService and the DestinationRule. Default `modelway`.
    pub(crate) namespace: String,
    /// Namespace of the gateway's pods. Default `istio-system`.
    pub(crate) gateway_namespace: String,
    /// Labels of the gateway's pods. Default `istio: ingressgateway`.
    pub(crate) gateway_selector: BTreeMap<String, String>,
    /// The port that the gateway opens. Default 80.
    pub(crate) gateway_port: NonZeroU16,
    /// The hosts that clients call. Default `*`, all.
    pub(crate) hosts: Vec<String>,
}

/// The model servers that `up` starts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Runtimes {
    /// How many. Default 2.
    pub(crate) count: NonZeroU16,
    /// The program whose `serve` they are, for instance one with [model types of your own](custom-models.md). With a `/`
    /// it is a path, relative to the mesh file, else a name on the PATH. Default the one that `up` was called with.
    pub(crate) program: Option<PathBuf>,
}

// === impl Deployment ===

impl Deployment {
    /// With the paths that `up` takes made relative to where this program stands, not to the mesh file in `folder`.
    pub(super) fn in_folder(self, folder: &FilePath) -> Self {
        let program = self.runtimes.program.map(|program| {
            let is_path = program.components().count() > 1 || program.is_absolute();
            if is_path { folder.join(program) } else { program }
        });
        Self { models: folder.join(self.models), runtimes: Runtimes { program, ..self.runtimes }, ..self }
    }

    /// The `deployment` of a document, or its faults by their paths in it.
    pub(super) fn of(section: &Section) -> Result<Self, Vec<Fault>> {
        let Some(value) = section.document.get("deployment").filter(|value| !value.is_null()) else {
            return Ok(Self::default());
        };
        let deployment: Self = faults::of_section(value)?;
        let faults = deployment.faults();
        if faults.is_empty() { Ok(deployment) } else { Err(faults) }
    }

    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault = |path: Path, message: String| faults.push(Fault { path, message });
        if let Some(url) = &self.module.url
            && !["oci://", "http://", "https://", "file://"].iter().any(|scheme| url.starts_with(scheme))
        {
            fault(Path::parse("module.url"), format!("expected oci://…, https://… or file://…, got '{url}'"));
        }
        if self.runtimes.program.as_ref().is_some_and(|program| program.as_os_str().is_empty()) {
            fault(Path::parse("runtimes.program"), "expected a program, got ''; leave it out for this one".to_owned());
        }
        if let Some(digest) = &self.module.sha256
            && !(digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            fault(Path::parse("module.sha256"), format!("expected 64 hexadecimal digits, got '{digest}'"));
        }
        let named = |section: &str, name: &String| Path::default().key(section).key(name);
        let pools = self.pools.iter().map(|(name, service)| (named("pools", name), service));
        let clusters = self.clusters.iter().map(|(name, service)| (named("clusters", name), service));
        for (path, service) in [(Path::parse("service"), &self.service)].into_iter().chain(pools).chain(clusters) {
            let host = &service.host;
            if host.is_empty() || host.contains(['/', ' ']) {
                fault(path.clone().key("host"), format!("expected a host's name or address, got '{host}'"));
            }
            if let Some(health) = service.said_health_path().filter(|health| !health.starts_with('/')) {
                fault(
                    path.key("healthPath"),
                    format!("expected a path such as /v2/health/ready, or null, got '{health}'"),
                );
            }
        }
        let names = [
            ("istio.name", &self.istio.name),
            ("istio.namespace", &self.istio.namespace),
            ("istio.gatewayNamespace", &self.istio.gateway_namespace),
        ];
        for (path, name) in names {
            if !is_kubernetes_name(name) {
                fault(Path::parse(path), format!("expected at most 63 of a-z, 0-9 and `-`, got '{name}'"));
            }
        }
        if self.istio.gateway_selector.is_empty() {
            fault(
                Path::parse("istio.gatewaySelector"),
                "expected the labels of the gateway's pods, got none".to_owned(),
            );
        }
        if self.istio.hosts.is_empty() {
            fault(Path::parse("istio.hosts"), "expected at least one host, `*` for all".to_owned());
        }
        faults
    }
}

/// Tells a value that is null from one that is not there.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A size with a unit, or a number of bytes.
fn byte_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
    let text = match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        other => other.to_string(),
    };
    text.parse().map_err(de::Error::custom)
}

/// RFC 1123's label.
fn is_kubernetes_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(is_allowed) && !name.starts_with('-') && !name.ends_with('-')
}

impl Default for Deployment {
    fn default() -> Self {
        Self {
            gateway: Gateway::default(),
            module: Module::default(),
            service: Service::default(),
            pools: BTreeMap::new(),
            clusters: BTreeMap::new(),
            istio: Istio::default(),
            runtimes: Runtimes::default(),
            models: PathBuf::from("models"),
            examples: Vec::new(),
        }
    }
}

// === impl Gateway ===

impl Default for Gateway {
    fn default() -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 8008,
            admin_port: 9901,
            concurrency: NonZeroU16::MIN,
            buffer_limit: ByteSize(32 * 1024),
            request_buffer_limit: ByteSize(64 * 1024 * 1024),
        }
    }
}

// === impl Module ===

impl Default for Module {
    fn default() -> Self {
        Self { url: None, sha256: None, file: PathBuf::from("/etc/envoy/modelway_filter.wasm") }
    }
}

// === impl Service ===

impl Default for Service {
    fn default() -> Self {
        Self {
            host: "modelway-runtime.modelway.svc.cluster.local".to_owned(),
            port: NonZeroU16::MIN.saturating_add(8000),
            http: None,
            health_path: None,
        }
    }
}

impl Service {
    /// What it speaks, if that was said.
    pub(crate) fn said_http(&self) -> Option<UpstreamHttp> {
        self.http
    }

    /// Where it tells its readiness, if that was said.
    pub(crate) fn said_health_path(&self) -> Option<&str> {
        self.health_path.as_ref()?.as_deref()
    }

    /// The same of Modelway's runtimes, who have one.
    pub(crate) fn health_path_of_runtimes(&self) -> Option<&str> {
        match &self.health_path {
            None => Some("/v2/health/ready"),
            Some(said) => said.as_deref(),
        }
    }
}

// === impl Istio ===

impl Default for Istio {
    fn default() -> Self {
        Self {
            name: "modelway".to_owned(),
            namespace: "modelway".to_owned(),
            gateway_namespace: "istio-system".to_owned(),
            gateway_selector: BTreeMap::from([("istio".to_owned(), "ingressgateway".to_owned())]),
            gateway_port: NonZeroU16::MIN.saturating_add(79),
            hosts: vec!["*".to_owned()],
        }
    }
}

// === impl Runtimes ===

impl Default for Runtimes {
    fn default() -> Self {
        Self { count: NonZeroU16::MIN.saturating_add(1), program: None }
    }
}
