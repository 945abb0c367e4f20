//! KServe ModelMesh's own interface, as ModelMesh calls it: over the Unix socket, requests over the port.

use std::path::Path;
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use modelway::runtime::modelmesh_proto::model_runtime_client::ModelRuntimeClient;
use modelway::runtime::modelmesh_proto::runtime_status_response::Status;
use modelway::runtime::modelmesh_proto::{
    LoadModelRequest, ModelSizeRequest, RuntimeStatusRequest, UnloadModelRequest,
};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tonic::Code;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::grpc::{raw, raw_answer};
use crate::process::Process;
use crate::tickets::{LABELS, models};

const PATIENCE: Duration = Duration::from_secs(30);
/// As ModelMesh names a model.
const ID: &str = "tickets__isvc-0123456789";

/// The socket is there before the program says that its port listens or shortly after.
async fn over_socket(socket: &Path) -> Channel {
    let socket = socket.to_owned();
    let connect = tower::service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Endpoint::from_static("http://localhost").connect_with_connector(connect.clone()).await {
            Ok(channel) => return channel,
            Err(error) => assert!(Instant::now() < deadline, "the socket does not answer: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn until_ready(spi: &ModelRuntimeClient<Channel>) {
    let deadline = Instant::now() + PATIENCE;
    while spi.clone().runtime_status(RuntimeStatusRequest {}).await.expect("a status").into_inner().status()
        != Status::Ready
    {
        assert!(Instant::now() < deadline, "it never became ready");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn load_request(path: &Path) -> LoadModelRequest {
    LoadModelRequest {
        model_id: ID.to_owned(),
        model_type: "mt:text_labels:1".to_owned(),
        model_path: path.display().to_string(),
        model_key: r#"{"model_type":{"name":"text_labels","version":"1"},"disk_size_bytes":600}"#.to_owned(),
    }
}

#[tokio::test]
async fn modelmesh_loads_it_asks_it_by_its_id_and_unloads_it() {
    let folder = TempDir::new().expect("a folder");
    let socket = folder.path().join("modelmesh.sock");
    let process = Process::serve(folder.path(), &["--modelmesh", "--socket", socket.to_str().expect("text")]);
    let mut spi = ModelRuntimeClient::new(over_socket(&socket).await);
    until_ready(&spi).await;
    let mut data = process.grpc().await;
    let before = data.model_infer(raw(ID)).await.expect_err("nobody has loaded it");
    assert_eq!(before.code(), Code::NotFound);

    // As the puller leaves it: the file, under a name that says nothing.
    let path = folder.path().join(ID);
    std::fs::copy(models().join("tickets-v1.labels"), &path).expect("a copy");
    let size = spi.load_model(load_request(&path)).await.expect("it loads").into_inner().size_in_bytes;
    assert!(size > 500, "{size} bytes");
    let measured = spi.model_size(ModelSizeRequest { model_id: ID.to_owned() }).await.expect("a size").into_inner();
    assert_eq!(measured.size_in_bytes, size);
    let response = data.model_infer(raw(ID)).await.expect("an answer").into_inner();
    assert_eq!(response.model_name, ID);
    assert_eq!(raw_answer(&response).0, LABELS);

    spi.unload_model(UnloadModelRequest { model_id: ID.to_owned() }).await.expect("it unloads");
    assert_eq!(data.model_infer(raw(ID)).await.expect_err("it is gone").code(), Code::NotFound);
}

#[tokio::test]
async fn modelmesh_is_told_the_line_of_a_rules_file_that_is_wrong() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join(ID);
    std::fs::write(&path, "other:\nbilling: refund=many\n").expect("written");
    let process = Process::serve(folder.path(), &["--modelmesh"]);
    let mut spi = ModelRuntimeClient::new(process.channel().await);
    until_ready(&spi).await;
    let status = spi.load_model(load_request(&path)).await.expect_err("it does not load");
    assert!(status.message().contains("line 2: expected a weight above 0"), "{status:?}");
}
