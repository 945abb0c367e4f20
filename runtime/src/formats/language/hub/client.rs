//! The hub over HTTP: what a revision is, and files of a commit.
//!
//! Redirects are followed here, not by the library: what a file is (its ETag, its length) stands in the hub's own answers,
//! its bytes come from another host, which must not see the token.

use std::time::Duration;

use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LOCATION, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use reqwest::{Client, Response, Url, redirect};
use serde::Deserialize;

use super::cache::is_commit;
use super::{HubOptions, Id};
use crate::tls;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Without a byte.
const SILENCE: Duration = Duration::from_secs(60);
const REDIRECTS: usize = 10;

/// Asks the hub.
pub(super) struct HubClient {
    http: Client,
    /// As it was set, for errors.
    shown: String,
    endpoint: Url,
    token: Option<HeaderValue>,
}

/// Why an answer is none.
#[derive(Debug)]
pub(super) enum Fault {
    /// Trying again may help.
    Passing(String),
    Lasting(String),
}

/// A revision: its commit and the names of its files.
#[derive(Debug)]
pub(super) struct Revision {
    pub(super) commit: String,
    pub(super) names: Vec<String>,
}

/// A file, by what its content is called.
#[derive(Debug)]
pub(super) struct FileHead {
    pub(super) etag: String,
    pub(super) size: u64,
}

/// The bytes of a file from some place on.
pub(super) struct Reading {
    pub(super) from: u64,
    pub(super) answer: Response,
}

/// `GET /api/models/NAME/revision/REVISION`
#[derive(Deserialize)]
struct Answer {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

// === impl HubClient ===

impl HubClient {
    pub(super) fn new(options: &HubOptions) -> Result<Self, String> {
        tls::install();
        let shown = options.endpoint.clone();
        let endpoint = Url::parse(&shown).map_err(|error| format!("HF_ENDPOINT is '{shown}': {error}"))?;
        if !["http", "https"].contains(&endpoint.scheme()) || endpoint.cannot_be_a_base() {
            return Err(format!("HF_ENDPOINT is '{shown}', expected an http or https URL"));
        }
        let token = options.token().map(|token| {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| "HF_TOKEN, or the file with the token, holds what cannot be one")?;
            value.set_sensitive(true);
            Ok::<_, String>(value)
        });
        let build = |builder: reqwest::ClientBuilder| {
            let builder = builder.connect_timeout(CONNECT_TIMEOUT).read_timeout(SILENCE);
            let agent = concat!("modelway/", env!("CARGO_PKG_VERSION"));
            builder.user_agent(agent).redirect(redirect::Policy::none()).build()
        };
        let http = match build(Client::builder()) {
            // An image without certificates will do where nothing is encrypted.
            Err(_) if endpoint.scheme() == "http" => build(Client::builder().tls_certs_only([])),
            client => client,
        };
        let http = http.map_err(|error| format!("cannot set up TLS: {}", innermost(&error)))?;
        Ok(Self { http, shown, endpoint, token: token.transpose()? })
    }

    /// What a revision is now.
    pub(super) async fn revision(&self, id: &Id) -> Result<Revision, Fault> {
        let url =
            self.url(["api", "models"].into_iter().chain(id.name().split('/')).chain(["revision", id.revision()]));
        let hops = self.ask(Method::GET, url?, None, true).await?;
        let text = hops.last.bytes().await.map_err(|error| self.cut(error))?;
        let malformed = |reason: &dyn std::fmt::Display| {
            Fault::Lasting(format!("{} does not answer as a hub does ({reason}), check HF_ENDPOINT", self.shown))
        };
        let answer: Answer = serde_json::from_slice(&text).map_err(|error| malformed(&error))?;
        if !is_commit(&answer.sha) {
            return Err(malformed(&format!("sha is '{}', expected a commit", answer.sha)));
        }
        let names = answer.siblings.into_iter().map(|file| file.rfilename).collect();
        Ok(Revision { commit: answer.sha, names })
    }

    /// What a file of a commit is.
    pub(super) async fn head(&self, id: &Id, commit: &str, name: &str) -> Result<FileHead, Fault> {
        let hops = self.ask(Method::HEAD, self.file(id, commit, name)?, None, false).await?;
        let missing = |what: &str| Fault::Lasting(format!("{} does not say the {what} of {name} of {id}", self.shown));
        let etag = hops.find("x-linked-etag").or_else(|| hops.find(ETAG.as_str()));
        let etag = etag.and_then(|etag| plain(&etag)).ok_or_else(|| missing("ETag"))?;
        let size = hops.find("x-linked-size").or_else(|| hops.find(CONTENT_LENGTH.as_str()));
        let size = size.and_then(|size| size.parse().ok()).ok_or_else(|| missing("length"))?;
        Ok(FileHead { etag, size })
    }

    /// A file of a commit, from this byte on if the server can.
    pub(super) async fn read(&self, id: &Id, commit: &str, name: &str, from: u64) -> Result<Reading, Fault> {
        let range = (from > 0).then(|| format!("bytes={from}-"));
        let hops = self.ask(Method::GET, self.file(id, commit, name)?, range.as_deref(), true).await?;
        let answer = hops.last;
        if answer.status() != StatusCode::PARTIAL_CONTENT {
            return Ok(Reading { from: 0, answer });
        }
        let begin = answer.headers().get(CONTENT_RANGE).and_then(|range| begin(range.to_str().ok()?));
        match begin {
            Some(from) => Ok(Reading { from, answer }),
            None => {
                Err(Fault::Lasting(format!("{}: a part of {name} came that does not say where it begins", self.shown)))
            }
        }
    }

    fn file(&self, id: &Id, commit: &str, name: &str) -> Result<Url, Fault> {
        self.url(id.name().split('/').chain(["resolve", commit]).chain(name.split('/')))
    }

    fn url<'a>(&self, path: impl Iterator<Item = &'a str>) -> Result<Url, Fault> {
        let mut url = self.endpoint.clone();
        let cannot = || Fault::Lasting(format!("HF_ENDPOINT is '{}', expected an http or https URL", self.shown));
        url.path_segments_mut().map_err(|()| cannot())?.pop_if_empty().extend(path);
        Ok(url)
    }

    /// Asks, and follows redirects; to other hosts only if the caller wants it.
    async fn ask(&self, method: Method, url: Url, range: Option<&str>, leaves: bool) -> Result<Hops, Fault> {
        let mut url = url;
        let mut headers = Vec::new();
        for _ in 0..REDIRECTS {
            let is_own = url.origin() == self.endpoint.origin();
            let mut request = self.http.request(method.clone(), url.clone()).header(ACCEPT_ENCODING, "identity");
            if let Some(token) = self.token.as_ref().filter(|_| is_own) {
                request = request.header(AUTHORIZATION, token);
            }
            if let Some(range) = range {
                request = request.header(RANGE, range);
            }
            let answer = request.send().await.map_err(|error| self.cut(error))?;
            let next = answer.status().is_redirection().then(|| answer.headers().get(LOCATION)).flatten();
            let next = next.and_then(|location| url.join(location.to_str().ok()?).ok());
            let Some(next) = next else {
                self.check(&answer, is_own)?;
                return Ok(Hops { headers, last: answer });
            };
            if !leaves && next.origin() != self.endpoint.origin() {
                return Ok(Hops { headers, last: answer });
            }
            if is_own {
                headers.push(answer.headers().clone());
            }
            url = next;
        }
        Err(Fault::Lasting(format!("{} redirects without end", self.shown)))
    }

    fn check(&self, answer: &Response, is_own: bool) -> Result<(), Fault> {
        let status = answer.status();
        let (hub, number) = (&self.shown, status.as_u16());
        if status.is_success() {
            return Ok(());
        }
        let busy = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS, StatusCode::RANGE_NOT_SATISFIABLE];
        if status.is_server_error() || busy.contains(&status) {
            return Err(Fault::Passing(format!("{hub} is busy or failed ({number})")));
        }
        if !is_own {
            // Its address was signed for some time; a new one is asked for.
            return Err(Fault::Passing(format!("where {hub} has the file, the answer is {number}")));
        }
        let code = answer.headers().get("x-error-code").and_then(|code| code.to_str().ok()).unwrap_or_default();
        Err(Fault::Lasting(match (status, code) {
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, "GatedRepo") => format!(
                "{hub} gives it to those only who accepted its terms there ({number}): accept them, and set HF_TOKEN to a \
                 token of the same account"
            ),
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) if self.token.is_some() => format!(
                "{hub} does not give it to the token of HF_TOKEN ({number}): it is not there, check the name, or the token \
                 may not read it"
            ),
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => format!(
                "{hub} does not give it to everybody ({number}): it is not there, check the name, or it is private, set \
                 HF_TOKEN to a token that may read it"
            ),
            (StatusCode::NOT_FOUND, "RevisionNotFound") => {
                format!("{hub} has no such revision of it ({number}), check what stands behind the @, or 'revision'")
            }
            (StatusCode::NOT_FOUND, _) => format!("{hub} has no such model ({number}), check the name and HF_ENDPOINT"),
            _ => format!("{hub} answers {number}, check HF_ENDPOINT"),
        }))
    }

    /// A fault of the connection.
    pub(super) fn cut(&self, error: reqwest::Error) -> Fault {
        let error = error.without_url();
        let reason = innermost(&error);
        Fault::Passing(match () {
            () if error.is_connect() => format!(
                "cannot connect to {} ({reason}), check the network and HF_ENDPOINT, or set HF_HUB_OFFLINE=1 and put the \
                 model into the cache",
                self.shown
            ),
            () if error.is_timeout() => format!("no answer of {} in time", self.shown),
            () => format!("the connection to {} was cut ({reason})", self.shown),
        })
    }
}

/// An answer, and the headers of the redirects of the hub's own that led there.
struct Hops {
    headers: Vec<HeaderMap>,
    last: Response,
}

// === impl Hops ===

impl Hops {
    /// A header of the first answer that has it.
    fn find(&self, name: &str) -> Option<String> {
        let is_redirect = self.last.status().is_redirection();
        // A redirect's own length is not that of the file.
        let is_of_file = |name: &str| name.starts_with("x-linked") || !is_redirect;
        let linked = self.headers.iter().filter(|_| name.starts_with("x-linked"));
        let last = Some(self.last.headers()).filter(|_| is_of_file(name) || name == ETAG.as_str());
        let mut found = linked.chain(last).filter_map(|headers| headers.get(name)?.to_str().ok());
        found.next().map(str::to_owned)
    }
}

// === impl Fault ===

impl Fault {
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Passing(text) | Self::Lasting(text) => text,
        }
    }
}

/// An ETag as the cache writes it: without quotes and `W/`. It becomes a file's name.
fn plain(etag: &str) -> Option<String> {
    let etag = etag.trim().trim_start_matches("W/").trim_matches('"');
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_name = (1..=200).contains(&etag.len()) && !etag.starts_with('.') && etag.bytes().all(is_allowed);
    is_name.then(|| etag.to_owned())
}

/// The first byte of `bytes 5-9/10`.
fn begin(range: &str) -> Option<u64> {
    range.strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
