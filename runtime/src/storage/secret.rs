//! KServe's `storage-config` secret: a folder with a JSON file for each key.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::storage::StorageError;

/// What a key says. Its text is never shown.
#[derive(Clone, Default, Deserialize, Eq, Hash, PartialEq)]
#[serde(default)]
pub(crate) struct StorageKey {
    /// `s3`, `http` or `pvc`; S3 where it does not say.
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) access_key_id: Option<String>,
    pub(crate) secret_access_key: Option<String>,
    pub(crate) session_token: Option<String>,
    pub(crate) endpoint_url: Option<String>,
    pub(crate) region: Option<String>,
    bucket: Option<String>,
    default_bucket: Option<String>,
    /// PEM: whom to trust besides those whom the system trusts.
    pub(crate) certificate: Option<String>,
    /// Of `http`: what paths are relative to.
    pub(crate) url: Option<String>,
    /// Of `http`: headers of every request.
    pub(crate) headers: BTreeMap<String, String>,
    /// Of `pvc`: the claim.
    pub(crate) name: Option<String>,
    /// One model's parameters name another place than the secret: the secret's own keys are not for it.
    #[serde(skip)]
    pub(crate) is_moved: bool,
}

/// Whom the secret's keys are for.
const PLACES: [&str; 2] = ["url", "endpoint_url"];

/// What nobody else is to get.
const SECRETS: [&str; 4] = ["access_key_id", "secret_access_key", "session_token", "headers"];

/// The keys to look for where none is named, as KServe's puller does.
const DEFAULT_KEYS: [&str; 2] = ["default_s3", "default"];

// === impl StorageKey ===

impl StorageKey {
    /// Reads a key of the folder, and what is to be different for one model.
    ///
    /// # Errors
    /// There is no such key, or it is not understood; the text names what there is and shows no value.
    pub(crate) fn read(folder: &Path, key: Option<&str>, changes: &Map<String, Value>) -> Result<Self, StorageError> {
        let wanted = match &key {
            Some(key) => std::slice::from_ref(key),
            None => DEFAULT_KEYS.as_slice(),
        };
        for key in wanted {
            if key.is_empty() || key.contains(['/', '\0']) || key.starts_with('.') {
                return Err(StorageError::new(format!("'{key}' is no storage key, expected for instance localMinIO")));
            }
            let path = folder.join(key);
            match std::fs::read(&path) {
                Ok(text) => {
                    return Self::parse(&text, changes)
                        .map_err(|reason| StorageError::new(format!("{}: {reason}", path.display())));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StorageError::new(format!("cannot read {}: {error}", path.display()))),
            }
        }
        let known = keys(folder);
        Err(StorageError::new(format!(
            "no storage key {} in {}, it has: {}",
            wanted.iter().map(|key| format!("'{key}'")).collect::<Vec<_>>().join(" or "),
            folder.display(),
            if known.is_empty() { "none".to_owned() } else { known.join(", ") },
        )))
    }

    /// A key without a secret: only what one model says.
    pub(crate) fn of(changes: &Map<String, Value>) -> Result<Self, StorageError> {
        Self::parse(b"{}", changes).map_err(|reason| StorageError::new(format!("storage parameters: {reason}")))
    }

    fn parse(text: &[u8], changes: &Map<String, Value>) -> Result<Self, String> {
        // serde's own text would show the value that it did not expect.
        let at = |error: serde_json::Error| format!("no JSON at line {} column {}", error.line(), error.column());
        let mut object: Map<String, Value> = serde_json::from_slice(text).map_err(at)?;
        let text = |of: &Map<String, Value>, name: &str| of.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
        let is_moved = PLACES.iter().any(|name| {
            !object.is_empty() && changes.contains_key(*name) && text(changes, name) != text(&object, name)
        });
        if is_moved {
            object.retain(|name, _| !SECRETS.contains(&name.as_str()));
        }
        object.extend(changes.iter().map(|(name, value)| (name.clone(), value.clone())));
        for (name, value) in &object {
            let is_of_texts = match (name.as_str(), value) {
                ("headers", Value::Object(headers)) => headers.values().all(Value::is_string),
                ("headers", _) => false,
                (name, value) => value.is_string() || value.is_null() || !FIELDS.contains(&name),
            };
            if !is_of_texts {
                return Err(format!("'{name}' is no text, expected for instance {{\"{name}\": \"…\"}}"));
            }
        }
        object.retain(|_, value| !value.as_str().is_some_and(str::is_empty));
        let key: Self = serde_json::from_value(Value::Object(object)).map_err(|_| "not understood".to_owned())?;
        Ok(Self { is_moved, ..key })
    }

    /// The bucket; `default_bucket` is its older name.
    #[cfg(any(feature = "s3", test))]
    pub(crate) fn bucket(&self) -> Option<&str> {
        self.bucket.as_deref().or(self.default_bucket.as_deref())
    }

    /// The kind of store, in KServe's words.
    pub(crate) fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or("s3")
    }
}

const FIELDS: [&str; 12] = [
    "type",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "endpoint_url",
    "region",
    "bucket",
    "default_bucket",
    "certificate",
    "url",
    "headers",
    "name",
];

impl fmt::Debug for StorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StorageKey").field("kind", &self.kind).finish_non_exhaustive()
    }
}

fn keys(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut keys: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
    keys.sort();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    const LOCAL_MINIO: &str = r#"{"type": "s3", "access_key_id": "AKIAIOSFODNN7EXAMPLE",
        "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "endpoint_url": "http://minio:9000",
        "default_bucket": "modelmesh-example-models", "region": "us-south", "certificate": ""}"#;

    fn secret(files: &[(&str, &str)]) -> TempDir {
        let folder = TempDir::new().unwrap();
        for (key, text) in files {
            std::fs::write(folder.path().join(key), text).unwrap();
        }
        folder
    }

    #[test]
    fn the_quick_starts_secret_is_read() {
        let folder = secret(&[("localMinIO", LOCAL_MINIO)]);
        let key = StorageKey::read(folder.path(), Some("localMinIO"), &Map::new()).unwrap();
        assert_eq!((key.kind(), key.bucket()), ("s3", Some("modelmesh-example-models")));
        assert_eq!(key.endpoint_url.as_deref(), Some("http://minio:9000"));
        assert_eq!((key.region.as_deref(), key.certificate), (Some("us-south"), None));
    }

    #[test]
    fn a_models_parameters_come_before_the_secret() {
        let folder = secret(&[("default", LOCAL_MINIO)]);
        let changes =
            Map::from_iter([("bucket".to_owned(), Value::from("other")), ("more".to_owned(), Value::from(7))]);
        assert_eq!(StorageKey::read(folder.path(), None, &changes).unwrap().bucket(), Some("other"));
    }

    #[test]
    fn a_models_parameters_take_no_secret_to_another_place() {
        let read = |secret: &str, changes: Value| {
            let folder = self::secret(&[("a", secret)]);
            StorageKey::read(folder.path(), Some("a"), changes.as_object().unwrap()).unwrap()
        };
        let same = read(LOCAL_MINIO, serde_json::json!({"endpoint_url": "http://minio:9000", "url": ""}));
        assert!(!same.is_moved && same.access_key_id.is_some());
        let moved = read(LOCAL_MINIO, serde_json::json!({"endpoint_url": "http://elsewhere"}));
        assert!(moved.is_moved && moved.access_key_id.is_none() && moved.secret_access_key.is_none());
        let own =
            serde_json::json!({"endpoint_url": "http://elsewhere", "access_key_id": "a", "secret_access_key": "b"});
        assert_eq!(read(LOCAL_MINIO, own).access_key_id.as_deref(), Some("a"));
        let http = r#"{"type": "http", "url": "https://a", "headers": {"authorization": "hush"}}"#;
        assert!(!read(http, serde_json::json!({})).headers.is_empty());
        assert!(read(http, serde_json::json!({"url": "https://b"})).headers.is_empty());
    }

    #[test]
    fn a_key_that_is_wrong_is_told_without_its_values() {
        let folder = secret(&[("a", LOCAL_MINIO), ("b", "{\"secret_access_key\": hush"), ("c", "{\"region\": 7}")]);
        let error = |key| StorageKey::read(folder.path(), Some(key), &Map::new()).unwrap_err().to_string();
        assert!(error("x").ends_with("it has: a, b, c"), "{}", error("x"));
        assert!(error("b").contains("no JSON at line 1") && !error("b").contains("hush"), "{}", error("b"));
        assert!(error("c").contains("'region' is no text"), "{}", error("c"));
        assert!(error("../a").contains("is no storage key"), "{}", error("../a"));
        let error = StorageKey::read(folder.path(), None, &Map::new()).unwrap_err().to_string();
        assert!(error.starts_with("no storage key 'default_s3' or 'default' in "), "{error}");
    }
}
