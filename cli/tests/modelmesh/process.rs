//! The runtime's process.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use modelway_runtime::proto::grpc_inference_service_client::GrpcInferenceServiceClient;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// ModelMesh's limit by default.
pub(crate) const LARGEST_MESSAGE: usize = 16 << 20;

/// A process that listens; stopped when dropped.
pub(crate) struct Process {
    process: Child,
    /// Of its ports, in the order in which it was given them.
    pub(crate) addresses: Vec<SocketAddr>,
}

// === impl Process ===

impl Process {
    /// Starts it and waits until it has told so many ports.
    pub(crate) fn start(mut command: Command, ports: usize) -> Self {
        // What the one who runs the tests has set is not what is tested.
        for (name, _) in std::env::vars_os() {
            let is_ours = |name: &OsStr| name.to_str().is_some_and(|name| name.starts_with("MODELWAY_"));
            if is_ours(&name) {
                command.env_remove(name);
            }
        }
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("modelway runs");
        let mut lines = BufReader::new(process.stdout.take().expect("piped"));
        let mut addresses = Vec::new();
        while addresses.len() < ports {
            let mut line = String::new();
            lines.read_line(&mut line).expect("a line");
            let address = line.split(' ').nth(2).and_then(|it| it.parse().ok());
            addresses.push(address.unwrap_or_else(|| panic!("'{line}', {}", rest_of_log(&mut process))));
        }
        let mut process = Self { process, addresses };
        process.keep_reading();
        process
    }

    /// A full pipe would hold the process up.
    fn keep_reading(&mut self) {
        let mut log = self.process.stderr.take().expect("piped");
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    }

    pub(crate) async fn channel(&self, port: usize) -> Channel {
        let address = self.addresses.get(port).expect("so many ports");
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        endpoint.connect().await.expect("the port answers")
    }

    pub(crate) async fn data(&self, port: usize) -> GrpcInferenceServiceClient<Channel> {
        data(self.channel(port).await)
    }

    /// A number of the metrics page.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let address = *self.addresses.first().expect("a port");
        let name = format!("{name} ");
        let page = tokio::task::spawn_blocking(move || {
            let mut stream = std::net::TcpStream::connect(address).expect("the port answers");
            stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").expect("it reads");
            std::io::read_to_string(stream).expect("a page")
        });
        let page = page.await.expect("a page");
        let line = page.lines().find_map(|line| line.strip_prefix(&name));
        line.unwrap_or_else(|| panic!("no {name} in {page}")).trim().parse().expect("a number")
    }

    /// Waits until a number of the metrics page is this.
    pub(crate) async fn until_metric_is(&self, name: &str, wanted: f64) {
        let deadline = Instant::now() + PATIENCE;
        while self.metric(name).await != wanted {
            assert!(Instant::now() < deadline, "{name} never became {wanted}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn rest_of_log(process: &mut Child) -> String {
    let _ = process.kill();
    let mut log = String::new();
    let _ = process.stderr.take().expect("piped").read_to_string(&mut log);
    log
}

/// With room for ModelMesh's largest messages.
pub(crate) fn data(channel: Channel) -> GrpcInferenceServiceClient<Channel> {
    let client = GrpcInferenceServiceClient::new(channel);
    client.max_encoding_message_size(LARGEST_MESSAGE).max_decoding_message_size(LARGEST_MESSAGE)
}

pub(crate) async fn over_socket(socket: &Path) -> Channel {
    let socket = socket.to_owned();
    let connect = tower::service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://localhost");
    let deadline = Instant::now() + PATIENCE;
    loop {
        match endpoint.connect_with_connector(connect.clone()).await {
            Ok(channel) => return channel,
            Err(error) => assert!(Instant::now() < deadline, "the socket does not answer: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
