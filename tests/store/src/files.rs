//! Plain HTTP: files of a folder, as a web server gives them.

use std::convert::Infallible;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A web server for a folder, with ranges and ETags of size and time; stopped when it is dropped.
pub struct FileServer {
    address: SocketAddr,
    folder: TempDir,
    task: JoinHandle<()>,
}

// === impl FileServer ===

impl FileServer {
    /// A server on a port of its own. A request without this header, if one is named, is refused.
    pub async fn start(required: Option<(&'static str, &'static str)>) -> Self {
        let folder = TempDir::new().expect("a folder");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let root = folder.path().to_owned();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let root = root.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
                        let is_allowed = required
                            .is_none_or(|(name, value)| request.headers().get(name).is_some_and(|it| it == value));
                        let answer = if is_allowed {
                            answer(&root, request.uri().path(), request.headers())
                        } else {
                            status(StatusCode::UNAUTHORIZED)
                        };
                        async move { Ok::<_, Infallible>(answer) }
                    });
                    let builder = hyper::server::conn::http1::Builder::new();
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, folder, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://…/` and the path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// Puts a file.
    pub fn put(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path: PathBuf = self.folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn answer(root: &Path, path: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let path = root.join(path.trim_start_matches('/').replace("%20", " "));
    let (Ok(bytes), Ok(metadata)) = (fs::read(&path), fs::metadata(&path)) else {
        return status(StatusCode::NOT_FOUND);
    };
    let time = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let etag = format!("\"{:x}-{:x}\"", time.as_nanos(), bytes.len());
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if text("if-match").is_some_and(|wanted| wanted != etag) {
        return status(StatusCode::PRECONDITION_FAILED);
    }
    let bytes = Bytes::from(bytes);
    let range = text("range").and_then(|range| {
        let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
        let to = to.parse::<usize>().map_or(bytes.len(), |to| to + 1);
        Some(from.parse::<usize>().ok()?..to.min(bytes.len()))
    });
    let builder = Response::builder().header("etag", &etag);
    let response = match range {
        Some(range) if range.start >= bytes.len() => builder
            .status(StatusCode::RANGE_NOT_SATISFIABLE)
            .header("content-range", format!("bytes */{}", bytes.len()))
            .body(Full::default()),
        Some(range) => {
            let said = format!("bytes {}-{}/{}", range.start, range.end - 1, bytes.len());
            builder
                .status(StatusCode::PARTIAL_CONTENT)
                .header("content-range", said)
                .body(Full::new(bytes.slice(range)))
        }
        None => builder.body(Full::new(bytes)),
    };
    response.expect("a response")
}
