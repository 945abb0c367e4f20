//! `modelway render`: what a mesh file means for a gateway, as files that can be applied.

mod destinations;
pub(crate) mod envoy;
mod istio;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::ValueEnum;

use self::destinations::Destinations;
use self::envoy::Servers;
use crate::check::body_tier_needs;
use crate::mesh_file::Mesh;
use crate::output::{self, say};

/// Arguments of `modelway render`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Mesh file; its `deployment` names the module, the service and the gateway.
    file: PathBuf,
    /// For what it is written.
    #[arg(long, value_enum, default_value_t = Target::Istio)]
    target: Target,
    /// Which of Istio's resources carries the filter.
    #[arg(long, value_enum, default_value_t = Tier::Body)]
    tier: Tier,
    /// Folder to write the files to; without it they go to standard output.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Target {
    /// Manifests for Istio or ASM.
    Istio,
    /// The configuration of a plain Envoy.
    Envoy,
}

/// Never both: two filters would each decide.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Tier {
    /// An EnvoyFilter: REST and gRPC, and keys and rules in the body.
    Body,
    /// A WasmPlugin and no EnvoyFilter at all: REST, by path and headers.
    Header,
}

/// A file that is written.
struct Rendered {
    name: &'static str,
    text: String,
}

/// Writes the files.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mesh = Mesh::read(&args.file)?;
    let files = rendered(&mesh, args.target, args.tier)?;
    if (args.target, args.tier) == (Target::Istio, Tier::Header) {
        for need in body_tier_needs(&mesh) {
            say(&format!("warning: {need} needs the body tier, which a WasmPlugin does not have: it counts as absent"));
        }
        let destinations = Destinations::of(&mesh);
        if destinations.has_clusters || destinations.has_shadows {
            say(
                "warning: clusters of variants and shadows need an EnvoyFilter: requests go to the service, and none is copied",
            );
        }
    }
    let Some(folder) = &args.out else {
        let texts: Vec<&str> = files.iter().map(|file| file.text.as_str()).collect();
        return output::print(&texts.join("---\n"));
    };
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for file in &files {
        let path = folder.join(file.name);
        std::fs::write(&path, &file.text).with_context(|| format!("cannot write {}", path.display()))?;
        say(&format!("wrote {}", path.display()));
    }
    warn_of_both_tiers(folder);
    Ok(())
}

fn rendered(mesh: &Mesh, target: Target, tier: Tier) -> anyhow::Result<Vec<Rendered>> {
    if target == Target::Envoy {
        let text =
            envoy::configuration(mesh, &Servers::of_runtimes(&mesh.deployment.service), &mesh.deployment.module.file);
        return Ok(vec![Rendered { name: "envoy.yaml", text: format!("{}{text}", istio::WRITTEN_BY) }]);
    }
    let Some(url) = &mesh.deployment.module.url else {
        bail!(
            "deployment.module.url is missing: expected where Istio fetches the filter, such as \
             oci://registry.example.com/modelway/filter:0.1.0"
        );
    };
    Ok(istio::manifests(mesh, url, tier))
}

/// A folder is applied as a whole.
fn warn_of_both_tiers(folder: &Path) {
    let has = |name: &str| folder.join(name).is_file();
    if has(istio::WASM_PLUGIN) && has(istio::ENVOY_FILTER) {
        say(&format!(
            "warning: {} holds {} and {}: apply one of them, two filters would each decide",
            folder.display(),
            istio::WASM_PLUGIN,
            istio::ENVOY_FILTER
        ));
    }
}
