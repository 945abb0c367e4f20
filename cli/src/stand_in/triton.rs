//! Triton's command line.
//!
//! Source: `tritonserver --help`, and KServe's ServingRuntimes for it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, bail};

use super::Settings;

/// Whether it listens, where, and on which port if it is not said.
const PORTS: [(&str, &str, u16); 3] =
    [("allow-http", "http-port", 8000), ("allow-grpc", "grpc-port", 8001), ("allow-metrics", "metrics-port", 8002)];

const ADDRESSES: [&str; 3] = ["http-address", "grpc-address", "metrics-address"];

/// How Triton waits for requests in flight, in seconds.
const EXIT_TIMEOUT: &str = "30";

/// Somebody relies on these; each with what to do instead.
const REFUSED: [(&str, &str); 8] = [
    ("grpc-use-ssl", "TLS is the gateway's"),
    ("grpc-use-ssl-mutual", "TLS is the gateway's"),
    ("http-restricted-api", "the gateway's filter refuses administrative calls by itself"),
    ("grpc-restricted-protocol", "the gateway's filter refuses administrative calls by itself"),
    ("allow-sagemaker", "the protocols are v2 over REST and gRPC"),
    ("allow-vertex-ai", "the protocols are v2 over REST and gRPC"),
    ("model-namespacing", "there is one models folder, so leave it out"),
    ("rate-limit-resource", "leave it out, there are no rate limits"),
];

/// They tune Triton, and nothing here.
const IGNORED: [&str; 34] = [
    "allow-cpu-metrics",
    "allow-gpu-metrics",
    "backend-config",
    "backend-directory",
    "buffer-manager-thread-count",
    "cache-config",
    "cache-directory",
    "cuda-memory-pool-byte-size",
    "cuda-virtual-address-size",
    "disable-auto-complete-config",
    "enable-peer-access",
    "exit-on-error",
    "grpc-infer-allocation-pool-size",
    "grpc-infer-response-compression-level",
    "grpc-infer-thread-count",
    "grpc-max-response-pool-size",
    "host-policy",
    "http-thread-count",
    "id",
    "log-error",
    "log-file",
    "log-format",
    "log-info",
    "log-verbose",
    "log-warning",
    "metrics-config",
    "metrics-interval-ms",
    "min-supported-compute-capability",
    "model-load-gpu-limit",
    "model-load-retry-count",
    "pinned-memory-pool-byte-size",
    "rate-limit",
    "repoagent-directory",
    "response-cache-byte-size",
];

/// The same, by how they begin.
const IGNORED_FAMILIES: [&str; 4] = ["grpc-keepalive-", "grpc-http2-", "trace-", "sagemaker-"];

/// What is so here anyway, and is said by everyone.
const SILENT: [&str; 4] = ["strict-model-config", "strict-readiness", "reuse-http-port", "reuse-grpc-port"];

/// Options by name, each with its values in order.
struct Options(BTreeMap<String, Vec<String>>);

/// What `tritonserver` with these arguments means.
pub(super) fn settings(arguments: &[&str]) -> anyhow::Result<Settings> {
    let mut options = Options::parse(arguments)?;
    let mut settings = Settings::default();
    let folder = match (options.last("model-repository")?, options.last("model-store")?) {
        (Some(folder), None) | (None, Some(folder)) => folder,
        (None, None) => bail!("tritonserver: --model-repository=FOLDER says where the models are"),
        (Some(_), Some(_)) => bail!("tritonserver: --model-store is --model-repository, give one of them"),
    };
    settings.set("models", folder);
    settings.set("host", options.address()?.to_string());
    settings.set_all("ports", options.ports()?);
    let timeout = options.number("exit-timeout-secs")?.unwrap_or_else(|| EXIT_TIMEOUT.to_owned());
    settings.set("drain_timeout", format!("{timeout}s"));
    if let Some(threads) = options.number("model-load-thread-count")?.filter(|threads| threads != "0") {
        settings.set("loads_at_once", threads);
    }
    if let Some(bytes) = options.number("http-max-input-size")? {
        settings.set("body_limit", bytes);
    }
    options.control(&mut settings)?;
    options.rest(&mut settings)?;
    Ok(settings)
}

// === impl Options ===

impl Options {
    /// `--name=value` or `--name value`, as Triton takes them.
    fn parse(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut options: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let Some(option) = argument.strip_prefix("--").filter(|option| !option.is_empty()) else {
                bail!("tritonserver: '{argument}' is no option, expected for instance --model-repository=FOLDER");
            };
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, value),
                None => {
                    let value = arguments.next().filter(|value| !value.starts_with("--"));
                    (option, *value.with_context(|| format!("tritonserver: --{option} has no value"))?)
                }
            };
            options.entry(name.to_owned()).or_default().push(value.to_owned());
        }
        Ok(Self(options))
    }

    /// The value of an option that stands at most once.
    fn last(&mut self, name: &str) -> anyhow::Result<Option<String>> {
        let mut values = self.0.remove(name).unwrap_or_default();
        let value = values.pop();
        if !values.is_empty() {
            bail!("tritonserver: --{name} stands {} times, this server takes one", values.len() + 1);
        }
        Ok(value)
    }

    fn number(&mut self, name: &str) -> anyhow::Result<Option<String>> {
        let Some(text) = self.last(name)? else { return Ok(None) };
        let number: u32 = text.parse().with_context(|| format!("tritonserver: --{name}={text}, expected a number"))?;
        Ok(Some(number.to_string()))
    }

    fn flag(&mut self, name: &str, default: bool) -> anyhow::Result<bool> {
        let Some(text) = self.last(name)? else { return Ok(default) };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => bail!("tritonserver: --{name}={text}, expected true or false"),
        }
    }

    fn ports(&mut self) -> anyhow::Result<Vec<String>> {
        let mut ports = Vec::new();
        for (allow, name, default) in PORTS {
            let port = match self.last(name)? {
                None => default,
                Some(text) => {
                    text.parse().with_context(|| format!("tritonserver: --{name}={text}, expected a port"))?
                }
            };
            if self.flag(allow, true)? && (port == 0 || !ports.contains(&port)) {
                ports.push(port);
            }
        }
        if ports.is_empty() {
            bail!("tritonserver: with --allow-http=false and --allow-grpc=false nobody can call it");
        }
        Ok(ports.iter().map(ToString::to_string).collect())
    }

    fn address(&mut self) -> anyhow::Result<IpAddr> {
        let mut said: Option<IpAddr> = None;
        for name in ADDRESSES {
            let Some(text) = self.last(name)? else { continue };
            let text = if text == "localhost" { "127.0.0.1".to_owned() } else { text };
            let address =
                text.parse().with_context(|| format!("tritonserver: --{name}={text}, expected an address"))?;
            if said.is_some_and(|said| said != address) {
                bail!("tritonserver: --{name}={text} is another address, this server listens on one");
            }
            said = Some(address);
        }
        Ok(said.unwrap_or(Ipv4Addr::UNSPECIFIED.into()))
    }

    /// Who says what is in memory.
    fn control(&mut self, settings: &mut Settings) -> anyhow::Result<()> {
        let mode = self.last("model-control-mode")?;
        let at_start = self.0.remove("load-model").unwrap_or_default();
        let seconds = self.number("repository-poll-secs")?;
        match mode.as_deref() {
            // Loaded at the start, and nothing changes after that.
            None | Some("none") => {
                settings.set("model_control", "explicit");
                settings.set("preload", "true");
                settings.set("poll_interval", "0s");
            }
            Some("poll") => {
                settings.set("preload", "true");
                settings.set("poll_interval", format!("{}s", seconds.as_deref().unwrap_or("15")));
            }
            Some("explicit") => {
                settings.set("model_control", "explicit");
                if at_start.iter().any(|name| name == "*") {
                    settings.set("preload", "true");
                } else if !at_start.is_empty() {
                    settings.set_all("pinned", at_start);
                }
                return Ok(());
            }
            Some(other) => {
                bail!("tritonserver: --model-control-mode={other}, expected none, poll or explicit")
            }
        }
        if !at_start.is_empty() {
            bail!("tritonserver: --load-model needs --model-control-mode=explicit");
        }
        Ok(())
    }

    /// What is left: refused, ignored, or not Triton's.
    fn rest(mut self, settings: &mut Settings) -> anyhow::Result<()> {
        for (name, instead) in REFUSED {
            match self.0.remove(name).unwrap_or_default().pop().as_deref() {
                None | Some("false" | "0") => {}
                Some(value) => bail!("tritonserver: --{name}={value} is not done here: {instead}"),
            }
        }
        for name in SILENT {
            self.0.remove(name);
        }
        for name in self.0.into_keys() {
            let is_ignored = IGNORED.contains(&name.as_str()) || IGNORED_FAMILIES.iter().any(|of| name.starts_with(of));
            if !is_ignored {
                bail!("tritonserver: --{name} is not known here{}", nearest(&name));
            }
            settings.ignore(format!("--{name}"));
        }
        Ok(())
    }
}

fn nearest(name: &str) -> String {
    const TAKEN: [&str; 7] = [
        "model-repository",
        "model-control-mode",
        "load-model",
        "repository-poll-secs",
        "exit-timeout-secs",
        "model-load-thread-count",
        "http-max-input-size",
    ];
    let ports = PORTS.iter().flat_map(|(allow, port, _)| [*allow, *port]);
    let known = TAKEN.into_iter().chain(ports).chain(ADDRESSES).chain(IGNORED).chain(SILENT);
    let near =
        known.map(|known| (strsim::jaro_winkler(known, name), known)).max_by(|one, other| one.0.total_cmp(&other.0));
    match near {
        Some((likeness, known)) if likeness > 0.85 => format!(", did you mean --{known}?"),
        _ => String::new(),
    }
}
