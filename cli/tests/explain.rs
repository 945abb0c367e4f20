//! `modelway explain`, `simulate` and `completions` as programs.

#![allow(clippy::expect_used, clippy::panic)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

fn mesh() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli/mesh.yaml")
}

fn run(command: &str, arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_modelway"));
    program.arg(command).arg(mesh()).args(arguments).output().expect("modelway runs")
}

fn json(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
}

#[test]
fn the_same_user_gets_the_same_variant_however_the_request_is_given() {
    let folder = TempDir::new().expect("a folder");
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("a file");
        path.display().to_string()
    };
    let body = r#"{"parameters": {"user_id": "ann"}, "inputs": []}"#;
    let text = file("request.txt", format!("POST /v2/models/fraud/infer HTTP/1.1\r\nHost: a\r\n\r\n{body}").as_bytes());
    let object = file("request.json", format!(r#"{{"path": "/v2/models/fraud/infer", "body": {body}}}"#).as_bytes());
    let curl = file(
        "curl.txt",
        b"> POST /v2/models/fraud/infer HTTP/1.1\n> Host: a\n> X-User-Id: ann\n>\n< HTTP/1.1 200 OK\n",
    );
    // ModelInferRequest: model_name "fraud", parameters {"user_id": string "ann"}.
    let frames = file("frames.bin", b"\0\0\0\0\x19\x0a\x05fraud\x22\x10\x0a\x07user_id\x12\x05\x1a\x03ann");
    let ways: [&[&str]; 7] = [
        &["--path", "/v2/models/fraud/infer", "--header", "X-User-ID: ann"],
        &["--path", "/v2/models/fraud/infer", "--body", body],
        &["--request", &text],
        &["--request", &object],
        &["--request", &curl],
        &["--grpc-json", r#"{"model_name": "fraud", "parameters": {"user_id": {"string_param": "ann"}}}"#],
        &["--grpc-frames", &frames],
    ];
    let explained = ways.map(|way| json(&run("explain", &[way, &["--output", "json"]].concat())));
    for (way, explained) in ways.iter().zip(&explained) {
        assert_eq!(explained["outcome"], "routed", "{way:?}: {explained}");
        assert_eq!(explained["reason"], "split", "{way:?}");
    }
    let draws: Vec<&Value> = explained.iter().map(|explained| &explained["draw"]).collect();
    assert!(draws.windows(2).all(|pair| pair[0] == pair[1]), "{draws:?}");
    let tiers: Vec<&Value> = explained.iter().map(|explained| &explained["tier"]).collect();
    assert_eq!(tiers, ["header", "body", "body", "body", "header", "body", "body"]);
}

#[test]
fn a_rule_is_named_with_its_place_and_an_answer_with_its_status() {
    let by_rule = json(&run("explain", &["--path", "/v2/models/fraud/ready", "-H", "x-tester: 1", "-o", "json"]));
    assert_eq!(by_rule["rules"], serde_json::json!(["routing.models[0].rules[0]"]));
    assert_eq!(by_rule["headers"][":path"], "/v2/models/fraud-v2/ready");
    let unknown = json(&run("explain", &["--path", "/v2/models/frauds/infer", "-o", "json"]));
    assert_eq!((&unknown["outcome"], &unknown["status"]), (&Value::from("answered"), &Value::from(404)));
    let other = json(&run("explain", &["--path", "/healthz", "-o", "json"]));
    assert_eq!(other["outcome"], "passes");
}

#[test]
fn what_is_no_request_says_what_was_expected() {
    let refusal = |arguments: &[&str]| {
        let output = run("explain", arguments);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(refusal(&[]).contains("expected a request: --path, --grpc-json or --request"));
    assert!(refusal(&["--path", "/", "--header", "nothing"]).contains("expected `name: value`, got 'nothing'"));
    assert!(refusal(&["--grpc-json", "{\"model\": 1}"]).contains("model: a ModelInferRequest has no such field"));
}

#[test]
fn a_log_is_read_from_a_pipe_and_a_bad_line_is_told_by_its_number() {
    let piped = |log: &str| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_modelway"));
        program.arg("simulate").arg(mesh()).args(["--log", "-", "-o", "json"]);
        program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = program.spawn().expect("modelway runs");
        child.stdin.take().expect("piped").write_all(log.as_bytes()).expect("read");
        child.wait_with_output().expect("it ends")
    };
    let good = "{\"path\": \"/v2/models/fraud/infer\", \"headers\": {\"x-user-id\": \"ann\"}}\n\n{\"path\": \"/\"}\n";
    let simulated = json(&piped(good));
    assert_eq!((&simulated["requests"], &simulated["passed"]), (&Value::from(2), &Value::from(1)));
    let bad = piped(&format!("{good}{{\"path\": 1}}\n"));
    assert_eq!(bad.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&bad.stderr).contains("-:4: path: invalid type"));
}

#[test]
fn every_shell_has_its_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_modelway"));
        let output = program.args(["completions", shell]).output().expect("modelway runs");
        assert!(String::from_utf8_lossy(&output.stdout).contains("set-weight"), "{shell}");
    }
}
