//! A module that does nothing, with the same exports as a filter: what is left is the price of WebAssembly itself.

use anyhow::{Result, anyhow, bail};
use wasmtime::{Engine, ExternType, Module, ValType};

/// Callbacks that must answer "yes".
const AFFIRMED: [&str; 3] = ["proxy_on_vm_start", "proxy_on_configure", "proxy_on_done"];

/// What a gateway calls on every request besides the callbacks for headers.
const NEEDED: [&str; 4] = ["proxy_abi_version", "proxy_on_memory_allocate", "malloc", "_initialize"];

/// Which exports an empty module has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exports {
    /// All of the filter's.
    Same,
    /// Only what a module needs to be loaded.
    Fewest,
}

/// A function that a module exports.
pub(crate) struct Function {
    pub(crate) name: String,
    parameters: Vec<ValType>,
    results: Vec<ValType>,
}

/// The functions that a module exports.
pub(crate) fn functions(wasm: &[u8]) -> Result<Vec<Function>> {
    let module =
        Module::new(&Engine::default(), wasm).map_err(|error| anyhow!("the filter does not compile: {error:?}"))?;
    let functions = module.exports().filter_map(|export| match export.ty() {
        ExternType::Func(function) => Some(Function {
            name: export.name().to_owned(),
            parameters: function.params().collect(),
            results: function.results().collect(),
        }),
        _ => None,
    });
    Ok(functions.collect())
}

/// The empty module beside a filter.
pub(crate) fn beside(filter: &[u8], exports: Exports) -> Result<Vec<u8>> {
    let mut text = String::from("(module (memory (export \"memory\") 17)\n");
    for function in functions(filter)? {
        let is_needed = NEEDED.iter().any(|needed| function.name.starts_with(needed));
        if exports == Exports::Same || is_needed {
            text.push_str(&function.doing_nothing()?);
        }
    }
    text.push(')');
    Ok(wat::parse_str(&text)?)
}

// === impl Function ===

impl Function {
    fn doing_nothing(&self) -> Result<String> {
        let name = &self.name;
        let parameters = types(&self.parameters)?;
        let body = match self.results.as_slice() {
            [] => String::new(),
            [ValType::I32] => {
                format!("(result i32) i32.const {}", i32::from(AFFIRMED.contains(&name.as_str())))
            }
            other => bail!("the filter's export {name} returns {other:?}, expected nothing or an i32"),
        };
        Ok(format!("(func (export \"{name}\") (param {parameters}) {body})\n"))
    }
}

fn types(types: &[ValType]) -> Result<String> {
    let names: Result<Vec<&str>> = types
        .iter()
        .map(|kind| match kind {
            ValType::I32 => Ok("i32"),
            ValType::I64 => Ok("i64"),
            other => bail!("a filter's export takes {other}, expected i32 or i64"),
        })
        .collect();
    Ok(names?.join(" "))
}
