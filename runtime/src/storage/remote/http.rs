//! Files behind HTTP and HTTPS.
//!
//! HTTP has no listing. A URL is one file, or with a slash at its end a folder whose `index.json` says what is in it.

mod headers;
mod index;

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use http::header::{ACCEPT_ENCODING, IF_MATCH, IF_UNMODIFIED_SINCE, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest::{Certificate, Client, Response, Url, redirect};

use crate::storage::StorageError;
use crate::storage::location::without_secrets;
use crate::storage::remote::store::{Listed, Object, Reading, Store, StoreError, Tag};
use crate::storage::secret::StorageKey;
use crate::tls;

use index::Index;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The answer to a question about a file, or to the one for the index.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Files that are asked about at once.
const QUESTIONS_AT_ONCE: usize = 16;

/// What a folder's listing is called.
const INDEX: &str = "index.json";

/// A file or folder.
pub(crate) struct Http {
    client: Client,
    /// Of the folder, with a slash at its end; of a file the folder that it is in.
    folder: Url,
    /// The file's name, and its own URL, which may have a query.
    file: Option<(String, Url)>,
    /// As people write it.
    root: String,
    /// What the last look has left out, which was said.
    left_out: Mutex<HashSet<String>>,
}

// === impl Http ===

impl Http {
    /// Asks nothing yet.
    ///
    /// # Errors
    /// The URL is none, or the key's headers or certificate are none.
    pub(crate) fn new(url: &str, key: &StorageKey) -> Result<Self, StorageError> {
        tls::install();
        let shown = without_secrets(url);
        let url = Url::parse(url).map_err(|error| StorageError::new(format!("{shown}: {error}")))?;
        let file = match file_name(&url) {
            Some(name) => Some((name.map_err(|reason| StorageError::new(format!("{shown}: {reason}")))?, url.clone())),
            None => None,
        };
        let mut folder = url;
        folder.set_query(None);
        folder.set_fragment(None);
        if file.is_some() {
            // `.` is the folder that a file is in.
            folder = folder.join(".").map_err(|error| StorageError::new(format!("{shown}: {error}")))?;
        }
        let client = match client(key, true) {
            // An image without certificates will do where nothing is encrypted.
            Err(_) if folder.scheme() == "http" => client(key, false),
            client => client,
        };
        let client = client.map_err(|reason| StorageError::new(format!("{shown}: {reason}")))?;
        let root = without_secrets(folder.as_str()).trim_end_matches('/').to_owned();
        Ok(Self { client, folder, file, root, left_out: Mutex::default() })
    }

    async fn list(&self) -> Result<Listed, StoreError> {
        if let Some((name, url)) = &self.file {
            let object = self.ask(name.clone(), url.clone()).await?;
            return Ok(Listed { objects: vec![object], is_file: true });
        }
        let url = self.url(INDEX)?;
        let label = without_secrets(url.as_str());
        let answer = self.send(self.client.get(url).timeout(ANSWER_TIMEOUT), &label).await?;
        let index = Index::read(answer, &label).await?;
        let questions: Vec<_> = index.files.into_iter().map(|file| self.known(file)).collect();
        let answers: Vec<_> = stream::iter(questions).buffered(QUESTIONS_AT_ONCE).collect().await;
        let (mut objects, mut left_out) = (Vec::new(), Vec::new());
        for answer in answers {
            match answer {
                Ok(object) => objects.push(object),
                // The index is older than its folder.
                Err(error @ (StoreError::Gone(_) | StoreError::Denied(_))) => left_out.push(error),
                Err(error) => return Err(error),
            }
        }
        {
            let texts: Vec<_> = left_out.iter().map(ToString::to_string).collect();
            let mut told = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
            for error in texts.iter().filter(|text| !told.contains(*text)) {
                tracing::warn!(error, index = label, "a file of the index is left out");
            }
            *told = texts.into_iter().collect();
        }
        match left_out.pop() {
            // That is not the files' fault.
            Some(error) if objects.is_empty() => Err(error),
            _ => Ok(Listed { objects, is_file: false }),
        }
    }

    /// What the index says is not asked again.
    async fn known(&self, file: index::File) -> Result<Object, StoreError> {
        match file.object() {
            Some(object) => Ok(object),
            None => {
                let url = self.url(&file.path)?;
                self.ask(file.path, url).await
            }
        }
    }

    /// What a file is now. Asks for its first byte: servers that answer GET need not answer HEAD, those behind a signed
    /// URL do not.
    async fn ask(&self, key: String, url: Url) -> Result<Object, StoreError> {
        let label = without_secrets(url.as_str());
        let request = self.client.get(url).header(RANGE, "bytes=0-0").header(ACCEPT_ENCODING, "identity");
        let answer = self.send(request.timeout(ANSWER_TIMEOUT), &label).await?;
        let of = headers::FileHeaders::read(&answer);
        let size = of.size.ok_or_else(|| {
            StoreError::Other(format!("{label}: the server does not say how long the file is (Content-Length)"))
        })?;
        let tag = of.tag.ok_or_else(|| {
            StoreError::Other(format!("{label}: the server gives neither ETag nor Last-Modified, one is needed"))
        })?;
        Ok(Object { key, size, tag, checksum: None })
    }

    async fn read(&self, object: &Object, from: u64) -> Result<Reading, StoreError> {
        let label = self.label(object);
        let url = match &self.file {
            Some((_, url)) => url.clone(),
            None => self.url(&object.key)?,
        };
        let mut request = self.client.get(url).header(ACCEPT_ENCODING, "identity");
        match &object.tag {
            Tag::ETag(etag) if object.tag.is_strong() => request = request.header(IF_MATCH, etag),
            Tag::Modified(time) => request = request.header(IF_UNMODIFIED_SINCE, time),
            // From the index: the checksum is what tells.
            Tag::ETag(_) => {}
        }
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let answer = self.send(request, &label).await?;
        let of = headers::FileHeaders::read(&answer);
        let is_other = of.tag.as_ref().is_some_and(|tag| !index::is_of_index(&object.tag) && *tag != object.tag);
        if is_other || of.size.is_some_and(|size| size != object.size) {
            return Err(StoreError::Changed(changed(&label)));
        }
        let Some(from) = of.from else {
            return Err(StoreError::Corrupt(format!("{label}: a part came that does not say where it begins")));
        };
        let checksum = object.checksum.or(of.checksum);
        let bytes = answer.bytes_stream().map_err(move |error| fault(error, &label)).boxed();
        Ok(Reading { from, bytes, checksum })
    }

    async fn send(&self, request: reqwest::RequestBuilder, label: &str) -> Result<Response, StoreError> {
        let answer = request.send().await.map_err(|error| fault(error, label))?;
        let status = answer.status();
        let number = status.as_u16();
        Err(match status {
            // Nothing to give of an empty file.
            StatusCode::RANGE_NOT_SATISFIABLE if headers::is_of_empty_file(&answer) => return Ok(answer),
            status if status.is_success() => return Ok(answer),
            StatusCode::NOT_FOUND | StatusCode::GONE => StoreError::Gone(format!("{label} is not there ({number})")),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => StoreError::Denied(format!(
                "{label}: access denied ({number}), check user and password in the URL, its signature, or headers in the storage key"
            )),
            StatusCode::PRECONDITION_FAILED => StoreError::Changed(changed(label)),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                StoreError::Passing(format!("{label}: the server is busy ({number})"))
            }
            status if status.is_server_error() => StoreError::Passing(format!("{label}: the server failed ({number})")),
            _ => StoreError::Other(format!("{label}: the server answered {number}, expected the file")),
        })
    }

    fn url(&self, key: &str) -> Result<Url, StoreError> {
        let mut url = self.folder.clone();
        let cannot = || StoreError::Other(format!("{}: cannot have files", self.root));
        url.path_segments_mut().map_err(|()| cannot())?.pop_if_empty().extend(key.split('/'));
        Ok(url)
    }
}

impl Store for Http {
    fn root(&self) -> &str {
        &self.root
    }

    fn endpoint(&self) -> &str {
        ""
    }

    fn list(&self, below: Option<&str>) -> BoxFuture<'_, Result<Listed, StoreError>> {
        let below = below.map(str::to_owned);
        async move {
            let mut listed = self.list().await?;
            if let Some(below) = below {
                let is_below =
                    |key: &str| key.strip_prefix(&below).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
                listed.objects.retain(|object| is_below(&object.key));
            }
            Ok(listed)
        }
        .boxed()
    }

    fn read<'a>(&'a self, object: &'a Object, from: u64) -> BoxFuture<'a, Result<Reading, StoreError>> {
        self.read(object, from).boxed()
    }
}

/// The last part of the path; none of a folder.
fn file_name(url: &Url) -> Option<Result<String, String>> {
    let last = url.path_segments()?.next_back().filter(|name| !name.is_empty())?;
    let name = percent_decoded(last).filter(|name| index::is_path(name) && !name.contains('/'));
    Some(name.ok_or_else(|| format!("'{last}' is no name of a file")))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

fn client(key: &StorageKey, has_system_certificates: bool) -> Result<Client, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &key.headers {
        let name: HeaderName = name.parse().map_err(|_| format!("'{name}' in the storage key is no header's name"))?;
        let mut value: HeaderValue =
            value.parse().map_err(|_| format!("the value of '{name}' in the storage key is no header's"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    let mut builder =
        Client::builder().connect_timeout(CONNECT_TIMEOUT).user_agent(concat!("modelway/", env!("CARGO_PKG_VERSION")));
    if !headers.is_empty() {
        // They are for this server; a redirect must not carry them to another one.
        builder = builder.redirect(redirect::Policy::custom(|attempt| {
            let is_same = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
            if is_same && attempt.previous().len() < 10 { attempt.follow() } else { attempt.stop() }
        }));
        builder = builder.default_headers(headers);
    }
    if !has_system_certificates {
        builder = builder.tls_certs_only([]);
    }
    if let Some(pem) = &key.certificate {
        let not_understood = "the certificate of the storage key is not understood, expected PEM";
        let certificates = Certificate::from_pem_bundle(pem.as_bytes()).map_err(|_| not_understood)?;
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(|error| format!("cannot set up TLS: {}", innermost(&error)))
}

fn fault(error: reqwest::Error, label: &str) -> StoreError {
    let error = error.without_url();
    let how = match () {
        () if error.is_timeout() => "no answer in time".to_owned(),
        () if error.is_connect() => format!("cannot connect: {}", innermost(&error)),
        () if error.is_redirect() => return StoreError::Other(format!("{label}: {}", innermost(&error))),
        () => format!("the connection was cut: {}", innermost(&error)),
    };
    StoreError::Passing(format!("{label}: {how}"))
}

fn changed(label: &str) -> String {
    format!("{label} has changed since it was listed, the next look finds the new one")
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
