//! What a store's refusals mean, in words that show no key.

use std::error::Error as _;

use object_store::Error;
use object_store::client::{HttpError, HttpErrorKind};

use crate::storage::remote::store::StoreError;

/// The error of a request about this object, or about the bucket.
pub(super) fn told(error: &Error, label: &str, bucket: &str) -> StoreError {
    let text = texts(error);
    let code = between(&text, "<Code>", "</Code>").unwrap_or("");
    // Of a listing the status stands in the text only.
    let status = between(&text, "status code: ", " ").unwrap_or("");
    match (error, code) {
        (_, "NoSuchBucket") => StoreError::Gone(format!("{label}: there is no bucket '{bucket}'")),
        (_, "InvalidAccessKeyId" | "NotSignedUp") => StoreError::Denied(format!(
            "{label}: the store does not know the access key ({code}), check AWS_ACCESS_KEY_ID or the storage key"
        )),
        (_, "SignatureDoesNotMatch") => StoreError::Denied(format!(
            "{label}: the secret key is not the access key's (SignatureDoesNotMatch), check AWS_SECRET_ACCESS_KEY or the storage key"
        )),
        _ if matches!(error, Error::NotFound { .. }) || status == "404" => {
            StoreError::Gone(format!("{label} is not there (404)"))
        }
        (Error::Precondition { .. } | Error::NotModified { .. }, _) => StoreError::Changed(changed(label)),
        _ if matches!(error, Error::PermissionDenied { .. }) || status == "403" => StoreError::Denied(format!(
            "{label}: access denied (403{}), the keys need s3:ListBucket and s3:GetObject",
            Some(code).filter(|code| !code.is_empty()).map(|code| format!(" {code}")).unwrap_or_default()
        )),
        _ if matches!(error, Error::Unauthenticated { .. }) || status == "401" => {
            StoreError::Denied(format!("{label}: the store wants other credentials (401)"))
        }
        (Error::InvalidPath { .. }, _) => StoreError::Other(format!("{label}: {}", plain(error))),
        _ if text.contains("169.254.169.254") => StoreError::Denied(format!(
            "{label}: no credentials, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for a public bucket"
        )),
        _ if text.contains("redirect without LOCATION") || code == "PermanentRedirect" => {
            StoreError::Other(format!("{label}: the bucket is in another region, check AWS_REGION"))
        }
        _ => StoreError::Passing(format!("{label}: {}", plain(error))),
    }
}

/// For an object that is no longer what was listed.
pub(super) fn changed(label: &str) -> String {
    format!("{label} has changed since it was listed, the next look finds the new one")
}

/// The innermost reason, without addresses, and without what a store writes into the bodies of its errors: some repeat
/// the access key.
pub(super) fn plain(error: &Error) -> String {
    let mut innermost: &(dyn std::error::Error + 'static) = error;
    let mut how = None;
    while let Some(source) = innermost.source() {
        innermost = source;
        if let Some(http) = innermost.downcast_ref::<HttpError>() {
            how = match http.kind() {
                HttpErrorKind::Connect => Some("cannot connect"),
                HttpErrorKind::Timeout => Some("no answer in time"),
                HttpErrorKind::Interrupted | HttpErrorKind::Request => Some("the connection was cut"),
                _ => None,
            };
        }
    }
    let text = innermost.to_string();
    let code = between(&text, "<Code>", "</Code>");
    let start = text.split(['<', '\n']).next().unwrap_or("").trim().trim_end_matches(':').trim_end();
    match (how, code) {
        (_, Some(code)) => format!("{start} ({code})"),
        (Some(how), None) => format!("{how}: {start}"),
        (None, None) => start.to_owned(),
    }
}

/// All reasons, the outermost first. Not for people: keys may be in it.
fn texts(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push('\n');
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    text.split_once(start)?.1.split_once(end).map(|(inner, _)| inner)
}
