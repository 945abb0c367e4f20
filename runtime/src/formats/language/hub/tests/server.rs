//! A server with the shape of the hub: real HTTP over folders on this machine.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Method, StatusCode, header};
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;

pub(super) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// The server, until it is dropped.
pub(super) struct HubServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Of both hosts.
    _runtime: Runtime,
}

/// A request as it came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Seen {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) range: Option<String>,
    pub(super) authorization: Option<String>,
    /// Whether it came to the host that has the large files.
    pub(super) is_elsewhere: bool,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spoiled {
    /// The answer with a file's bytes ends after so many.
    CutAfter(usize),
    /// A byte of them is another one.
    Changed,
    /// This status in place of an answer.
    Status(u16),
}

struct Shared {
    /// By the names of models: their files.
    models: BTreeMap<String, Vec<PathBuf>>,
    token: Option<&'static str>,
    elsewhere: SocketAddr,
    has_ranges: bool,
    seen: Mutex<Vec<Seen>>,
    /// For the next requests for weights.
    spoiled: Mutex<Vec<Spoiled>>,
}

/// What is set before it starts.
#[derive(Default)]
pub(super) struct HubPlan {
    pub(super) models: BTreeMap<String, Vec<PathBuf>>,
    /// Whom it answers.
    pub(super) token: Option<&'static str>,
    pub(super) without_ranges: bool,
    pub(super) spoiled: Vec<Spoiled>,
}

// === impl HubServer ===

impl HubServer {
    pub(super) fn start(plan: HubPlan) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let bind = || runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let (hub, elsewhere) = (bind(), bind());
        let address = hub.local_addr().unwrap();
        let shared = Arc::new(Shared {
            models: plan.models,
            token: plan.token,
            elsewhere: elsewhere.local_addr().unwrap(),
            has_ranges: !plan.without_ranges,
            seen: Mutex::default(),
            spoiled: Mutex::new(plan.spoiled),
        });
        for (listener, is_elsewhere) in [(hub, false), (elsewhere, true)] {
            let shared = shared.clone();
            let answer = move |State(shared): State<Arc<Shared>>, request: Request| async move {
                shared.answer(&request, is_elsewhere)
            };
            let app = Router::new().fallback(answer).with_state(shared);
            runtime.spawn(async move { axum::serve(listener, app).await });
        }
        Self { address, shared, _runtime: runtime }
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The paths below `resolve/COMMIT/` of which bytes were asked.
    pub(super) fn files_read(&self) -> Vec<String> {
        let seen = self.seen().into_iter().filter(|seen| seen.method == Method::GET && !seen.is_elsewhere);
        let mut files: Vec<_> =
            seen.filter_map(|seen| Some(seen.path.split_once(&format!("/resolve/{COMMIT}/"))?.1.to_owned())).collect();
        files.sort();
        files
    }
}

// === impl Shared ===

impl Shared {
    fn answer(&self, request: &Request, is_elsewhere: bool) -> Response {
        let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let path = request.uri().path().to_owned();
        let (range, authorization) = (header(header::RANGE), header(header::AUTHORIZATION));
        let seen = Seen {
            method: request.method().clone(),
            path: path.clone(),
            range: range.clone(),
            authorization: authorization.clone(),
            is_elsewhere,
        };
        self.seen.lock().unwrap().push(seen);
        if is_elsewhere {
            let (_, file) = self.find(path.trim_start_matches('/')).unwrap();
            return self.bytes(&std::fs::read(file).unwrap(), range.as_deref());
        }
        if self.token.is_some_and(|token| authorization != Some(format!("Bearer {token}"))) {
            return refuse(StatusCode::UNAUTHORIZED, "GatedRepo");
        }
        if let Some(rest) = path.strip_prefix("/api/models/") {
            let (name, revision) = rest.split_once("/revision/").unwrap();
            return self.revision(name, revision);
        }
        // Small files: once round to another path of the same host, as the hub does it.
        let (is_final, rest) = match path.strip_prefix("/api/resolve-cache/") {
            Some(rest) => (true, rest.to_owned()),
            None => (false, path.trim_start_matches('/').replace(&format!("/resolve/{COMMIT}/"), "/")),
        };
        let Some((name, file)) = self.find(&rest) else { return refuse(StatusCode::NOT_FOUND, "EntryNotFound") };
        let bytes = std::fs::read(&file).unwrap();
        let is_large = [".safetensors", ".bin"].iter().any(|end| rest.ends_with(end));
        if is_large {
            let location = format!("http://{}/{name}/{}", self.elsewhere, name_of(&file));
            return Response::builder()
                .status(StatusCode::FOUND)
                .header(header::LOCATION, location)
                .header("X-Linked-Etag", format!("\"{}\"", sha256(&bytes)))
                .header("X-Linked-Size", bytes.len())
                .header("X-Repo-Commit", COMMIT)
                .body(Body::from("elsewhere"))
                .unwrap();
        }
        if !is_final {
            return Response::builder()
                .status(StatusCode::TEMPORARY_REDIRECT)
                .header(header::LOCATION, format!("/api/resolve-cache/{rest}"))
                .body(Body::from("there"))
                .unwrap();
        }
        let etag = format!("W/\"{}\"", &sha256(&bytes)[..40]);
        let answer = Response::builder().header(header::ETAG, etag).header("X-Repo-Commit", COMMIT);
        answer.header(header::CONTENT_LENGTH, bytes.len()).body(Body::from(bytes)).unwrap()
    }

    fn revision(&self, name: &str, revision: &str) -> Response {
        let Some(files) = self.models.get(name) else { return refuse(StatusCode::NOT_FOUND, "RepoNotFound") };
        if !["main", "refs%2Fpr%2F1", COMMIT].contains(&revision) {
            return refuse(StatusCode::NOT_FOUND, "RevisionNotFound");
        }
        let names = files.iter().map(|file| name_of(file)).chain(["README.md", "tf_model.h5"].map(str::to_owned));
        let siblings: Vec<_> = names.map(|name| serde_json::json!({ "rfilename": name })).collect();
        let body = serde_json::json!({ "id": name, "sha": COMMIT, "siblings": siblings, "private": false });
        Response::new(Body::from(body.to_string()))
    }

    /// `NAME/FILE`
    fn find(&self, path: &str) -> Option<(String, PathBuf)> {
        let of = |(name, files): (&String, &Vec<PathBuf>)| {
            let file = path.strip_prefix(name)?.strip_prefix('/')?;
            Some((name.clone(), files.iter().find(|known| name_of(known) == file)?.clone()))
        };
        self.models.iter().find_map(of)
    }

    /// The bytes of a large file, unless something goes wrong.
    fn bytes(&self, all: &[u8], range: Option<&str>) -> Response {
        let from = range
            .filter(|_| self.has_ranges)
            .map(|range| range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse::<usize>().unwrap());
        let mut bytes = all[from.unwrap_or(0)..].to_vec();
        let mut answer = Response::builder().header(header::CONTENT_LENGTH, bytes.len());
        if let Some(from) = from {
            let range = format!("bytes {from}-{}/{}", all.len() - 1, all.len());
            answer = answer.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, range);
        }
        let spoiled = {
            let mut spoiled = self.spoiled.lock().unwrap();
            if spoiled.is_empty() { None } else { Some(spoiled.remove(0)) }
        };
        match spoiled {
            None => {}
            Some(Spoiled::Status(status)) => return refuse(StatusCode::from_u16(status).unwrap(), ""),
            Some(Spoiled::Changed) => bytes[7] ^= 1,
            Some(Spoiled::CutAfter(count)) => {
                bytes.truncate(count);
                let cut = async {
                    // What was written is sent while nothing more is ready.
                    tokio::task::yield_now().await;
                    Err(std::io::Error::other("cut"))
                };
                let pieces = stream::iter([Ok(Bytes::from(bytes))]).chain(stream::once(cut));
                return answer.body(Body::from_stream(pieces)).unwrap();
            }
        }
        answer.body(Body::from(bytes)).unwrap()
    }
}

/// A file's name in its model: folders of modules begin with their number.
fn name_of(file: &Path) -> String {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let folder = name(file.parent().unwrap());
    if folder.starts_with(|first: char| first.is_ascii_digit()) && folder.contains('_') {
        format!("{folder}/{}", name(file))
    } else {
        name(file)
    }
}

fn refuse(status: StatusCode, code: &str) -> Response {
    Response::builder().status(status).header("X-Error-Code", code).body(Body::empty()).unwrap()
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
