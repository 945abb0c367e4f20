//! Models in a real S3 server and behind HTTP, and what can go wrong on the way.

mod cache;
mod failures;
mod http;
mod s3;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use modelway_test_store::{ACCESS_KEY, BUCKET, Proxy, REGION, S3Server, SECRET_KEY};
use tempfile::TempDir;

use crate::formats::{Format, LoadError, ModelFiles};
use crate::storage::{Location, StorageError, StorageOptions, Stores};
use crate::testing::{Echo, PATIENCE};
use crate::{Catalogue, Context, InferRequest, Model, ModelMetadata, ResidencyOptions, ResponseStream};

/// Serves any `.text` that does not say `broken`, and folders with a `text.json`, whose files it joins.
struct TextFormat {
    keeps_files: Arc<AtomicBool>,
}

struct Text {
    echo: Arc<dyn Model>,
    metadata: ModelMetadata,
    keeps_files: bool,
}

impl Format for TextFormat {
    fn name(&self) -> &'static str {
        "text"
    }

    fn recognises(&self, files: &ModelFiles) -> bool {
        files.path.extension().is_some_and(|extension| extension == "text")
    }

    fn recognises_folder(&self, names: &[&str]) -> bool {
        names.contains(&"text.json")
    }

    fn load(&self, files: &ModelFiles) -> Result<Arc<dyn Model>, LoadError> {
        let read =
            |path: PathBuf| std::fs::read(&path).map_err(|error| LoadError::Read { path, reason: error.to_string() });
        let mut bytes = Vec::new();
        if files.path.is_dir() {
            for name in ["text.json", "parts/a.bin", "parts/b.bin"] {
                bytes.extend(read(files.path.join(name))?);
            }
        } else {
            bytes = read(files.path.clone())?;
        }
        if bytes == b"broken" {
            return Err(LoadError::Malformed("it says that it is broken".to_owned()));
        }
        let properties = BTreeMap::from([("bytes".to_owned(), bytes.len().to_string())]);
        let metadata = ModelMetadata { properties, ..ModelMetadata::default() };
        Ok(Arc::new(Text { echo: Echo::model(), metadata, keeps_files: self.keeps_files.load(Ordering::Relaxed) }))
    }
}

impl Model for Text {
    fn metadata(&self) -> &ModelMetadata {
        &self.metadata
    }

    fn size_bytes(&self) -> u64 {
        10
    }

    fn keeps_files(&self) -> bool {
        self.keeps_files
    }

    fn infer(self: Arc<Self>, request: InferRequest, context: Context) -> ResponseStream {
        self.echo.clone().infer(request, context)
    }
}

/// A server, the proxy before it, and what a runtime needs to reach it.
struct World {
    server: S3Server,
    proxy: Proxy,
    secret: TempDir,
    cache: TempDir,
    keeps_files: Arc<AtomicBool>,
    options: StorageOptions,
}

impl World {
    async fn start() -> Self {
        let server = S3Server::start().await;
        let proxy = Proxy::start(server.address()).await;
        let (secret, cache) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let options = StorageOptions {
            cache: Some(cache.path().to_owned()),
            cache_size: Some(64 << 20),
            storage_config: Some(secret.path().to_owned()),
            storage_key: Some("localMinIO".to_owned()),
            stall_timeout: Duration::from_secs(10),
            ..StorageOptions::default()
        };
        let world = Self { server, proxy, secret, cache, keeps_files: Arc::default(), options };
        world.write_key(ACCESS_KEY, SECRET_KEY);
        world
    }

    fn write_key(&self, access_key: &str, secret_key: &str) {
        let key = serde_json::json!({
            "type": "s3", "access_key_id": access_key, "secret_access_key": secret_key,
            "endpoint_url": self.proxy.endpoint(), "region": REGION, "default_bucket": BUCKET,
        });
        std::fs::write(self.secret.path().join("localMinIO"), key.to_string()).unwrap();
    }

    /// Waits until an earlier catalogue has let go of the cache, which it does some time after it was dropped.
    async fn open(&self, place: &str) -> Result<Arc<Catalogue>, StorageError> {
        let opening = async {
            loop {
                match self.open_at_once(place).await {
                    Err(error) if error.to_string().contains("another process uses the cache") => {
                        tokio::task::yield_now().await;
                    }
                    opened => return opened,
                }
            }
        };
        tokio::time::timeout(PATIENCE, opening).await.unwrap()
    }

    async fn open_at_once(&self, place: &str) -> Result<Arc<Catalogue>, StorageError> {
        let stores = Stores::new(self.options.clone());
        let formats: Vec<Arc<dyn Format>> = vec![Arc::new(TextFormat { keeps_files: self.keeps_files.clone() })];
        let options = ResidencyOptions { memory: 1 << 20, loads_at_once: 1, ..ResidencyOptions::default() };
        let location = Location::parse(place).unwrap();
        Catalogue::open_at(&location, &stores, formats, options, Some(Duration::ZERO)).await.map(Arc::new)
    }

    async fn catalogue(&self) -> Arc<Catalogue> {
        self.open("s3://models").await.unwrap()
    }
}

/// Bytes of the model's text, or why there is none.
async fn asked(catalogue: &Catalogue, name: &str) -> String {
    asked_version(catalogue, name, None).await
}

async fn asked_version(catalogue: &Catalogue, name: &str, version: Option<&str>) -> String {
    match catalogue.find(name, version).await {
        Ok(loaded) => loaded.model().metadata().properties["bytes"].clone(),
        Err(error) => error.message().to_owned(),
    }
}

/// Bytes that no compression and no accident makes of others.
fn bytes(count: usize, seed: u8) -> Vec<u8> {
    let mut state = u32::from(seed) + 1;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..count).map(next).collect()
}
