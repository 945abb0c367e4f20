//! Ports, protocols and the end of a server, over real sockets.

mod residency;

use super::*;
use crate::testing::{Answer, Gate, PATIENCE, everything, post, start, start_with, until};
use crate::{Model, Options};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

const BODY: &str = r#"{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}"#;

fn gate() -> (Gate, Catalogue) {
    let gate = Gate::new();
    let catalogue = Catalogue::of([("gate", None, Arc::new(gate.clone()) as Arc<dyn Model>)]);
    (gate, catalogue)
}

#[tokio::test]
async fn every_port_answers_rest_over_both_versions_of_http_and_grpc() {
    let mut listeners = Vec::new();
    for _ in 0..2 {
        listeners.push(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
    }
    let addresses: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
    let (stop, stopped) = oneshot::channel::<Duration>();
    let server = Server::new(Arc::new(everything()), &Options::default()).unwrap();
    let task = tokio::spawn(server.serve(listeners, async { stopped.await.unwrap_or_default() }));
    for address in addresses {
        let uri = format!("http://{address}/v2/health/live");
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut http2, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get(&uri).body(Full::<Bytes>::default()).unwrap();
        let answer = Answer::collect(http2.send_request(request).await.unwrap()).await;
        assert_eq!(answer.json(), json!({"live": true}));

        let stream = TcpStream::connect(address).await.unwrap();
        let (mut http1, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        // Several on one connection.
        for _ in 0..2 {
            let request = Request::get("/v2/health/live").header("host", "h").body(Full::<Bytes>::default()).unwrap();
            let answer = Answer::collect(http1.send_request(request).await.unwrap()).await;
            assert_eq!(answer.json(), json!({"live": true}));
        }

        let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
        let mut grpc = crate::proto::grpc_inference_service_client::GrpcInferenceServiceClient::new(
            channel.connect().await.unwrap(),
        );
        assert!(grpc.server_live(crate::proto::ServerLiveRequest {}).await.unwrap().into_inner().live);
    }
    stop.send(Duration::ZERO).unwrap();
    tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn what_is_in_flight_is_finished_and_nothing_new_is_accepted() {
    let (gate, catalogue) = gate();
    let mut server = start_with(catalogue, &Options::default()).await;
    let address = server.address;
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request =
        post("/v2/models/gate/infer").header("host", "h").body(Full::new(Bytes::from_static(BODY.as_bytes())));
    let in_flight = tokio::spawn(async move { sender.send_request(request.unwrap()).await });
    until(async || gate.waiting.load(Ordering::SeqCst) == 1).await;

    server.begin_stop();
    until(async || TcpStream::connect(address).await.is_err()).await;
    assert!(!in_flight.is_finished());
    gate.permits.add_permits(1);
    let answer = Answer::collect(in_flight.await.unwrap().unwrap()).await;
    assert_eq!(answer.status, 200);
    server.stopped().await;
}

#[tokio::test]
async fn a_server_that_is_to_stop_goes_on_until_gateways_have_noticed() {
    let mut server = start().await;
    let grace = Duration::from_secs(2);
    let told = tokio::time::Instant::now();
    server.begin_stop_after(grace);
    until(async || server.get("/v2/health/ready").await.status == 503).await;
    // Each of these comes on a connection of its own.
    let body = r#"{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}"#;
    let answer = server.send(post("/v2/models/sum/infer").body(Bytes::from_static(body.as_bytes())).unwrap()).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    assert_eq!(server.get("/v2/health/live").await.status, 200);
    let address = server.address;
    until(async || TcpStream::connect(address).await.is_err()).await;
    assert!(told.elapsed() >= grace);
    server.stopped().await;
}

#[tokio::test]
async fn a_stream_that_does_not_end_in_time_ends_with_an_error() {
    let options = Options { drain_timeout: Duration::from_millis(20), ..Options::default() };
    let server = start_with(everything(), &options).await;
    let mut client = server.grpc().await;
    let response = client.model_stream_infer(futures_util::stream::pending()).await.unwrap();
    server.stopped().await;
    let mut answers = response.into_inner();
    let end = tokio::time::timeout(PATIENCE, answers.message()).await.unwrap().unwrap_err();
    assert_eq!(end.code(), tonic::Code::Unavailable);
    assert!(end.message().contains("shutting down"), "{end}");
}

#[tokio::test]
async fn requests_that_share_a_connection_are_all_finished() {
    let (gate, catalogue) = gate();
    let mut server = start_with(catalogue, &Options::default()).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let send = || {
        let uri = format!("http://{}/v2/models/gate/infer", server.address);
        let request = post(&uri).body(Full::new(Bytes::from_static(BODY.as_bytes())));
        let mut sender = sender.clone();
        async move { sender.send_request(request.unwrap()).await }
    };
    let in_flight = tokio::spawn(send());
    until(async || gate.waiting.load(Ordering::SeqCst) == 1).await;
    let beside = tokio::spawn(send());
    until(async || gate.waiting.load(Ordering::SeqCst) == 2).await;
    let address = server.address;
    server.begin_stop();
    until(async || TcpStream::connect(address).await.is_err()).await;
    gate.permits.add_permits(2);
    assert_eq!(in_flight.await.unwrap().unwrap().status(), 200);
    assert_eq!(beside.await.unwrap().unwrap().status(), 200);
    server.stopped().await;
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut_off() {
    let (gate, catalogue) = gate();
    let options = Options { drain_timeout: Duration::from_millis(20), ..Options::default() };
    let mut server = start_with(catalogue, &options).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head =
        format!("POST /v2/models/gate/infer HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n{BODY}", BODY.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    until(async || gate.waiting.load(Ordering::SeqCst) == 1).await;
    server.begin_stop();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.is_empty());
    server.stopped().await;
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_the_end() {
    let server = start().await;
    let _silent = TcpStream::connect(server.address).await.unwrap();
    let mut used = TcpStream::connect(server.address).await.unwrap();
    used.write_all(b"GET /v2/health/live HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    let mut first = [0; 15];
    used.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    server.stopped().await;
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_is_refused_before_it_sends() {
    let options = Options { body_limit: 10, ..Options::default() };
    let server = start_with(everything(), &options).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /v2/models/sum/infer HTTP/1.1\r\nhost: h\r\ncontent-length: 11\r\nexpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 413");
    server.stopped().await;
}

#[tokio::test]
async fn random_bytes_on_the_port_harm_nobody() {
    let server = start().await;
    for bytes in [
        b"\x16\x03\x01\x02\x00".as_slice(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff",
        b"GET\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
    }
    assert_eq!(server.get("/v2/health/live").await.status, 200);
    server.stopped().await;
}
