//! MLServer's settings: variables that begin with `MLSERVER_`, and `settings.json` where it is started.
//!
//! Source: MLServer's documentation, "Settings" and "Model Settings", and KServe's ServingRuntimes for it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::Value;

use super::Settings;

const PREFIX: &str = "MLSERVER_";
/// Where MLServer's settings stand, below the folder that it is started in.
const FILE: &str = "settings.json";
/// What a message can have at most: its length has four bytes.
const LONGEST_MESSAGE: u32 = u32::MAX;
/// MLServer's ports by default: REST, gRPC, metrics.
const OWN_PORTS: [(&str, u16); 3] = [("HTTP_PORT", 8080), ("GRPC_PORT", 8081), ("METRICS_PORT", 8082)];
/// This program's ports, and what MLServer would call them.
const PORTS: [(&str, u16); 2] = [("GRPC_PORT", 8001), ("HTTP_PORT", 8002)];
/// Said by everyone, and the same here without being said.
const SILENT: [&str; 3] = ["MODELS_DIR", "MODEL_NAME", "METRICS_ENDPOINT"];

/// What MLServer was told, by name without the prefix.
struct Said(BTreeMap<String, String>);

/// What the environment says to MLServer, for `modelway serve`.
pub(super) fn settings(environment: impl IntoIterator<Item = (OsString, OsString)>) -> anyhow::Result<Settings> {
    let mut said = Said::in_environment(environment);
    if said.0.is_empty() {
        return Ok(Settings::default());
    }
    let mut settings = Settings::default();
    let folder = said.0.remove("MODELS_DIR");
    said.refuse_model_outside(folder.as_deref().map(Path::new))?;
    if let Some(folder) = folder {
        settings.set("models", folder);
    }
    if said.0.contains_key("HTTP_PORT") || said.0.contains_key("GRPC_PORT") {
        let mut ports = said.ports(&PORTS)?;
        ports.extend(said.port("METRICS_PORT")?);
        settings.set_all("ports", texts(&ports));
    }
    if let Some(load) = said.flag("LOAD_MODELS_AT_STARTUP")? {
        by_command(&mut settings, load);
    }
    said.common(&mut settings)?;
    Ok(settings)
}

/// What `mlserver start FOLDER` means. Without settings it is what MLServer does without.
pub(super) fn start(
    folder: &Path,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> anyhow::Result<Settings> {
    let mut said = Said::in_environment(environment);
    said.add_file(&folder.join(FILE))?;
    said.refuse_model_outside(Some(folder))?;
    let mut settings = Settings::default();
    settings.set("models", folder.display().to_string());
    settings.set("host", Ipv4Addr::UNSPECIFIED.to_string());
    settings.set_all("ports", texts(&said.ports(&OWN_PORTS)?));
    let load = said.flag("LOAD_MODELS_AT_STARTUP")?.unwrap_or(true);
    by_command(&mut settings, load);
    said.common(&mut settings)?;
    Ok(settings)
}

/// MLServer loads all models at the start or none, and after that by command only.
fn by_command(settings: &mut Settings, loads_at_start: bool) {
    settings.set("model_control", "explicit");
    if loads_at_start {
        settings.set("preload", "true");
    }
}

fn texts(ports: &[u16]) -> Vec<String> {
    ports.iter().map(ToString::to_string).collect()
}

// === impl Said ===

impl Said {
    fn in_environment(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let said = environment.into_iter().filter_map(|(name, value)| {
            let name = name.to_str()?.strip_prefix(PREFIX)?.to_ascii_uppercase();
            let value = value.into_string().ok()?;
            // Kubernetes has variables for its services: one called mlserver-http has MLSERVER_HTTP_PORT=tcp://….
            (!value.is_empty() && !value.starts_with("tcp://")).then_some((name, value))
        });
        Self(said.collect())
    }

    /// The file goes before the environment, as MLServer has it.
    fn add_file(&mut self, path: &Path) -> anyhow::Result<()> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let settings: BTreeMap<String, Value> = serde_json::from_str(&text)
            .with_context(|| format!("{}: expected MLServer's settings, a JSON object", path.display()))?;
        for (name, value) in settings {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            self.0.insert(name.to_ascii_uppercase(), value);
        }
        Ok(())
    }

    /// KServe says where the model stands although that is the models folder; another place would not be looked at.
    fn refuse_model_outside(&mut self, folder: Option<&Path>) -> anyhow::Result<()> {
        let Some(uri) = self.0.remove("MODEL_URI") else { return Ok(()) };
        let place = Path::new(uri.strip_prefix("file://").unwrap_or(&uri));
        // By their components, so that `/mnt/models/` is `/mnt/models`.
        if folder.is_some_and(|folder| folder.components().eq(place.components())) {
            return Ok(());
        }
        bail!(
            "{PREFIX}MODEL_URI is '{uri}', which is not the models folder: say it as parameters.uri in the model's \
             model-settings.json, or make it the models folder, {PREFIX}MODELS_DIR"
        )
    }

    /// What has the same meaning however it was said; the rest is told to have no effect.
    fn common(mut self, settings: &mut Settings) -> anyhow::Result<()> {
        if let Some(host) = self.0.remove("HOST") {
            settings.set("host", address(&host)?.to_string());
        }
        if let Some(length) = self.0.remove("GRPC_MAX_MESSAGE_LENGTH") {
            settings.set("body_limit", message_length(&length)?.to_string());
        }
        if let Some(implementation) = self.0.remove("MODEL_IMPLEMENTATION") {
            settings.set("default_implementation", implementation);
        }
        if self.flag("USE_STRUCTURED_LOGGING")? == Some(true) {
            settings.set("log_format", "json");
        }
        for name in self.0.into_keys().filter(|name| !SILENT.contains(&name.as_str())) {
            settings.ignore(format!("{PREFIX}{name}"));
        }
        Ok(())
    }

    /// The ports of these names, or those that they have by default.
    fn ports(&mut self, defaults: &[(&str, u16)]) -> anyhow::Result<Vec<u16>> {
        let mut ports = Vec::new();
        for (name, default) in defaults {
            let port = self.port(name)?.unwrap_or(*default);
            if port == 0 || !ports.contains(&port) {
                ports.push(port);
            }
        }
        Ok(ports)
    }

    fn port(&mut self, name: &str) -> anyhow::Result<Option<u16>> {
        let Some(text) = self.0.remove(name) else { return Ok(None) };
        let port =
            text.parse().with_context(|| format!("{PREFIX}{name} is '{text}', expected a port, for instance 8001"))?;
        Ok(Some(port))
    }

    fn flag(&mut self, name: &str) -> anyhow::Result<Option<bool>> {
        let Some(text) = self.0.remove(name) else { return Ok(None) };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" | "t" | "y" => Ok(Some(true)),
            "false" | "0" | "no" | "off" | "f" | "n" => Ok(Some(false)),
            _ => bail!("{PREFIX}{name} is '{text}', expected true or false"),
        }
    }
}

fn address(host: &str) -> anyhow::Result<IpAddr> {
    if host == "localhost" {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    host.parse().with_context(|| format!("{PREFIX}HOST is '{host}', expected an address, for instance 127.0.0.1"))
}

/// `-1` is no limit.
fn message_length(text: &str) -> anyhow::Result<u32> {
    if text == "-1" {
        return Ok(LONGEST_MESSAGE);
    }
    text.parse().with_context(|| {
        format!("{PREFIX}GRPC_MAX_MESSAGE_LENGTH is '{text}', expected a number of bytes, or -1 for no limit")
    })
}
