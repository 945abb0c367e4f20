//! What is wanted of a repository: the files that are read here, no others.

use std::path::Path;

use super::super::{adapter, config, embedder, encoder, gguf, template, tokens, weights};

/// How a model is asked best, by those who made it.
const GENERATION: &str = "generation_config.json";

/// What a folder is to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::formats::language) enum Contents {
    Base,
    Adapter,
}

/// The files to fetch. What makes a folder whole comes last.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Wanted {
    pub(super) first: Vec<String>,
    pub(super) weights: Files,
}

#[derive(Debug, Eq, PartialEq)]
pub(super) enum Files {
    One(&'static str),
    /// Those that the index names.
    Several {
        index: &'static str,
    },
}

// === impl Contents ===

impl Contents {
    /// Whether a folder is that, perhaps without what only an inference needs; or a file, if it is a GGUF file.
    pub(in crate::formats::language) fn is_in(self, folder: &Path) -> bool {
        match self {
            Self::Base if !self.is_in_files(folder) && !Self::Adapter.is_in_files(folder) => {
                gguf::find(folder).is_some()
            }
            kind => kind.is_in_files(folder),
        }
    }

    /// The same of what has a configuration and weights in files of their own.
    pub(in crate::formats::language) fn is_in_files(self, folder: &Path) -> bool {
        match self {
            Self::Base => folder.join(config::FILE).is_file() && weights::are_in(folder),
            Self::Adapter => folder.join(adapter::CONFIG).is_file(),
        }
    }

    /// Whether nothing is missing that a download would bring. One that was cut leaves a folder that is not whole.
    pub(super) fn is_whole(self, folder: &Path) -> bool {
        match self {
            Self::Base if !self.is_in_files(folder) => self.is_in(folder),
            Self::Base => {
                let one = [weights::ONE_FILE, weights::TORCH].iter().any(|name| folder.join(name).is_file());
                let all = || {
                    let index = folder.join(weights::INDEX);
                    let files = index.is_file().then(|| weights::files_of_index(&index).ok()).flatten();
                    files.is_some_and(|files| files.iter().all(|name| folder.join(name).is_file()))
                };
                folder.join(tokens::FILE).is_file() && (one || all())
            }
            Self::Adapter => self.is_in(folder) && adapter::WEIGHTS.iter().any(|name| folder.join(name).is_file()),
        }
    }

    /// Whether a folder has what says how it is used, as far as that is a file that other programs may not have fetched:
    /// without its modules an encoder would give other vectors.
    pub(super) fn is_told_of(self, folder: &Path, is_known_to_lack: impl Fn(&str) -> bool) -> bool {
        let modules = embedder::MODULES;
        self != Self::Base || !encoder::is_in(folder) || folder.join(modules).is_file() || is_known_to_lack(modules)
    }

    /// The files to fetch of these.
    ///
    /// # Errors
    /// One is missing; the text says which.
    pub(super) fn wanted(self, names: &[String]) -> Result<Wanted, String> {
        let has = |name: &&str| names.iter().any(|own| own == name);
        let need = |name: &'static str| {
            if has(&name) { Ok(name) } else { Err(format!("has no {name}{}", self.hint(names))) }
        };
        match self {
            Self::Base => {
                let mut first = vec![need(config::FILE)?, need(tokens::FILE)?];
                let more = [GENERATION, template::CONFIG, template::FILE, template::TOOLS_FILE];
                let of_embedders = std::iter::once(embedder::SETTINGS).chain(embedder::READING);
                first.extend(more.into_iter().chain(of_embedders).filter(has));
                let mut first: Vec<String> = first.into_iter().map(str::to_owned).collect();
                first.extend(files_of_modules(names));
                // Behind what it names: a folder that has it has all of them, however a download ended.
                first.extend(has(&embedder::MODULES).then(|| embedder::MODULES.to_owned()));
                let one = [weights::ONE_FILE].into_iter().find(has).map(Files::One);
                let several = || has(&weights::INDEX).then_some(Files::Several { index: weights::INDEX });
                let torch = || [weights::TORCH].into_iter().find(has).map(Files::One);
                let weights = one.or_else(several).or_else(torch);
                let weights = weights.ok_or_else(|| {
                    format!("has no weights, expected {}, {} or {}", weights::ONE_FILE, weights::INDEX, weights::TORCH)
                })?;
                Ok(Wanted { first, weights })
            }
            Self::Adapter => {
                let first = vec![need(adapter::CONFIG)?.to_owned()];
                let weights = adapter::WEIGHTS.into_iter().find(has).map(Files::One);
                let weights =
                    weights.ok_or_else(|| format!("has no weights, expected {}", adapter::WEIGHTS.join(" or ")))?;
                Ok(Wanted { first, weights })
            }
        }
    }

    /// Why it may be missing.
    fn hint(self, names: &[String]) -> &'static str {
        let has = |name: &str| names.iter().any(|own| own == name);
        match self {
            Self::Base if names.iter().any(|name| name.ends_with(".gguf")) => {
                ": it has GGUF files, of which one is a model: download that and name its path"
            }
            Self::Base if has(adapter::CONFIG) => ": it is an adapter, not a base",
            Self::Base if has(config::FILE) => ": it can be made with transformers' AutoTokenizer, by save_pretrained",
            Self::Adapter if has(config::FILE) => ": it is a base, not an adapter",
            _ => "",
        }
    }
}

/// Of an embedder's modules, whose folders begin with their number: `1_Pooling/config.json`.
fn files_of_modules(names: &[String]) -> Vec<String> {
    let of_module = |name: &&String| {
        let Some((folder, file)) = name.split_once('/') else { return false };
        let is_numbered = folder.starts_with(|first: char| first.is_ascii_digit()) && folder.contains('_');
        let is_second = || names.contains(&format!("{folder}/{}", weights::ONE_FILE));
        is_numbered
            && match file {
                config::FILE | weights::ONE_FILE => true,
                weights::TORCH => !is_second(),
                _ => false,
            }
    };
    names.iter().filter(of_module).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::Contents;

    #[test]
    fn what_names_an_embedders_modules_comes_behind_them() {
        let names = ["modules.json", "config.json", "tokenizer.json", "1_Pooling/config.json", "model.safetensors"];
        let wanted = Contents::Base.wanted(&names.map(str::to_owned)).unwrap();
        assert_eq!(wanted.first, ["config.json", "tokenizer.json", "1_Pooling/config.json", "modules.json"]);
    }
}
