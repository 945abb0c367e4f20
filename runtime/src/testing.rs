//! Models and clients for the tests of this crate.

mod parrot;
mod ruler;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};

use crate::protocol::proto::grpc_inference_service_client::GrpcInferenceServiceClient;
use crate::{
    BatchModel, Batched, Catalogue, Context, DataType, Device, Error, InferRequest, InferResponse, Model,
    ModelMetadata, Options, Parameter, Parameters, ResponseStream, Server, Tensor, TensorData, TensorSpec,
};

pub(crate) use parrot::Parrot;
pub(crate) use ruler::Ruler;

/// Longer than anything here takes, shorter than a test run that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Gives back its inputs under their own names.
pub(crate) struct Echo(ModelMetadata);

/// Sums each row of its FP32 input `x` into `total`.
pub(crate) struct RowSum(ModelMetadata, Device);

/// Panics.
pub(crate) struct Panicker(ModelMetadata);

/// Gives its FP32 input's values one by one, each a response.
pub(crate) struct Counting(ModelMetadata);

/// Answers once it is let, and notes when it is given up. Clones are the same gate.
#[derive(Clone)]
pub(crate) struct Gate {
    metadata: ModelMetadata,
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) waiting: Arc<AtomicUsize>,
    pub(crate) given_up: Arc<Semaphore>,
}

fn metadata(inputs: &[(&str, DataType, &[i64])], outputs: &[(&str, DataType, &[i64])]) -> ModelMetadata {
    let specs = |tensors: &[(&str, DataType, &[i64])]| {
        let spec = |&(name, datatype, shape): &(&str, DataType, &[i64])| TensorSpec {
            name: name.to_owned(),
            datatype,
            shape: shape.to_vec(),
        };
        tensors.iter().map(spec).collect()
    };
    ModelMetadata {
        platform: "test_test".to_owned(),
        inputs: specs(inputs),
        outputs: specs(outputs),
        properties: BTreeMap::new(),
    }
}

impl Echo {
    pub(crate) fn model() -> Arc<dyn Model> {
        Arc::new(Batched::new(Self(metadata(&[], &[]))))
    }
}

impl BatchModel for Echo {
    fn metadata(&self) -> &ModelMetadata {
        &self.0
    }

    fn size_bytes(&self) -> u64 {
        11
    }

    fn predict(&self, request: &InferRequest) -> Result<(Vec<Tensor>, Parameters), Error> {
        Ok((request.inputs.clone(), request.parameters.clone()))
    }
}

impl RowSum {
    pub(crate) fn model() -> Arc<dyn Model> {
        Self::on(Device::Cpu)
    }

    /// One that says that it computes there.
    pub(crate) fn on(device: Device) -> Arc<dyn Model> {
        let metadata = metadata(&[("x", DataType::Fp32, &[-1, 4])], &[("total", DataType::Fp32, &[-1, 1])]);
        Arc::new(Batched::new(Self(metadata, device)))
    }
}

impl BatchModel for RowSum {
    fn metadata(&self) -> &ModelMetadata {
        &self.0
    }

    fn size_bytes(&self) -> u64 {
        4096
    }

    fn device(&self) -> Device {
        self.1
    }

    fn is_quick(&self, request: &InferRequest) -> bool {
        request.inputs.len() == 1
    }

    fn predict(&self, request: &InferRequest) -> Result<(Vec<Tensor>, Parameters), Error> {
        let [input] = request.inputs.as_slice() else { return Err(Error::invalid("expected one input")) };
        let (TensorData::Fp32(values), [rows, 4]) = (input.data(), input.shape()) else {
            return Err(Error::invalid(format!("expected FP32 [n, 4], got {} {:?}", input.datatype(), input.shape())));
        };
        let totals = values.chunks(4).map(|row| row.iter().sum()).collect();
        let content_type = ("content_type".to_owned(), Parameter::String("np".to_owned()));
        let total = Tensor::new("total", vec![*rows, 1], TensorData::Fp32(totals))?
            .with_parameters(BTreeMap::from([content_type]));
        Ok((vec![total], Parameters::new()))
    }
}

impl Panicker {
    pub(crate) fn model() -> Arc<dyn Model> {
        Arc::new(Self(metadata(&[], &[])))
    }
}

impl Model for Panicker {
    fn metadata(&self) -> &ModelMetadata {
        &self.0
    }

    fn size_bytes(&self) -> u64 {
        0
    }

    fn infer(self: Arc<Self>, _: InferRequest, _: Context) -> ResponseStream {
        Box::pin(stream::once(async { panic!("this model always panics") }))
    }
}

impl Counting {
    pub(crate) fn model() -> Arc<dyn Model> {
        Arc::new(Self(metadata(&[("x", DataType::Fp32, &[-1])], &[("one", DataType::Fp32, &[1])])))
    }
}

impl Model for Counting {
    fn metadata(&self) -> &ModelMetadata {
        &self.0
    }

    fn size_bytes(&self) -> u64 {
        0
    }

    fn is_streaming(&self) -> bool {
        true
    }

    fn infer(self: Arc<Self>, mut request: InferRequest, _: Context) -> ResponseStream {
        let Some(TensorData::Fp32(values)) = request.inputs.pop().map(Tensor::into_data) else {
            return Box::pin(stream::iter([Err(Error::invalid("expected FP32"))]));
        };
        Box::pin(stream::iter(values.into_iter().map(|value| {
            let one = Tensor::new("one", vec![1], TensorData::Fp32(vec![value]))?;
            Ok(InferResponse { parameters: Parameters::new(), outputs: vec![one] })
        })))
    }
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self {
            metadata: metadata(&[], &[]),
            permits: Arc::new(Semaphore::new(0)),
            waiting: Arc::default(),
            given_up: Arc::new(Semaphore::new(0)),
        }
    }
}

impl Model for Gate {
    fn metadata(&self) -> &ModelMetadata {
        &self.metadata
    }

    fn size_bytes(&self) -> u64 {
        0
    }

    fn infer(self: Arc<Self>, request: InferRequest, context: Context) -> ResponseStream {
        let given_up = self.given_up.clone();
        tokio::spawn(async move {
            context.cancelled.cancelled().await;
            given_up.add_permits(1);
        });
        Box::pin(stream::once(async move {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            self.permits.acquire().await.unwrap().forget();
            Ok(InferResponse { parameters: Parameters::new(), outputs: request.inputs })
        }))
    }
}

/// A server on a port of its own, stopped at the end of the test.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<Duration>>,
    task: JoinHandle<std::io::Result<()>>,
}

/// What came back, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A server for every model of this file.
pub(crate) async fn start() -> Running {
    start_with(everything(), &Options::default()).await
}

pub(crate) fn everything() -> Catalogue {
    let two = || Some("2".to_owned());
    Catalogue::of([
        ("echo", None, Echo::model()),
        ("sum", None, RowSum::model()),
        ("versioned", Some("1".to_owned()), RowSum::model()),
        ("versioned", two(), Echo::model()),
        ("panicker", None, Panicker::model()),
        ("counting", None, Counting::model()),
        ("tenant a/ä", None, RowSum::model()),
    ])
}

pub(crate) async fn start_with(catalogue: Catalogue, options: &Options) -> Running {
    let server = Server::new(Arc::new(catalogue), options).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(server.serve(vec![listener], async { stopped.await.unwrap_or_default() }));
    let running = Running { address, stop: Some(stop), task };
    running.until_ready().await;
    running
}

impl Running {
    /// Sends one HTTP/1 request on a connection of its own.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Answer {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let (mut parts, body) = request.into_parts();
        parts.headers.insert("host", "localhost".parse().unwrap());
        let response = sender.send_request(Request::from_parts(parts, Full::new(body))).await.unwrap();
        let answer = Answer::collect(response).await;
        connection.abort();
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::builder().uri(path).body(Bytes::new()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send(post(path).body(body.into()).unwrap()).await
    }

    pub(crate) async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    pub(crate) async fn grpc(&self) -> GrpcInferenceServiceClient<Channel> {
        let client = GrpcInferenceServiceClient::new(self.channel().await);
        client.max_decoding_message_size(usize::MAX).max_encoding_message_size(usize::MAX)
    }

    /// Tells the server to stop, without waiting for it.
    pub(crate) fn begin_stop(&mut self) {
        self.begin_stop_after(Duration::ZERO);
    }

    /// The same for a server whose gateways need this time to notice.
    pub(crate) fn begin_stop_after(&mut self, grace: Duration) {
        let _ = self.stop.take().map(|stop| stop.send(grace));
    }

    /// Waits until the server has stopped.
    pub(crate) async fn stopped(mut self) {
        self.begin_stop();
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
    }

    async fn until_ready(&self) {
        until(async || self.get("/v2/health/ready").await.status == 200).await;
    }
}

impl Answer {
    pub(crate) async fn collect(response: Response<hyper::body::Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// The text of `{"error": …}`, which every failure must be.
    pub(crate) fn error(&self) -> String {
        assert_eq!(self.header("content-type"), "application/json");
        let json = self.json();
        let text = json["error"].as_str().unwrap_or_else(|| panic!("no error in {json}"));
        text.to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub(crate) fn post(path: &str) -> http::request::Builder {
    Request::builder().method(Method::POST).uri(path)
}

/// Asks again until it is true.
pub(crate) async fn until(mut is_true: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !is_true().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("did not become true in time");
}
