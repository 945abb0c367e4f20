//! Where models come from, and where what is downloaded is kept.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use modelway_runtime::StorageOptions;

use super::quantity;

/// Options of `modelway serve` about storage.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Storage")]
pub(super) struct StorageArgs {
    /// Folder for downloaded model files, for this process alone [default: modelway in the user's cache folder].
    #[arg(long, env = "MODELWAY_CACHE", value_name = "DIR")]
    cache: Option<PathBuf>,

    /// What downloaded files may take of the disk: bytes, or with KiB, MiB or GiB [default: half of what is free].
    #[arg(long, env = "MODELWAY_CACHE_SIZE", value_name = "SIZE", value_parser = quantity::bytes)]
    cache_size: Option<usize>,

    /// Models that are downloaded at the same time.
    #[arg(long, env = "MODELWAY_DOWNLOADS_AT_ONCE", value_name = "NUMBER", default_value = "8")]
    downloads_at_once: NonZeroUsize,

    /// Folder of a KServe storage-config secret: a JSON file for each key.
    #[arg(long, env = "MODELWAY_STORAGE_CONFIG", value_name = "DIR")]
    storage_config: Option<PathBuf>,

    /// Key of the secret, such as localMinIO [default: default_s3, else default].
    #[arg(long, env = "MODELWAY_STORAGE_KEY", value_name = "KEY", requires = "storage_config")]
    storage_key: Option<String>,

    /// Folder in which volume claims are mounted by their names, for pvc://claim/path.
    #[arg(long, env = "MODELWAY_PVC_MOUNTS", value_name = "DIR", default_value = "/pvc_mounts")]
    pvc_mounts: PathBuf,
}

// === impl StorageArgs ===

impl StorageArgs {
    pub(super) fn options(&self) -> StorageOptions {
        StorageOptions {
            cache: self.cache.clone(),
            cache_size: self.cache_size.map(|size| u64::try_from(size).unwrap_or(u64::MAX)),
            storage_config: self.storage_config.clone(),
            storage_key: self.storage_key.clone(),
            pvc_mounts: self.pvc_mounts.clone(),
            downloads_at_once: self.downloads_at_once.get(),
            ..StorageOptions::default()
        }
    }
}
