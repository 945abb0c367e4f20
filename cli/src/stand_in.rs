//! Standing in for MLServer or Triton: what was said to them, in the environment or on their command line, becomes
//! what `modelway serve` does where nobody says otherwise.
//!
//! An image in which `mlserver` or `tritonserver` is a link to this program takes the place of theirs, manifests
//! and all. Biased towards starting: a setting that only tunes the other server is ignored, and named once in the
//! log; one that somebody relies on, such as TLS, is refused.

mod mlserver;
mod settings;
mod triton;

#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::path::Path;

pub(crate) use settings::Settings;

/// How this program was called.
#[derive(Debug, Default)]
pub(crate) struct Call {
    /// In this program's own words.
    pub(crate) arguments: Vec<OsString>,
    /// What another server was told.
    pub(crate) settings: Settings,
}

// === impl Call ===

impl Call {
    /// Reads the command line and the environment.
    ///
    /// # Errors
    /// Something was said to the other server that cannot be done here.
    pub(crate) fn read(
        arguments: impl IntoIterator<Item = OsString>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> anyhow::Result<Self> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        let program = arguments.first().map(Path::new).and_then(Path::file_name).and_then(OsStr::to_str);
        let others: Vec<&str> = arguments.iter().skip(1).filter_map(|argument| argument.to_str()).collect();
        let own_words = |words: &[&str]| words.iter().map(OsString::from).collect();
        match program {
            Some("mlserver") => match others.as_slice() {
                ["start", folder] => {
                    let settings = mlserver::start(Path::new(folder), environment)?;
                    Ok(Self { arguments: own_words(&["modelway", "serve"]), settings })
                }
                ["--version"] => Ok(Self { arguments: own_words(&["modelway", "--version"]), ..Self::default() }),
                _ => anyhow::bail!(
                    "this is modelway in the place of mlserver, which has: mlserver start FOLDER; for more call modelway"
                ),
            },
            Some("tritonserver") if others == ["--version"] => {
                Ok(Self { arguments: own_words(&["modelway", "--version"]), ..Self::default() })
            }
            Some("tritonserver") => {
                let settings = triton::settings(&others)?;
                Ok(Self { arguments: own_words(&["modelway", "serve"]), settings })
            }
            _ if others.first() == Some(&"serve") => Ok(Self { settings: mlserver::settings(environment)?, arguments }),
            _ => Ok(Self { arguments, ..Self::default() }),
        }
    }
}
