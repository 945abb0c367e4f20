//! Cold loads beside a hot model, over the wire with the real process: nothing that takes long runs where requests are
//! answered.

// Clippy knows only `#[test]` functions as tests, not what they call.
#![allow(clippy::expect_used, clippy::panic)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const MODEL: &str = "../tests/data/sklearn/digits/rbf.joblib";
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Loads that are asked for at once.
const LOADS: usize = 50;
const ROUNDS: usize = 3;
/// Requests that the hot model answers in a quiet phase.
const QUIET: usize = 400;
/// Instructions of a pickle that leave nothing behind: together they take longer than a hundred requests.
const IDLE_INSTRUCTIONS: usize = 200_000;
/// The name of a thread that loads.
const LOADER: &str = "model-load";
/// What it may take of the other threads to bring a load about: queueing, logging, the answer to who waits.
const AROUND_A_LOAD: Duration = Duration::from_micros(500);

struct Runtime {
    process: Child,
    address: SocketAddr,
}

/// What one phase was for the hot model.
struct Phase {
    /// Sorted.
    times: Vec<Duration>,
    /// Processor time of all threads but those that load.
    answering: Duration,
    loading: Duration,
}

// === impl Runtime ===

impl Runtime {
    /// One thread for all requests: what blocks it cannot hide.
    fn start(folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_modelway"));
        command.args(["serve", "--port", "0", "--memory", "2GiB", "--poll-interval", "0", "--models"]).arg(folder);
        command.env("TOKIO_WORKER_THREADS", "1").env("RUST_LOG", "info");
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("modelway runs");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let address = line.split(' ').nth(2).and_then(|it| it.parse().ok()).unwrap_or_else(|| panic!("{line}"));
        Self { process, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream
    }

    /// Processor time of the threads that answer, and of those that load.
    fn cpu(&self) -> (Duration, Duration) {
        let (mut answering, mut loading) = (0, 0);
        for task in std::fs::read_dir(format!("/proc/{}/task", self.process.id())).expect("it runs") {
            let task = task.expect("a thread").path();
            // A thread that has just ended has nothing to tell.
            let Ok(times) = std::fs::read_to_string(task.join("schedstat")) else { continue };
            let Ok(name) = std::fs::read_to_string(task.join("comm")) else { continue };
            let running: u64 = times.split(' ').next().and_then(|it| it.parse().ok()).expect("nanoseconds");
            *if name.trim() == LOADER { &mut loading } else { &mut answering } += running;
        }
        (Duration::from_nanos(answering), Duration::from_nanos(loading))
    }

    /// Asks the hot model as long as this holds.
    fn phase(&self, hot: &mut TcpStream, mut holds: impl FnMut(usize) -> bool) -> Phase {
        let before = self.cpu();
        let mut times = Vec::new();
        while holds(times.len()) {
            let began = Instant::now();
            ask(hot, "hot");
            finish(hot, "hot");
            times.push(began.elapsed());
        }
        let after = self.cpu();
        times.sort_unstable();
        Phase { times, answering: after.0 - before.0, loading: after.1 - before.1 }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

// === impl Phase ===

impl Phase {
    fn p99(&self) -> Duration {
        self.times[self.times.len() * 99 / 100]
    }
}

fn ask(stream: &mut TcpStream, model: &str) {
    let values = vec!["0"; 64].join(",");
    let body = format!(r#"{{"inputs":[{{"name":"x","shape":[1,64],"datatype":"FP32","data":[{values}]}}]}}"#);
    let length = body.len();
    let head = format!("POST /v2/models/{model}/infer HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).expect("it reads");
}

/// Reads the answer, which ends with the JSON object.
fn finish(stream: &mut TcpStream, model: &str) {
    let (mut answer, mut part) = (Vec::new(), [0; 4096]);
    while !answer.ends_with(b"]}]}") {
        let length = stream.read(&mut part).expect("it answers");
        answer.extend_from_slice(&part[..length]);
        let text = String::from_utf8_lossy(&answer);
        assert!(length > 0 && text.starts_with("HTTP/1.1 200"), "{text}");
    }
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains(&format!(r#""model_name":"{model}""#)), "{text}");
}

/// The model with instructions before it that do nothing but take time.
fn slow_to_load() -> Vec<u8> {
    const PUSHES: usize = 1000;
    let (mark, push_zero, pop_to_mark) = (b'(', [b'K', 0], b'1');
    let file = std::fs::read(MODEL).expect("a model");
    let (protocol, rest) = file.split_at(2);
    let mut slow = protocol.to_vec();
    for _ in 0..IDLE_INSTRUCTIONS / PUSHES {
        slow.push(mark);
        slow.extend(push_zero.repeat(PUSHES));
        slow.push(pop_to_mark);
    }
    slow.extend(rest);
    slow
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Quiet and busy phases in turn, so that a busy machine is busy in both. Wall time alone says little on such a machine,
/// so the processor time of the answering threads is held to account, too.
#[test]
fn fifty_cold_loads_do_not_slow_down_a_hot_model() {
    let folder = TempDir::new().expect("a folder");
    std::fs::copy(MODEL, folder.path().join("hot.joblib")).expect("a model");
    let slow = folder.path().join("slow");
    std::fs::write(&slow, slow_to_load()).expect("a file");
    let names: Vec<String> = (0..ROUNDS * LOADS).map(|number| format!("cold{number}")).collect();
    for name in &names {
        std::fs::hard_link(&slow, folder.path().join(name).with_extension("joblib")).expect("a link");
    }
    let runtime = Runtime::start(folder.path());
    let mut hot = runtime.connect();
    runtime.phase(&mut hot, |asked| asked < QUIET);
    let (mut quiet, mut busy) = (Vec::new(), Vec::new());
    for names in names.chunks(LOADS) {
        quiet.push(runtime.phase(&mut hot, |asked| asked < QUIET));
        let mut cold: Vec<TcpStream> = names.iter().map(|_| runtime.connect()).collect();
        cold.iter_mut().zip(names).for_each(|(stream, name)| ask(stream, name));
        let loads = std::thread::scope(|scope| {
            let answers = scope.spawn(|| cold.iter_mut().zip(names).for_each(|(stream, name)| finish(stream, name)));
            runtime.phase(&mut hot, |_| !answers.is_finished())
        });
        busy.push(loads);
    }
    let of = |phases: &[Phase]| median(phases.iter().map(Phase::p99).collect());
    let (quiet_p99, busy_p99) = (of(&quiet), of(&busy));
    let requests = |phases: &[Phase]| u32::try_from(phases.iter().map(|phase| phase.times.len()).sum::<usize>());
    let (quiet_requests, busy_requests) = (requests(&quiet).expect("few"), requests(&busy).expect("few"));
    let loads = u32::try_from(names.len()).expect("few");
    let load = busy.iter().map(|phase| phase.loading).sum::<Duration>() / loads;
    let one = quiet.iter().map(|phase| phase.answering).sum::<Duration>() / quiet_requests;
    let answering: Duration = busy.iter().map(|phase| phase.answering).sum();
    println!("p99 {quiet_p99:?} and {busy_p99:?}, {one:?} a request, {load:?} a load, {busy_requests} requests beside");

    assert!(load > 20 * one, "a load takes {load:?}, a request {one:?}: such a load hides nothing");
    assert!(busy_requests > 500, "{busy_requests} requests beside the loads");
    let allowed = 2 * busy_requests * one + loads * AROUND_A_LOAD;
    assert!(answering < allowed, "the answering threads took {answering:?} for {busy_requests} requests of {one:?}");
    // Had it waited for one load, it would have waited for all of it.
    let limit = (2 * quiet_p99).max(load / 2);
    assert!(busy_p99 <= limit, "p99 {busy_p99:?} beside loads of {load:?}, {quiet_p99:?} without");
}
