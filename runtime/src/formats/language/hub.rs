//! Models of the Hugging Face hub, by their names.
//!
//! A name is looked up in the cache that Hugging Face's own libraries keep, and what is missing is downloaded into it, in
//! their layout: what one of them fetched is found here, and the other way round. What is in the cache whole is not asked
//! about again, so that a model that was served once is served without the hub. (Python's libraries ask each time.)
//!
//! The client is our own: hf-hub 1.0 brings the hub's uploads and their store (hf-xet) with it, and reqwest with a TLS
//! library of its own, for two requests. The protocol is that of
//! <https://huggingface.co/docs/hub/api> and of `huggingface_hub/file_download.py`.

mod cache;
mod client;
mod contents;
mod download;
mod id;
mod options;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use self::cache::Repository;
pub(super) use self::contents::Contents;
pub(super) use self::id::Id;
pub(super) use self::options::HubOptions;

/// The hub, with the cache on this machine.
#[derive(Default)]
pub(super) struct Hub {
    options: HubOptions,
}

// === impl Hub ===

impl Hub {
    pub(super) fn new(options: HubOptions) -> Self {
        Self { options }
    }

    /// The folder with these contents of the model of this name, downloaded unless it is in the cache. Blocks.
    ///
    /// # Errors
    /// The text says why there is none, and what to do.
    pub(super) fn folder(&self, id: &Id, contents: Contents) -> Result<PathBuf, String> {
        let cache = self.options.cache.as_deref();
        let cache = cache.ok_or("there is no folder for models of the hub, set HF_HOME to one that can be written")?;
        let repository = Repository::new(cache, id);
        let whole = repository.snapshot(id.revision()).filter(|folder| contents.is_whole(folder));
        if let Some(folder) = whole {
            let is_told_of = contents.is_told_of(&folder, |name| repository.is_known_to_lack(&folder, name));
            if is_told_of {
                return Ok(folder);
            }
            if let Some(variable) = self.options.offline {
                tracing::warn!(model = %id, variable, "modules.json is not in the cache: the mean of all tokens is served");
                return Ok(folder);
            }
        }
        if let Some(variable) = self.options.offline {
            return Err(format!(
                "{id} is not whole in {}, and {variable} forbids to download it; do that where it is allowed \
                 ('hf download {}'), or unset {variable}",
                cache.display(),
                id.name()
            ));
        }
        // A runtime of its own, on a thread of its own: the caller's may be one of a runtime, which cannot hold another.
        let fetch = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| format!("cannot download: {error}"))?;
            runtime.block_on(download::download(&self.options, &repository, id, contents))
        };
        std::thread::scope(|scope| scope.spawn(fetch).join())
            .unwrap_or_else(|_| Err("the download stopped by a fault of the server".to_owned()))
    }
}
