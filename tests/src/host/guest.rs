//! The module under test, compiled once in a test process.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow};
use wasmtime::{Config, Engine, Module};

/// Where `make wasm` leaves the module, seen from the root of the repository.
const BUILT_MODULE: &str = "target/wasm32-wasip1/wasm/modelway_filter.wasm";
/// The variable that names another module.
const MODULE_VARIABLE: &str = "MODELWAY_FILTER";

/// A compiled module, ready to be put into any number of hosts.
#[derive(Clone)]
pub struct Guest {
    pub(crate) engine: Engine,
    pub(crate) module: Module,
}

// === impl Guest ===

impl Guest {
    /// Compiles a module.
    pub fn compile(wasm: &[u8]) -> Result<Self> {
        Self::compile_in(Engine::default(), wasm)
    }

    /// Compiles a module so that a host can tell how many instructions it has run.
    pub fn compile_metered(wasm: &[u8]) -> Result<Self> {
        let mut config = Config::new();
        config.consume_fuel(true);
        let engine = Engine::new(&config).map_err(|error| anyhow!("{error:?}"))?;
        Self::compile_in(engine, wasm)
    }

    fn compile_in(engine: Engine, wasm: &[u8]) -> Result<Self> {
        let module = Module::new(&engine, wasm).map_err(|error| anyhow!("the module does not compile: {error:?}"))?;
        Ok(Self { engine, module })
    }

    /// The filter that `make wasm` has built, compiled at the first call.
    pub fn filter() -> Result<Self> {
        static FILTER: OnceLock<Result<Guest, String>> = OnceLock::new();
        let compiled = FILTER.get_or_init(|| {
            let path = filter_path();
            read_filter(&path).and_then(|wasm| Self::compile(&wasm)).map_err(|error| format!("{error:#}"))
        });
        compiled.clone().map_err(|error| anyhow!(error))
    }
}

/// Where the module under test is.
pub fn filter_path() -> PathBuf {
    match std::env::var_os(MODULE_VARIABLE) {
        Some(path) => PathBuf::from(path),
        None => repository().join(BUILT_MODULE),
    }
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

fn read_filter(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| {
        format!("no filter at {}: build it with `make wasm`, or name one in {MODULE_VARIABLE}", path.display())
    })
}
