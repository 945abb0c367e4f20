//! S3 and what answers as it does.

mod connection;
mod fault;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::{Certificate, ClientOptions};
use object_store::path::Path;
use object_store::{BackoffConfig, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, RetryConfig};

use crate::storage::StorageError;
use crate::storage::remote::checksum::Checksum;
use crate::storage::remote::store::{Listed, Object, Reading, Store, StoreError, Tag};
use crate::storage::secret::StorageKey;
use crate::tls;

use connection::{Connector, Encryption};

/// Objects that are listed at most; more are not models but a bucket of everything.
const MOST_OBJECTS: usize = 2_000_000;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How much longer than a download the connection waits for a store that is silent: the download says more.
const DOWNLOAD_FIRST: Duration = Duration::from_secs(1);

/// The length of `2026-01-02T03:04:05`.
const SECONDS: usize = 19;

/// A bucket, and how it is reached.
#[derive(Clone)]
pub(crate) struct Client {
    store: Arc<AmazonS3>,
    bucket: String,
    endpoint: String,
}

/// What stands in a bucket below a prefix.
pub(crate) struct S3 {
    client: Client,
    /// `s3://bucket/prefix`, of one file the folder that it is in.
    root: String,
    prefix: Path,
}

// === impl Client ===

impl Client {
    /// A bucket by a storage key, and where there is none by the usual `AWS_*` variables. A listing that is silent for
    /// so long has failed.
    ///
    /// # Errors
    /// Something is missing or not understood.
    pub(crate) fn new(
        key: Option<&StorageKey>,
        bucket: Option<&str>,
        stall_timeout: Duration,
    ) -> Result<Self, StorageError> {
        tls::install();
        let mut builder = match key {
            // What the key does not say is not taken from elsewhere: keys of one store sent to another one.
            Some(key) if key.access_key_id.is_some() => AmazonS3Builder::new(),
            Some(key) if key.is_moved => AmazonS3Builder::new().with_skip_signature(true),
            _ => AmazonS3Builder::from_env(),
        };
        let mut client = ClientOptions::new()
            // Large files take long.
            .with_timeout_disabled()
            .with_read_timeout(stall_timeout.saturating_add(DOWNLOAD_FIRST))
            .with_connect_timeout(CONNECT_TIMEOUT);
        if let Some(key) = key {
            let settings = [
                (AmazonS3ConfigKey::AccessKeyId, &key.access_key_id),
                (AmazonS3ConfigKey::SecretAccessKey, &key.secret_access_key),
                (AmazonS3ConfigKey::Token, &key.session_token),
                (AmazonS3ConfigKey::Endpoint, &key.endpoint_url),
                (AmazonS3ConfigKey::Region, &key.region),
            ];
            for (name, value) in settings {
                if let Some(value) = value {
                    builder = builder.with_config(name, value);
                }
            }
            if let Some(pem) = &key.certificate {
                let cannot =
                    |_| StorageError::new("the certificate of the storage key is not understood, expected PEM");
                let certificates = Certificate::from_pem_bundle(pem.as_bytes()).map_err(cannot)?;
                if certificates.is_empty() {
                    return Err(StorageError::new(
                        "the certificate of the storage key is not understood, expected PEM",
                    ));
                }
                client = certificates.into_iter().fold(client, ClientOptions::with_root_certificate);
            }
        }
        let bucket = bucket.or_else(|| key.and_then(StorageKey::bucket));
        let bucket = bucket.ok_or_else(|| {
            StorageError::new("no bucket named, expected s3://bucket/prefix, or bucket in the storage key")
        })?;
        let region = builder.get_config_value(&AmazonS3ConfigKey::Region);
        let endpoint = builder
            .get_config_value(&AmazonS3ConfigKey::S3Endpoint)
            .or_else(|| builder.get_config_value(&AmazonS3ConfigKey::Endpoint));
        let is_plain = endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let described = endpoint.unwrap_or_else(|| format!("aws:{}", region.as_deref().unwrap_or("us-east-1")));
        let retries = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(100),
                max_backoff: Duration::from_secs(2),
                base: 2.0,
            },
            max_retries: 3,
            retry_timeout: Duration::from_secs(15),
        };
        // A MinIO in the cluster has no TLS; who names such an endpoint means it.
        let mut client = client.with_allow_http(is_plain);
        if is_plain && builder.get_config_value(&AmazonS3ConfigKey::AccessKeyId).is_some() {
            // Nothing of it is encrypted: an image without certificates will do.
            client = client.with_no_system_certificates(true);
        }
        let store = builder
            .with_client_options(client)
            .with_bucket_name(bucket)
            .with_retry(retries)
            .with_http_connector(Connector::default())
            .build()
            .map_err(|error| StorageError::new(format!("s3://{bucket}: {}", fault::plain(&error))))?;
        let endpoint = crate::storage::location::without_secrets(&described);
        Ok(Self { store: Arc::new(store), bucket: bucket.to_owned(), endpoint })
    }
}

// === impl S3 ===

impl S3 {
    /// What stands below this prefix; the prefix may be one file.
    ///
    /// # Errors
    /// The prefix can be none.
    pub(crate) fn new(client: Client, prefix: &str) -> Result<Self, StorageError> {
        let root = format!("s3://{}/{prefix}", client.bucket);
        let parsed = Path::parse(prefix).map_err(|error| StorageError::new(format!("{root}: {error}")))?;
        Ok(Self { root: root.trim_end_matches('/').to_owned(), client, prefix: parsed })
    }

    fn path(&self, key: &str) -> Result<Path, StoreError> {
        let whole = match (self.prefix.as_ref(), key) {
            (prefix, "") => prefix.to_owned(),
            ("", key) => key.to_owned(),
            (prefix, key) => format!("{prefix}/{key}"),
        };
        Path::parse(whole).map_err(|error| StoreError::Other(format!("{}: {error}", self.root)))
    }

    async fn list(&self, below: Option<String>) -> Result<Listed, StoreError> {
        let place = self.path(below.as_deref().unwrap_or(""))?;
        let fault = |error| fault::told(&error, &self.root, &self.client.bucket);
        let prefix = Some(&place).filter(|place| !place.is_root());
        let mut listed = self.client.store.list(prefix);
        let mut objects = Vec::new();
        while let Some(meta) = listed.try_next().await.map_err(fault)? {
            let key = match self.prefix.as_ref() {
                "" => Some(meta.location.as_ref()),
                prefix => meta.location.as_ref().strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')),
            };
            if let Some(key) = key.filter(|key| !key.is_empty()) {
                objects.push(object(key, &meta));
            }
            if objects.len() > MOST_OBJECTS {
                return Err(StoreError::Other(format!(
                    "{} has more than {MOST_OBJECTS} objects, name a prefix that has only models",
                    self.root
                )));
            }
        }
        if !objects.is_empty() || place.is_root() {
            return Ok(Listed { objects, is_file: false });
        }
        match self.client.store.head(&place).await {
            Ok(meta) => {
                let key = below.unwrap_or_default();
                Ok(Listed { objects: vec![object(&key, &meta)], is_file: key.is_empty() })
            }
            Err(object_store::Error::NotFound { .. }) => Ok(Listed { objects, is_file: false }),
            Err(error) => Err(fault(error)),
        }
    }

    async fn read(&self, object: &Object, from: u64) -> Result<Reading, StoreError> {
        let label = self.label(object);
        let etag = match &object.tag {
            Tag::ETag(etag) if object.tag.is_strong() => Some(etag.clone()),
            _ => None,
        };
        // Without either nothing tells bytes of another state from those that are there.
        let from = if etag.is_some() || object.checksum.is_some() { from } else { 0 };
        // An empty file has no byte at which a range could begin.
        let range = Some(from).filter(|&from| from > 0).map(GetRange::Offset);
        let options = GetOptions { if_match: etag, range, ..GetOptions::default() };
        let path = self.path(&object.key)?;
        let answer = self.client.store.get_opts(&path, options).await;
        let bucket = self.client.bucket.clone();
        let answer = answer.map_err(|error| fault::told(&error, &label, &bucket))?;
        if answer.meta.size != object.size || !is_of(&object.tag, &answer.meta) {
            return Err(StoreError::Changed(fault::changed(&label)));
        }
        let is_sum = answer.extensions.get::<Encryption>().is_none();
        let (from, checksum) = (answer.range.start, object.checksum.filter(|_| is_sum));
        let bytes = answer.into_stream().map_err(move |error| fault::told(&error, &label, &bucket)).boxed();
        Ok(Reading { from, bytes, checksum })
    }
}

impl Store for S3 {
    fn root(&self) -> &str {
        &self.root
    }

    fn endpoint(&self) -> &str {
        &self.client.endpoint
    }

    fn list(&self, below: Option<&str>) -> BoxFuture<'_, Result<Listed, StoreError>> {
        self.list(below.map(str::to_owned)).boxed()
    }

    fn read<'a>(&'a self, object: &'a Object, from: u64) -> BoxFuture<'a, Result<Reading, StoreError>> {
        self.read(object, from).boxed()
    }

    fn label(&self, object: &Object) -> String {
        if object.key.is_empty() { self.root.clone() } else { format!("{}/{}", self.root, object.key) }
    }
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.root)
    }
}

/// Whether an answer is of the state that was listed.
fn is_of(tag: &Tag, meta: &ObjectMeta) -> bool {
    match (tag, meta.e_tag.as_deref()) {
        (Tag::ETag(listed), Some(etag)) if !tag.is_strong() => opaque(listed) == opaque(etag),
        (Tag::ETag(listed), etag) => etag == Some(listed),
        // A header has no parts of seconds.
        (Tag::Modified(listed), _) => listed.get(..SECONDS) == meta.last_modified.to_rfc3339().get(..SECONDS),
    }
}

/// The tag as weak comparison has it.
fn opaque(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag)
}

fn object(key: &str, meta: &ObjectMeta) -> Object {
    let tag = match &meta.e_tag {
        Some(etag) => Tag::ETag(etag.clone()),
        None => Tag::Modified(meta.last_modified.to_rfc3339()),
    };
    let checksum = meta.e_tag.as_deref().and_then(Checksum::of_etag);
    Object { key: key.to_owned(), size: meta.size, tag, checksum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_of_what_was_listed_by_every_kind_of_tag() {
        let meta = |e_tag: Option<&str>| ObjectMeta {
            location: Path::default(),
            last_modified: Default::default(),
            size: 1,
            e_tag: e_tag.map(str::to_owned),
            version: None,
        };
        let etag = |text: &str| Tag::ETag(text.to_owned());
        assert!(is_of(&etag("\"a\""), &meta(Some("\"a\""))));
        assert!(!is_of(&etag("\"a\""), &meta(Some("\"b\""))));
        assert!(!is_of(&etag("\"a\""), &meta(None)));
        assert!(is_of(&etag("W/\"a\""), &meta(Some("\"a\""))));
        assert!(!is_of(&etag("W/\"a\""), &meta(Some("W/\"b\""))));
        assert!(is_of(&Tag::Modified("1970-01-01T00:00:00.123+00:00".to_owned()), &meta(None)));
        assert!(!is_of(&Tag::Modified("1970-01-01T00:00:01+00:00".to_owned()), &meta(Some("\"a\""))));
    }
}
