//! What a model's key says: JSON that ModelMesh's controller writes and its puller completes.

use serde::Deserialize;
use serde_json::Value;

use crate::storage::Address;

/// A key; what it does not say, or says in another form, is absent.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub(super) struct ModelKey {
    model_type: Value,
    disk_size_bytes: Value,
    storage_key: Value,
    storage_params: Value,
}

// === impl ModelKey ===

impl ModelKey {
    /// Reads the key. A key that is no JSON says nothing: ModelMesh lets people write what they like.
    pub(super) fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// The model's format, for instance `sklearn`.
    pub(super) fn format(&self) -> Option<&str> {
        let name = self.model_type.get("name").unwrap_or(&self.model_type);
        name.as_str().filter(|name| !name.is_empty())
    }

    /// Where the path is, when it is not one of this machine: no puller has fetched the files.
    pub(super) fn address(&self, path: &str) -> Option<Address> {
        let key = self.storage_key.as_str().filter(|key| !key.is_empty()).map(str::to_owned);
        let parameters = self.storage_params.as_object().cloned().unwrap_or_default();
        let is_stored = key.is_some() || !parameters.is_empty();
        is_stored.then(|| Address { key, parameters, path: path.to_owned() })
    }

    /// Bytes of the model's files.
    pub(super) fn disk_size(&self) -> Option<u64> {
        self.disk_size_bytes.as_u64().filter(|&bytes| bytes > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_what_it_can() {
        let full = ModelKey::read(
            r#"{"storage_key":"localMinIO","model_type":{"name":"sklearn","version":"0"},"disk_size_bytes":344817,"schema_path":"/x"}"#,
        );
        assert_eq!((full.format(), full.disk_size()), (Some("sklearn"), Some(344_817)));
        assert_eq!(ModelKey::read(r#"{"model_type":"xgboost"}"#).format(), Some("xgboost"));
        let address = full.address("sklearn/mnist.joblib").unwrap();
        assert_eq!((address.key.as_deref(), address.path.as_str()), (Some("localMinIO"), "sklearn/mnist.joblib"));
        let address = ModelKey::read(r#"{"storage_params":{"bucket":"models"}}"#).address("m").unwrap();
        assert_eq!((address.key, address.parameters.len()), (None, 1));
        for nothing in
            ["", "no JSON", "[]", "7", r#"{"model_type":{"name":7},"disk_size_bytes":"many"}"#, r#"{"model_type":""}"#]
        {
            let key = ModelKey::read(nothing);
            assert_eq!((key.format(), key.disk_size(), key.address("m")), (None, None, None), "{nothing}");
        }
    }
}
