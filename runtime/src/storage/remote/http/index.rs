//! `index.json`: what a folder behind HTTP has in it.
//!
//! ```json
//! {"files": ["iris.joblib", {"path": "churn/1/model.joblib", "size": 344817, "sha256": "9f86d0…"}]}
//! ```

use reqwest::Response;
use serde::Deserialize;

use crate::storage::remote::checksum::Checksum;
use crate::storage::remote::store::{Object, StoreError, Tag};

/// Bytes of an index at most.
const MOST_BYTES: usize = 64 << 20;

/// Begins the tag of a file whose checksum the index gives: the server's own tags do not count.
const OF_INDEX: &str = "W/sha256:";

/// The listing.
#[derive(Debug, Deserialize)]
pub(super) struct Index {
    pub(super) files: Vec<File>,
}

/// A file of it.
#[derive(Debug, Deserialize)]
#[serde(from = "Entry")]
pub(super) struct File {
    pub(super) path: String,
    size: Option<u64>,
    sha256: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Path(String),
    Described { path: String, size: Option<u64>, sha256: Option<String> },
}

// === impl Index ===

impl Index {
    pub(super) async fn read(mut answer: Response, label: &str) -> Result<Self, StoreError> {
        let mut text = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| super::fault(error, label))? {
            text.extend_from_slice(&chunk);
            if text.len() > MOST_BYTES {
                return Err(StoreError::Other(format!("{label} has more than {MOST_BYTES} bytes")));
            }
        }
        Self::parse(&text).map_err(|reason| StoreError::Other(format!("{label}: {reason}")))
    }

    fn parse(text: &[u8]) -> Result<Self, String> {
        let index: Self = serde_json::from_slice(text)
            .map_err(|error| format!("{error}, expected for instance {{\"files\": [\"iris.joblib\"]}}"))?;
        for (number, file) in index.files.iter().enumerate() {
            if !is_path(&file.path) {
                return Err(format!("files[{number}]: '{}' is no path below the index", file.path));
            }
            if file.sha256.as_deref().is_some_and(|text| Checksum::sha256_of_hex(text).is_none()) {
                return Err(format!("files[{number}].sha256 is no SHA-256, expected 64 hexadecimal digits"));
            }
        }
        Ok(index)
    }
}

// === impl File ===

impl File {
    /// The file, where the index says all that there is to know.
    pub(super) fn object(&self) -> Option<Object> {
        let (size, sha256) = (self.size?, self.sha256.as_deref()?);
        let tag = Tag::ETag(format!("{OF_INDEX}{}", sha256.to_ascii_lowercase()));
        Some(Object { key: self.path.clone(), size, tag, checksum: Checksum::sha256_of_hex(sha256) })
    }
}

impl From<Entry> for File {
    fn from(entry: Entry) -> Self {
        match entry {
            Entry::Path(path) => Self { path, size: None, sha256: None },
            Entry::Described { path, size, sha256 } => Self { path, size, sha256 },
        }
    }
}

/// Whether the tag was made of what an index says.
pub(super) fn is_of_index(tag: &Tag) -> bool {
    tag.text().starts_with(OF_INDEX)
}

/// Whether it names something below the folder, and nothing that a file system takes for something else.
pub(super) fn is_path(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains(|sign: char| sign.is_control()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_names_files_and_may_say_what_they_are() {
        let sha256 = "2CF24DBA5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        let text = format!(r#"{{"files": ["a.joblib", {{"path": "m/1/b", "size": 5, "sha256": "{sha256}"}}]}}"#);
        let index = Index::parse(text.as_bytes()).unwrap();
        assert_eq!(index.files[0].object(), None);
        let object = index.files[1].object().unwrap();
        assert_eq!((object.key.as_str(), object.size, object.checksum.is_some()), ("m/1/b", 5, true));
        assert!(is_of_index(&object.tag) && !object.tag.is_strong());
    }

    #[test]
    fn an_index_that_is_wrong_says_where() {
        for (text, part) in [
            ("<html>", "expected for instance {\"files\": [\"iris.joblib\"]}"),
            (r#"{"files": ["a", "../b"]}"#, "files[1]: '../b' is no path below the index"),
            (r#"{"files": ["/etc/passwd"]}"#, "files[0]"),
            (r#"{"files": [{"path": "a", "size": 1, "sha256": "abc"}]}"#, "files[0].sha256 is no SHA-256"),
        ] {
            let error = Index::parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
