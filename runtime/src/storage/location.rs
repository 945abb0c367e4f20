//! Where somebody says that models stand.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::storage::StorageError;

/// A place, as `--models` and KServe's `storageUri` name it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Location {
    /// A folder: a path, or `file://` and one.
    Folder(PathBuf),
    /// A mounted volume claim: `pvc://claim/path`.
    Volume {
        /// The claim's name.
        claim: String,
        /// The folder in it.
        path: PathBuf,
    },
    /// `s3://bucket/prefix`; without a bucket it is the one of the storage key.
    S3 {
        /// The bucket.
        bucket: Option<String>,
        /// What the keys of all models begin with, without slashes at its ends.
        prefix: String,
    },
    /// `http://…` or `https://…`: a model's file, or with a slash at its end what an index there lists.
    Http(String),
}

const EXPECTED: &str = "expected a folder, file://, s3://bucket/prefix, https://host/path or pvc://claim/path";

// === impl Location ===

impl Location {
    /// Reads it.
    ///
    /// # Errors
    /// It is of a kind that is not served.
    pub fn parse(text: &str) -> Result<Self, StorageError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return match text {
                "" => Err(StorageError::new(format!("no models named, {EXPECTED}"))),
                path => Ok(Self::Folder(PathBuf::from(path))),
            };
        };
        match scheme.to_ascii_lowercase().as_str() {
            "file" => match rest.strip_prefix("localhost").unwrap_or(rest) {
                path if path.starts_with('/') => Ok(Self::Folder(PathBuf::from(path))),
                _ => Err(StorageError::new(format!("'{text}' names no folder, expected for instance file:///models"))),
            },
            "pvc" => {
                let (claim, path) = rest.split_once('/').unwrap_or((rest, ""));
                let path = PathBuf::from(path.trim_start_matches('/'));
                if claim.is_empty() || claim == "." || claim == ".." || !stays_inside(&path) {
                    return Err(StorageError::new(format!("'{text}' names no claim, expected pvc://claim/path")));
                }
                Ok(Self::Volume { claim: claim.to_owned(), path })
            }
            "s3" => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                let bucket = Some(bucket).filter(|bucket| !bucket.is_empty()).map(str::to_owned);
                Ok(Self::S3 { bucket, prefix: prefix.trim_matches('/').to_owned() })
            }
            "http" | "https" => Ok(Self::Http(text.to_owned())),
            other => Err(StorageError::new(format!("models at {other}:// are not served, {EXPECTED}"))),
        }
    }
}

/// Nothing above the folder that it is in.
pub(super) fn stays_inside(path: &Path) -> bool {
    path.components().all(|part| matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir))
}

/// Without what may be secret: a user's name, a password, a signed query.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::Volume { claim, path } => write!(f, "pvc://{claim}/{}", path.display()),
            Self::S3 { bucket, prefix } => write!(f, "s3://{}/{prefix}", bucket.as_deref().unwrap_or("")),
            Self::Http(url) => f.write_str(&without_secrets(url)),
        }
    }
}

/// The URL without user, password and query.
pub(super) fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or(url);
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
    let host = host.rsplit('@').next().unwrap_or(host);
    match path {
        Some(path) => format!("{scheme}://{host}/{path}"),
        None => format!("{scheme}://{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_people_write_them() {
        let s3 = |bucket: Option<&str>, prefix: &str| Location::S3 {
            bucket: bucket.map(str::to_owned),
            prefix: prefix.to_owned(),
        };
        let volume = |path: &str| Location::Volume { claim: "models".to_owned(), path: PathBuf::from(path) };
        for (text, location) in [
            ("./models", Location::Folder("./models".into())),
            ("/models", Location::Folder("/models".into())),
            ("file:///models", Location::Folder("/models".into())),
            ("s3://bucket", s3(Some("bucket"), "")),
            ("s3://bucket/a/b/", s3(Some("bucket"), "a/b")),
            ("S3:///a", s3(None, "a")),
            ("pvc://models", volume("")),
            ("pvc://models/a/b", volume("a/b")),
            ("https://host/m.joblib", Location::Http("https://host/m.joblib".to_owned())),
        ] {
            assert_eq!(Location::parse(text).unwrap(), location, "{text}");
        }
    }

    #[test]
    fn places_that_are_not_served_say_what_is() {
        for (text, part) in [
            ("gs://bucket/models", "models at gs:// are not served, expected a folder, file://, s3://bucket/prefix"),
            ("file://models", "expected for instance file:///models"),
            ("pvc:///models", "expected pvc://claim/path"),
            ("pvc://claim/../../etc", "expected pvc://claim/path"),
            ("pvc://../etc", "expected pvc://claim/path"),
            ("", "no models named"),
        ] {
            let error = Location::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_shown_of_a_place_holds_no_secret() {
        for (url, shown) in
            [("https://user:pass@host/a?X-Amz-Signature=1", "https://host/a"), ("http://host#f", "http://host")]
        {
            assert_eq!(Location::parse(url).unwrap().to_string(), shown);
        }
    }
}
