//! The proxy on which things go wrong.

use std::convert::Infallible;
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, BodyStream, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What goes wrong with a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answered by the proxy, with S3's XML of this code.
    Status(u16, &'static str),
    /// The connection is cut after so many bytes of the body.
    Cut(usize),
    /// Nothing comes any more after so many bytes of the body.
    Stall(usize),
    /// So long a pause before each piece of the body.
    Slow(Duration),
    /// A byte of the body is another one.
    Corrupt,
}

/// A request that came through.
#[derive(Clone, Debug)]
pub struct Seen {
    /// With its query.
    pub path: String,
    /// The header `Range`, empty where there is none.
    pub range: String,
    /// The header `If-Match`, empty where there is none.
    pub if_match: String,
}

/// The proxy, stopped when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    upstream: SocketAddr,
    /// What is to go wrong: part of a path, how, and how often.
    faults: Mutex<Vec<(String, Fault, usize)>>,
    seen: Mutex<Vec<Seen>>,
    count: watch::Sender<usize>,
}

type Body = BoxBody<Bytes, std::io::Error>;

// === impl Proxy ===

impl Proxy {
    /// A proxy on a port of its own.
    pub async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            upstream,
            faults: Mutex::default(),
            seen: Mutex::default(),
            count: watch::Sender::new(0),
        });
        let task = tokio::spawn({
            let state = state.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let state = state.clone();
                    tokio::spawn(async move {
                        let service = service_fn(|request| {
                            let state = state.clone();
                            async move { Ok::<_, Infallible>(state.answer(request).await) }
                        });
                        let builder = hyper::server::conn::http1::Builder::new();
                        let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                    });
                }
            }
        });
        Self { address, state, task }
    }

    /// `http://…`
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next `times` requests whose path or query has this in it go wrong so.
    pub fn fault(&self, part: &str, fault: Fault, times: usize) {
        self.state.faults.lock().expect("no panic").push((part.to_owned(), fault, times));
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        self.state.faults.lock().expect("no panic").clear();
    }

    /// The requests whose path or query has this in it.
    pub fn seen(&self, part: &str) -> Vec<Seen> {
        let seen = self.state.seen.lock().expect("no panic");
        seen.iter().filter(|seen| seen.path.contains(part)).cloned().collect()
    }

    /// Waits until so many requests of this kind have come.
    pub async fn until_seen(&self, part: &str, count: usize) {
        let mut all = self.state.count.subscribe();
        all.wait_for(|_| self.seen(part).len() >= count).await.expect("the proxy runs");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl State ===

impl State {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().to_string();
        let header = |name| request.headers().get(name).map_or("", |value| value.to_str().unwrap_or("")).to_owned();
        let seen = Seen { path: path.clone(), range: header("range"), if_match: header("if-match") };
        self.seen.lock().expect("no panic").push(seen);
        self.count.send_modify(|count| *count += 1);
        let fault = self.fault(&path);
        if let Some(Fault::Status(status, code)) = fault {
            let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>spoilt</Message></Error>");
            let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed();
            let mut response = Response::new(body);
            *response.status_mut() = StatusCode::from_u16(status).expect("a status");
            return response;
        }
        let response = self.pass_on(request).await;
        let Some(fault) = fault else { return response };
        response.map(|body| BodyExt::boxed(StreamBody::new(spoilt(body, fault).map(|piece| piece.map(Frame::data)))))
    }

    fn fault(&self, path: &str) -> Option<Fault> {
        let mut faults = self.faults.lock().expect("no panic");
        let (_, fault, times) =
            faults.iter_mut().find(|(part, _, times)| *times > 0 && path.contains(part.as_str()))?;
        *times -= 1;
        Some(fault.clone())
    }

    async fn pass_on(&self, request: Request<Incoming>) -> Response<Body> {
        let stream = TcpStream::connect(self.upstream).await.expect("the server listens");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("the server speaks HTTP");
        tokio::spawn(connection);
        let response = sender.send_request(request).await.expect("the server answers");
        response.map(|body| body.map_err(std::io::Error::other).boxed())
    }
}

fn spoilt(body: Body, fault: Fault) -> impl Stream<Item = std::io::Result<Bytes>> + Send + Sync {
    let pieces =
        BodyStream::new(body).filter_map(|frame| async { frame.map(|frame| frame.into_data().ok()).transpose() });
    stream::unfold((Box::pin(pieces), fault, 0), |(mut pieces, fault, passed)| async move {
        let mut piece = pieces.next().await?;
        if let Ok(bytes) = &mut piece {
            match fault {
                Fault::Cut(limit) | Fault::Stall(limit) if passed >= limit => {
                    if matches!(fault, Fault::Stall(_)) {
                        pending::<()>().await;
                    }
                    piece = Err(std::io::Error::other("cut"));
                    return Some((piece, (pieces, fault, passed)));
                }
                Fault::Cut(limit) | Fault::Stall(limit) => bytes.truncate(limit - passed),
                Fault::Slow(pause) => tokio::time::sleep(pause).await,
                Fault::Corrupt if !bytes.is_empty() => {
                    let mut other = bytes.to_vec();
                    other[0] ^= 1;
                    *bytes = other.into();
                }
                _ => {}
            }
        }
        let passed = passed + piece.as_ref().map_or(0, Bytes::len);
        let fault = if matches!(fault, Fault::Corrupt) { Fault::Slow(Duration::ZERO) } else { fault };
        Some((piece, (pieces, fault, passed)))
    })
}
