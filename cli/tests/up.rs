//! `modelway up` with a real Envoy, the built filter and real runtimes. `make test` provides them.

// Clippy knows only `#[test]` functions as tests, not what they call.
#![allow(clippy::expect_used, clippy::panic)]

use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A folder with a mesh of two runtimes without models, on ports that are free.
fn mesh() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    std::fs::create_dir(folder.path().join("models")).expect("the models folder");
    let text = "apiVersion: modelway/v1alpha1\nrouting: {models: []}\ndeployment: {gateway: {port: 0}}\n";
    std::fs::write(folder.path().join("mesh.yaml"), text).expect("the mesh file");
    folder
}

/// `modelway up`, from the root of the repository, where it finds filter and Envoy.
fn up(folder: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelway"));
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    command.arg("up").arg(folder.path().join("mesh.yaml"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(command: &mut Command) -> (Output, String) {
    let output = command.output().expect("modelway runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, errors)
}

/// Reads standard error to the line that holds `text`; all that came before is in the failure.
fn read_until(child: &mut Child, text: &str) -> String {
    let mut seen = String::new();
    for line in BufReader::new(child.stderr.take().expect("piped")).lines() {
        let line = line.expect("text");
        if line.contains(text) {
            return format!("{seen}{line}");
        }
        seen.push_str(&line);
        seen.push('\n');
    }
    panic!("no `{text}` in:\n{seen}");
}

fn address_after(prefix: &str, text: &str) -> SocketAddr {
    let (_, rest) = text.split_once(prefix).unwrap_or_else(|| panic!("no `{prefix}` in:\n{text}"));
    let address = rest.split(|c: char| c.is_whitespace() || c == ',').next().expect("an address");
    address.parse().unwrap_or_else(|error| panic!("`{address}`: {error}"))
}

#[test]
fn a_command_runs_within_the_mesh_and_nothing_outlives_it() {
    let folder = mesh();
    let script = "echo gateway $MODELWAY_GATEWAY; echo admin $MODELWAY_ADMIN; exit 7";
    let (output, errors) = run(up(&folder).args(["--", "sh", "-c", script]));
    assert_eq!(output.status.code(), Some(7), "{errors}");
    let text = String::from_utf8_lossy(&output.stdout);
    let runtimes = [address_after("runtime-1 ready at ", &errors), address_after("runtime-2 ready at ", &errors)];
    let envoy = [address_after("gateway http://", &text), address_after("admin http://", &text)];
    for address in runtimes.into_iter().chain(envoy) {
        assert!(TcpStream::connect(address).is_err(), "{address} still listens");
    }
}

#[test]
fn a_runtime_that_dies_stops_the_mesh_and_is_named() {
    let folder = mesh();
    let script = "for child in $(cat /proc/$PPID/task/$PPID/children); do \
                  if grep -q serve /proc/$child/cmdline; then kill -9 $child; break; fi; done; exec sleep 60";
    let (output, errors) = run(up(&folder).args(["--", "sh", "-c", script]));
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("runtime-1 stopped with signal: 9"), "{errors}");
    assert!(errors.contains("listening on 127.0.0.1:"), "its last words: {errors}");
}

#[test]
fn the_runtimes_are_the_program_that_the_mesh_file_names() {
    let folder = mesh();
    let program = folder.path().join("own-runtime");
    let modelway = env!("CARGO_BIN_EXE_modelway");
    let text = format!("#!/bin/sh\necho \"$1\" >> {}/calls\nexec {modelway} \"$@\"\n", folder.path().display());
    std::fs::write(&program, text).expect("the program");
    std::fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("it may run");
    let text = "apiVersion: modelway/v1alpha1\nrouting: {models: []}\ndeployment: {gateway: {port: 0}, runtimes: {program: ./own-runtime}}\n";
    std::fs::write(folder.path().join("mesh.yaml"), text).expect("the mesh file");
    let (output, errors) = run(up(&folder).args(["--", "true"]));
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert_eq!(std::fs::read_to_string(folder.path().join("calls")).expect("calls"), "serve\nserve\n");
}

#[test]
fn a_program_that_is_not_there_is_told_before_anything_starts() {
    for (program, told) in [("./none", "at "), ("modelway-none", "on the PATH by the name modelway-none")] {
        let folder = mesh();
        let text = format!(
            "apiVersion: modelway/v1alpha1\nrouting: {{models: []}}\ndeployment: {{runtimes: {{program: {program}}}}}\n"
        );
        std::fs::write(folder.path().join("mesh.yaml"), text).expect("the mesh file");
        let (output, errors) = run(&mut up(&folder));
        assert_eq!(output.status.code(), Some(1));
        assert!(
            errors.contains(&format!("no program {told}")) && errors.contains("deployment.runtimes.program"),
            "{errors}"
        );
    }
}

#[test]
fn sigterm_stops_a_mesh_that_stays() {
    let folder = mesh();
    let mut child = up(&folder).spawn().expect("modelway runs");
    let gateway = address_after("gateway at http://", &read_until(&mut child, "Ctrl-C"));
    assert!(TcpStream::connect(gateway).is_ok());
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, Signal::TERM).expect("it runs");
    assert_eq!(child.wait().expect("it was started").code(), Some(0));
    assert!(TcpStream::connect(gateway).is_err(), "{gateway} still listens");
}

#[test]
fn a_routing_that_the_filter_would_refuse_is_refused_before_anything_starts() {
    let folder = mesh();
    let text = "apiVersion: modelway/v1alpha1\nrouting: {models: [{name: a, rules: [{name: b, variant: c}]}]}\n";
    std::fs::write(folder.path().join("mesh.yaml"), text).expect("the mesh file");
    let (output, errors) = run(&mut up(&folder));
    assert_eq!(output.status.code(), Some(1));
    assert!(errors.contains("routing.models[0].rules[0]"), "{errors}");
    assert!(!errors.contains("starting"), "{errors}");
}
