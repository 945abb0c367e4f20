//! `modelway serve` as a process, with models that stand elsewhere: a real S3 server, a volume, and ModelMesh without its
//! puller.

#![cfg(feature = "s3")]
// Clippy knows only `#[test]` functions as tests, not what they call.
#![allow(clippy::expect_used, clippy::panic)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use modelway_runtime::modelmesh_proto::LoadModelRequest;
use modelway_runtime::modelmesh_proto::model_runtime_client::ModelRuntimeClient;
use modelway_test_store::{ACCESS_KEY, BUCKET, Fault, Proxy, REGION, S3Server, SECRET_KEY};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::transport::Endpoint;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
const DIGITS: &str = "../tests/data/sklearn/digits";
/// More often than a download tries.
const ALWAYS: usize = 1000;

/// The process, stopped when it is dropped.
struct Runtime {
    process: Child,
    address: SocketAddr,
    log: TempDir,
}

struct Answer {
    head: String,
    body: Value,
}

// === impl Runtime ===

impl Runtime {
    /// `modelway serve`, with nothing of this process's environment that is about stores.
    fn command(cache: &Path, models: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_modelway"));
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"AWS_") || name.as_encoded_bytes().starts_with(b"MODELWAY_") {
                command.env_remove(name);
            }
        }
        command.args(["serve", "--port", "0", "--models", models, "--cache"]).arg(cache);
        command
    }

    fn start(mut command: Command) -> Self {
        let log = TempDir::new().expect("a folder");
        let errors = std::fs::File::create(log.path().join("log")).expect("a file");
        let mut process = command.stdout(Stdio::piped()).stderr(errors).spawn().expect("modelway runs");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let address = line.split(' ').nth(2).and_then(|it| it.parse().ok());
        let address = address.unwrap_or_else(|| {
            let _ = process.kill();
            panic!("{line}{}", std::fs::read_to_string(log.path().join("log")).unwrap_or_default())
        });
        Self { process, address, log }
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let address = self.address;
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let call = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).expect("the port answers");
            stream.set_read_timeout(Some(PATIENCE)).expect("a time");
            stream.write_all(request.as_bytes()).expect("it reads");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("an answer");
            answer
        });
        let answer = call.await.expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer with a body");
        Answer { head: head.to_ascii_lowercase(), body: serde_json::from_str(body).unwrap_or(Value::Null) }
    }

    /// Asks for the digits of the first pictures.
    async fn infer(&self, model: &str, rows: usize) -> Answer {
        let pictures = std::fs::read(Path::new(DIGITS).join("pictures.u8")).expect("the pictures");
        let data: Vec<u8> = pictures.into_iter().take(rows * 64).collect();
        let input = json!({"name": "predict", "datatype": "FP32", "shape": [rows, 64], "data": data});
        self.call("POST", &format!("/v2/models/{model}/infer"), Some(json!({"inputs": [input]}))).await
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.log.path().join("log")).expect("a log")
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn model(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(DIGITS).join(format!("{name}.joblib"))).expect("a model")
}

/// What scikit-learn says of the first pictures.
fn expected(name: &str, rows: usize) -> Value {
    let digits = std::fs::read(Path::new(DIGITS).join(format!("{name}.predict.u8"))).expect("the predictions");
    json!(digits.into_iter().take(rows).collect::<Vec<_>>())
}

fn assert_answers(answer: &Answer, name: &str, rows: usize) {
    assert!(answer.head.starts_with("http/1.1 200"), "{} {}", answer.head, answer.body);
    assert_eq!(answer.body["outputs"][0]["data"], expected(name, rows));
}

fn local_minio(folder: &Path, endpoint: &str) {
    let key = json!({
        "type": "s3", "access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY,
        "endpoint_url": endpoint, "region": REGION, "default_bucket": BUCKET,
    });
    std::fs::write(folder.join("localMinIO"), key.to_string()).expect("a key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_served_with_the_usual_variables_and_replaced_models_are_found() {
    let server = S3Server::start().await;
    server.put("prod/digits.joblib", model("rbf"));
    server.put("prod/churn/1/model.joblib", model("linear"));
    let cache = TempDir::new().expect("a folder");
    let mut command = Runtime::command(cache.path(), &format!("s3://{BUCKET}/prod"));
    command.args(["--poll-interval", "100ms"]);
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    command.env("AWS_REGION", REGION).env("AWS_ENDPOINT_URL", server.endpoint()).env("RUST_LOG", "debug");
    let runtime = Runtime::start(command);
    assert_answers(&runtime.infer("digits", 100).await, "rbf", 100);
    assert_answers(&runtime.infer("churn", 100).await, "linear", 100);

    server.put("prod/digits.joblib", model("linear"));
    let deadline = Instant::now() + PATIENCE;
    while runtime.infer("digits", 100).await.body["outputs"][0]["data"] != expected("linear", 100) {
        assert!(Instant::now() < deadline, "the new file is not served");
    }
    let log = runtime.log();
    assert!(log.contains("model file downloaded") && log.contains("model's files changed"), "{log}");
    assert!(!log.contains(SECRET_KEY), "the log shows the secret key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_config_secret_is_enough_and_a_failed_download_is_refused_for_another_server_to_try() {
    let server = S3Server::start().await;
    let proxy = Proxy::start(server.address()).await;
    server.put("sklearn/digits.joblib", model("rbf"));
    let (cache, secret) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    local_minio(secret.path(), &proxy.endpoint());
    let mut command = Runtime::command(cache.path(), "s3:///sklearn");
    command.arg("--storage-config").arg(secret.path()).args(["--storage-key", "localMinIO"]);
    let runtime = Runtime::start(command);
    proxy.fault("digits.joblib", Fault::Status(403, "AccessDenied"), ALWAYS);
    let refused = runtime.infer("digits", 1).await;
    assert!(refused.head.starts_with("http/1.1 429") && refused.head.contains("x-modelway-refused: load-failed"));
    let text = refused.body["error"].as_str().expect("a text");
    assert!(text.contains("s3://models/sklearn/digits.joblib: access denied (403 AccessDenied)"), "{text}");
    proxy.heal();
    let load = runtime.call("POST", "/v2/repository/models/digits/load", None).await;
    assert!(load.head.starts_with("http/1.1 200"), "{} {}", load.head, load.body);
    assert_answers(&runtime.infer("digits", 10).await, "rbf", 10);
    assert!(!runtime.log().contains(SECRET_KEY), "the log shows the secret key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_cannot_be_served_ends_the_process_with_the_reason() {
    let server = S3Server::start().await;
    let (cache, secret) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    local_minio(secret.path(), &server.endpoint());
    for (models, part) in [
        ("gs://models", "models at gs:// are not served, expected a folder, file://, s3://bucket/prefix"),
        (
            "s3://elsewhere",
            "cannot serve the models of s3://elsewhere/: s3://elsewhere: there is no bucket 'elsewhere'",
        ),
        ("pvc://claim/models", "claim/models: No such file or directory"),
        ("http://127.0.0.1:1/m.joblib", "http://127.0.0.1:1/m.joblib: cannot connect"),
    ] {
        let mut command = Runtime::command(cache.path(), models);
        command.arg("--storage-config").arg(secret.path()).args(["--storage-key", "localMinIO"]);
        let output = command.output().expect("modelway runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(part), "{models}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mounted_volume_and_a_file_url_are_folders() {
    let (cache, mounts) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let folder = mounts.path().join("claim/prod");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("digits.joblib"), model("linear")).expect("a model");
    for models in ["pvc://claim/prod".to_owned(), format!("file://{}", folder.display())] {
        let mut command = Runtime::command(cache.path(), &models);
        command.arg("--pvc-mounts").arg(mounts.path());
        let runtime = Runtime::start(command);
        assert_answers(&runtime.infer("digits", 10).await, "linear", 10);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_in_a_folder_is_found_long_before_the_next_look() {
    let (cache, folder) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let mut command = Runtime::command(cache.path(), &folder.path().display().to_string());
    // Only an event can be why it looks.
    command.args(["--poll-interval", "60m"]);
    let runtime = Runtime::start(command);
    let deadline = Instant::now() + PATIENCE;
    for number in 0.. {
        // Again, should the first have come before the watch.
        std::fs::write(folder.path().join(format!("other-{number}.txt")), "").expect("a file");
        if number == 0 {
            std::fs::write(folder.path().join("digits.joblib"), model("linear")).expect("a model");
        }
        if runtime.infer("digits", 10).await.body["outputs"][0]["data"] == expected("linear", 10) {
            break;
        }
        assert!(Instant::now() < deadline, "the file is not found");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn modelmesh_without_its_puller_names_a_storage_key_and_the_model_is_fetched() {
    let server = S3Server::start().await;
    server.put("sklearn/digits.joblib", model("rbf"));
    server.put("folder/model.joblib", model("linear"));
    let (cache, secret) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    local_minio(secret.path(), &server.endpoint());
    let mut command = Runtime::command(cache.path(), "/nowhere");
    command.arg("--modelmesh").arg("--storage-config").arg(secret.path());
    let runtime = Runtime::start(command);
    let channel = Endpoint::from_shared(format!("http://{}", runtime.address)).expect("an address").connect().await;
    let mut modelmesh = ModelRuntimeClient::new(channel.expect("the port answers"));
    let load = |id: &str, path: &str, parameters: Value| LoadModelRequest {
        model_id: id.to_owned(),
        model_type: "mt:sklearn:0".to_owned(),
        model_path: path.to_owned(),
        model_key: json!({
            "storage_key": "localMinIO", "storage_params": parameters, "model_type": {"name": "sklearn"},
        })
        .to_string(),
    };
    let of_bucket = json!({"bucket": BUCKET});
    for (id, path, parameters, name) in
        [("a__isvc-1", "sklearn/digits.joblib", &of_bucket, "rbf"), ("b__isvc-2", "/folder", &Value::Null, "linear")]
    {
        let loaded = modelmesh.load_model(load(id, path, parameters.clone())).await.expect("it loads").into_inner();
        assert!(loaded.size_in_bytes > 100_000);
        assert_answers(&runtime.infer(id, 10).await, name, 10);
    }
    for (path, parameters, part) in [
        ("none.joblib", &of_bucket, "no model file in s3://models/none.joblib"),
        ("sklearn/digits.joblib", &json!({"bucket": "elsewhere"}), "there is no bucket 'elsewhere'"),
        ("m", &json!({"type": "gcs"}), "storage of type 'gcs' is not served, expected s3, http or pvc"),
    ] {
        let status = modelmesh.load_model(load("c__isvc-3", path, parameters.clone())).await.expect_err("it fails");
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        assert!(status.message().contains(part), "{}", status.message());
    }
}
