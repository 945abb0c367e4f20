//! `modelway serve`: the runtime as a process.

use std::io::{IsTerminal, Write};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use modelway_runtime::formats::{self, Format};
use modelway_runtime::{
    Catalogue, DeviceChoice, Listener, Location, Mode, ModelMeshOptions, Options, ResidencyOptions, Server, Stores,
};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

mod quantity;
mod storage;
mod traces;

/// Arguments of `modelway serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the models stand, files such as name.joblib or folders: a folder, s3://bucket/prefix, https://host/path or
    /// pvc://claim/path.
    #[arg(long, env = "MODELWAY_MODELS", value_name = "PLACE")]
    models: String,

    #[command(flatten)]
    storage: storage::StorageArgs,

    /// Port that answers REST and gRPC; may be given several times, 0 takes a free one.
    #[arg(long = "port", env = "MODELWAY_PORTS", value_name = "PORT", value_delimiter = ',', default_values_t = [8001, 8002])]
    ports: Vec<u16>,

    /// Address to listen on.
    #[arg(long, env = "MODELWAY_HOST", value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,

    /// Unix socket that answers as the ports do; may be given several times.
    #[arg(long = "socket", env = "MODELWAY_SOCKETS", value_name = "PATH", value_delimiter = ',')]
    sockets: Vec<PathBuf>,

    /// Answer KServe ModelMesh, which says what is in memory: relative paths of its models begin at --models, a folder,
    /// and nothing is loaded or evicted without it.
    #[arg(long, env = "MODELWAY_MODELMESH", conflicts_with_all = ["model_control", "preload", "pinned"])]
    modelmesh: bool,

    /// How long ModelMesh lets a load take: seconds, or with ms, s or m.
    #[arg(long, env = "MODELWAY_LOAD_TIMEOUT", value_name = "TIME", default_value = "90s", value_parser = quantity::duration, requires = "modelmesh")]
    load_timeout: Duration,

    /// What ModelMesh takes for the size of a model of which nothing is known.
    #[arg(long, env = "MODELWAY_DEFAULT_MODEL_SIZE", value_name = "SIZE", default_value = "1MB", value_parser = quantity::bytes, requires = "modelmesh")]
    default_model_size: usize,

    /// Memory that all models may have together: bytes, or with KiB, MiB or GiB [default: 60 % of the control
    /// group's limit, or of the memory that is available].
    #[arg(long, env = "MODELWAY_MEMORY", value_name = "SIZE", value_parser = quantity::bytes)]
    memory: Option<usize>,

    /// Where language models compute: auto (the first CUDA device, if there is one and the program is built for it), cpu,
    /// or cuda:NUMBER.
    #[arg(long, env = "MODELWAY_DEVICE", value_name = "DEVICE", default_value = "auto")]
    device: DeviceChoice,

    /// Memory of each CUDA device that the models on it may have together: bytes, or with KiB, MiB or GiB [default: 90 %
    /// of what is free on the device that is used].
    #[arg(long, env = "MODELWAY_GPU_MEMORY", value_name = "SIZE", value_parser = quantity::bytes)]
    gpu_memory: Option<usize>,

    /// Who decides what is in memory.
    #[arg(long, env = "MODELWAY_MODEL_CONTROL", value_enum, default_value_t = ModelControl::OnDemand)]
    model_control: ModelControl,

    /// Load all models at the start, as far as there is room; the server is ready when that is done.
    #[arg(long, env = "MODELWAY_PRELOAD")]
    preload: bool,

    /// Model that is loaded at the start and never evicted; may be given several times.
    #[arg(long = "pin", env = "MODELWAY_PINS", value_name = "MODEL", value_delimiter = ',')]
    pinned: Vec<String>,

    /// Loads that run at once [default: one less than there are processors].
    #[arg(long, env = "MODELWAY_LOADS_AT_ONCE", value_name = "NUMBER")]
    loads_at_once: Option<NonZeroUsize>,

    /// A model used in this time is not evicted: seconds, or with ms, s or m [default: twice the mean load].
    #[arg(long, env = "MODELWAY_GUARD_AGE", value_name = "TIME", value_parser = quantity::duration)]
    guard_age: Option<Duration>,

    /// What a model is whose model-settings.json names no implementation, in MLServer's words, for instance
    /// mlserver_sklearn.SKLearnModel [default: what its files look like].
    #[arg(long, env = "MODELWAY_DEFAULT_IMPLEMENTATION", value_name = "CLASS")]
    default_implementation: Option<String>,

    /// How often storage is looked through for changes: seconds, or with ms, s or m; 0 never [default: 5s, of stores 30s].
    #[arg(long, env = "MODELWAY_POLL_INTERVAL", value_name = "TIME", value_parser = quantity::duration)]
    poll_interval: Option<Duration>,

    /// Largest request, also after decompression: bytes, or with KiB, MiB or GiB.
    #[arg(long, env = "MODELWAY_BODY_LIMIT", value_name = "SIZE", default_value = "64MiB", value_parser = quantity::bytes)]
    body_limit: usize,

    /// How long to go on after SIGTERM, not ready any more, until gateways have noticed: seconds, or with ms, s or m.
    /// Ctrl-C does not wait for them.
    #[arg(long, env = "MODELWAY_DRAIN_GRACE", value_name = "TIME", default_value = "5s", value_parser = quantity::duration)]
    drain_grace: Duration,

    /// How long requests in flight then have: seconds, or with ms, s or m. With --drain-grace it should be less than
    /// Kubernetes' terminationGracePeriodSeconds.
    #[arg(long, env = "MODELWAY_DRAIN_TIMEOUT", value_name = "TIME", default_value = "20s", value_parser = quantity::duration)]
    drain_timeout: Duration,

    /// Models that have series of their own in /metrics; the rest share those of `other`.
    #[arg(long, env = "MODELWAY_MODEL_SERIES", value_name = "NUMBER", default_value_t = 200)]
    model_series: usize,

    #[command(flatten)]
    traces: traces::TraceArgs,

    /// Form of the log on standard error.
    #[arg(long, env = "MODELWAY_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModelControl {
    /// Requests: models are loaded when they are asked for, and evicted when there is no room.
    OnDemand,
    /// Commands only, by the repository API: nothing is loaded or evicted without one.
    Explicit,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// Serves models of these formats, and of the built-in ones, until it is told to stop. `ignored` are settings that have no effect, to be named once.
pub(crate) fn run(
    args: Args,
    ignored: &[String],
    own: impl IntoIterator<Item = Arc<dyn Format>>,
) -> anyhow::Result<()> {
    log_to_stderr(args.log_format);
    if !ignored.is_empty() {
        tracing::warn!(settings = ignored.join(", "), "settings of another server that have no effect here");
    }
    let mut formats: Vec<Arc<dyn Format>> = own.into_iter().collect();
    formats.extend(formats::builtin(args.device).context("--device")?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    let result = runtime.block_on(serve(args, formats));
    // A load or a prediction that is still computing must not hold the exit.
    runtime.shutdown_background();
    result
}

async fn serve(args: Args, formats: Vec<Arc<dyn Format>>) -> anyhow::Result<()> {
    let location = Location::parse(&args.models).context("--models")?;
    let stores = Arc::new(Stores::new(args.storage.options()));
    let (catalogue, modelmesh) = if args.modelmesh {
        let Location::Folder(folder) = location else {
            anyhow::bail!(
                "--models {location}: with --modelmesh it is the folder of relative paths, a store is what a model's key names"
            );
        };
        let options = ModelMeshOptions {
            folder,
            load_timeout: args.load_timeout,
            default_model_size: u64::try_from(args.default_model_size).unwrap_or(u64::MAX),
            stores: Some(stores),
        };
        (Catalogue::to_be_filled(formats, residency(&args)), Some(options))
    } else {
        let catalogue = Catalogue::open_at(&location, &stores, formats, residency(&args), args.poll_interval).await;
        (catalogue.with_context(|| format!("cannot serve the models of {location}"))?, None)
    };
    let traces = args.traces.start()?;
    let options = Options {
        body_limit: args.body_limit,
        drain_timeout: args.drain_timeout,
        model_series: args.model_series,
        traces: traces.is_some(),
        modelmesh,
    };
    let server = Server::new(Arc::new(catalogue), &options)?;

    let mut listeners: Vec<Listener> = Vec::with_capacity(args.ports.len() + args.sockets.len());
    for port in args.ports {
        let address = (args.host, port);
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {}:{port}, choose another with --port", args.host))?;
        announce(&listener)?;
        listeners.push(listener.into());
    }
    for path in &args.sockets {
        let listener = socket(path).with_context(|| format!("cannot listen on the socket {}", path.display()))?;
        tracing::info!(socket = %path.display(), "listening");
        listeners.push(listener.into());
    }
    let stops = count_stop_signals()?;
    let first_stop = {
        let stops = stops.clone();
        async move { if signals(stops, 1).await.is_by_hand { Duration::ZERO } else { args.drain_grace } }
    };
    tokio::select! {
        result = server.serve(listeners, first_stop) => {
            if let Some(traces) = traces {
                traces.end().await;
            }
            result.context("cannot serve")
        }
        _ = signals(stops, 2) => anyhow::bail!("stopped by a second signal, requests were cut off"),
    }
}

fn residency(args: &Args) -> ResidencyOptions {
    let mut options = ResidencyOptions {
        mode: match args.model_control {
            ModelControl::OnDemand => Mode::OnDemand,
            ModelControl::Explicit => Mode::Explicit,
        },
        guard_age: args.guard_age,
        pinned: args.pinned.clone(),
        preload: args.preload,
        default_implementation: args.default_implementation.clone().or_else(implied_implementation),
        ..ResidencyOptions::default()
    };
    if let Some(memory) = args.memory {
        options.memory = u64::try_from(memory).unwrap_or(u64::MAX);
    }
    // The rest is for what a step needs besides.
    let free = || formats::free_device_memory().map(|free| free / 10 * 9);
    options.gpu_memory = args.gpu_memory.map(|memory| u64::try_from(memory).unwrap_or(u64::MAX)).or_else(free);
    if let Some(loads_at_once) = args.loads_at_once {
        options.loads_at_once = loads_at_once.get();
    }
    tracing::info!(
        memory = options.memory,
        gpu_memory = options.gpu_memory,
        loads_at_once = options.loads_at_once,
        "room for models"
    );
    options
}

/// ModelMesh's language model example names its models in the environment, and its InferenceService any file.
fn implied_implementation() -> Option<String> {
    let is_language_model = std::env::var_os("PEFT_MODEL_ID").is_some_and(|id| !id.is_empty());
    (is_language_model && cfg!(feature = "llm")).then(|| "huggingface".to_owned())
}

/// Listens on a path, also where an earlier process has left its socket behind.
fn socket(path: &Path) -> std::io::Result<UnixListener> {
    if path.exists() && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    // Who may reach the folder may call: the containers of a pod run as different users.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// One line a port on standard output, for whoever started us with port 0.
fn announce(listener: &TcpListener) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    tracing::info!(%address, "listening");
    let mut stdout = std::io::stdout().lock();
    // Nobody may be reading, which is no reason not to serve.
    let _ = writeln!(stdout, "listening on {address} (REST and gRPC)").and_then(|()| stdout.flush());
    Ok(())
}

/// The signals that came: the first asks to stop, the second not to wait.
#[derive(Clone, Copy, Debug, Default)]
struct Stops {
    count: usize,
    /// By Ctrl-C: somebody sits there, and no gateway has to be waited for.
    is_by_hand: bool,
}

/// Counts SIGTERM and Ctrl-C.
fn count_stop_signals() -> anyhow::Result<watch::Receiver<Stops>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let (sender, receiver) = watch::channel(Stops::default());
    tokio::spawn(async move {
        loop {
            let is_by_hand = tokio::select! {
                _ = terminate.recv() => false,
                _ = interrupt.recv() => true,
            };
            tracing::info!("{}", if is_by_hand { "Ctrl-C" } else { "SIGTERM" });
            sender.send_modify(|stops| *stops = Stops { count: stops.count + 1, is_by_hand });
        }
    });
    Ok(receiver)
}

/// Ends once so many signals came.
async fn signals(mut stops: watch::Receiver<Stops>, wanted: usize) -> Stops {
    // The sender lives as long as the process.
    stops.wait_for(|stops| stops.count >= wanted).await.map(|stops| *stops).unwrap_or_default()
}

/// `RUST_LOG` chooses what is logged, `info` without it.
fn log_to_stderr(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let builder = builder.with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    // A panic is caught where it can be; its place belongs in the log, in the log's form.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(place, message, "panicked");
    }));
}
