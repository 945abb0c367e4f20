mod manifests;

use std::collections::BTreeMap;
use std::fs;

use clap::{ArgMatches, CommandFactory};
use tempfile::TempDir;

use super::*;
use crate::Cli;

/// As KServe ships it for ModelMesh.
const SHIPPED: [(&str, &str); 7] = [
    ("MLSERVER_MODELS_DIR", "/models/_mlserver_models/"),
    ("MLSERVER_GRPC_PORT", "8001"),
    ("MLSERVER_HTTP_PORT", "8002"),
    ("MLSERVER_LOAD_MODELS_AT_STARTUP", "false"),
    ("MLSERVER_MODEL_NAME", "dummy-model-fixme"),
    ("MLSERVER_HOST", "127.0.0.1"),
    ("MLSERVER_GRPC_MAX_MESSAGE_LENGTH", "-1"),
];

fn read(arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<Call> {
    let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Call::read(arguments.iter().map(OsString::from), environment)
}

/// What `serve` is told in the end.
fn told(arguments: &[&str], environment: &[(&str, &str)]) -> BTreeMap<String, String> {
    let call = read(arguments, environment).unwrap();
    let matches = call.settings.apply(Cli::command()).try_get_matches_from(&call.arguments).unwrap();
    let serve = matches.subcommand_matches("serve").expect("serve");
    let command = Cli::command();
    let arguments = command.find_subcommand("serve").expect("serve").get_arguments();
    arguments.map(|argument| (argument.get_id().to_string(), raw(serve, argument.get_id().as_str()))).collect()
}

fn raw(matches: &ArgMatches, id: &str) -> String {
    let values = matches.get_raw(id).into_iter().flatten();
    values.map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join(",")
}

fn fault(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    format!("{:#}", read(arguments, environment).unwrap_err())
}

#[test]
fn what_kserve_tells_mlserver_is_done() {
    let told = told(&["modelway", "serve"], &SHIPPED);
    assert_eq!(told["models"], "/models/_mlserver_models/");
    assert_eq!(told["ports"], "8001,8002");
    assert_eq!(told["host"], "127.0.0.1");
    assert_eq!((told["model_control"].as_str(), told["preload"].as_str()), ("explicit", "false"));
    assert_eq!(told["body_limit"], u32::MAX.to_string());
    assert_eq!(read(&["modelway", "serve"], &SHIPPED).unwrap().settings.ignored(), [""; 0]);
}

#[test]
fn own_flags_go_before_what_another_server_was_told() {
    let arguments = ["/usr/bin/modelway", "serve", "--port=9000", "--host", "::1", "--models=/m"];
    let told = told(&arguments, &SHIPPED);
    assert_eq!((told["ports"].as_str(), told["host"].as_str(), told["models"].as_str()), ("9000", "::1", "/m"));
    assert_eq!(told["model_control"], "explicit");
}

#[test]
fn without_anything_for_another_server_nothing_changes() {
    let told = told(&["modelway", "serve", "--models=/m"], &[("PATH", "/bin"), ("MLSERVER_HTTP_PORT", "")]);
    assert_eq!((told["ports"].as_str(), told["model_control"].as_str()), ("8001,8002", "on-demand"));
    let missing = read(&["modelway", "serve"], &[]).unwrap();
    assert!(missing.settings.apply(Cli::command()).try_get_matches_from(&missing.arguments).is_err());
}

#[test]
fn what_only_tunes_mlserver_is_named() {
    let environment = [
        ("MLSERVER_PARALLEL_WORKERS", "4"),
        ("MLSERVER_MODEL_IMPLEMENTATION", "mlserver_sklearn.SKLearnModel"),
        ("MLSERVER_MODEL_PARALLEL_WORKERS", "0"),
        ("MLSERVER_USE_STRUCTURED_LOGGING", "true"),
        ("MLSERVER_METRICS_PORT", "8082"),
        // Of a Kubernetes service of that name.
        ("MLSERVER_GRPC_PORT", "tcp://10.0.0.1:81"),
    ];
    let call = read(&["modelway", "serve"], &environment).unwrap();
    let ignored = ["MLSERVER_METRICS_PORT", "MLSERVER_MODEL_PARALLEL_WORKERS", "MLSERVER_PARALLEL_WORKERS"];
    assert_eq!(call.settings.ignored(), ignored);
    assert_eq!(call.settings.value("default_implementation").unwrap(), ["mlserver_sklearn.SKLearnModel"]);
    assert_eq!(call.settings.value("log_format").unwrap(), ["json"]);
    assert_eq!(call.settings.value("ports"), None);
}

#[test]
fn a_setting_of_mlservers_that_is_not_understood_is_named_with_what_is_expected() {
    let serve = ["modelway", "serve"];
    for (name, value, part) in [
        ("MLSERVER_HTTP_PORT", "eighty", "MLSERVER_HTTP_PORT is 'eighty', expected a port"),
        ("MLSERVER_HOST", "example.com", "MLSERVER_HOST is 'example.com', expected an address"),
        ("MLSERVER_LOAD_MODELS_AT_STARTUP", "maybe", "is 'maybe', expected true or false"),
        ("MLSERVER_GRPC_MAX_MESSAGE_LENGTH", "-2", "is '-2', expected a number of bytes, or -1"),
    ] {
        let fault = fault(&serve, &[(name, value)]);
        assert!(fault.contains(part), "{fault}");
        // It is for the server, not for the other commands.
        read(&["modelway", "check", "mesh.yaml"], &[(name, value)]).unwrap();
    }
}

#[test]
fn a_model_that_stands_outside_of_the_models_folder_is_refused_by_the_variables_name() {
    let serve = ["modelway", "serve"];
    let folder = ("MLSERVER_MODELS_DIR", "/mnt/models");
    for same in ["/mnt/models", "/mnt/models/", "file:///mnt/models"] {
        let uri = ("MLSERVER_MODEL_URI", same);
        assert_eq!(read(&serve, &[folder, uri]).unwrap().settings.ignored(), [""; 0]);
        read(&["mlserver", "start", "/mnt/models"], &[uri]).unwrap();
    }
    let other = ("MLSERVER_MODEL_URI", "/mnt/other/model.joblib");
    for fault in
        [fault(&serve, &[folder, other]), fault(&serve, &[other]), fault(&["mlserver", "start", "/m"], &[other])]
    {
        assert!(fault.starts_with("MLSERVER_MODEL_URI is '/mnt/other/model.joblib'"), "{fault}");
        assert!(fault.contains("parameters.uri"), "{fault}");
    }
}

#[test]
fn mlserver_start_is_what_it_is_in_mlserver() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().to_str().unwrap();
    let plain = told(&["/usr/local/bin/mlserver", "start", path], &[("MLSERVER_HTTP_PORT", "8000")]);
    assert_eq!((plain["models"].as_str(), plain["host"].as_str()), (path, "0.0.0.0"));
    assert_eq!(plain["ports"], "8000,8081,8082");
    assert_eq!((plain["model_control"].as_str(), plain["preload"].as_str()), ("explicit", "true"));

    let settings = r#"{"debug": true, "http_port": 9000, "host": "localhost", "load_models_at_startup": "false"}"#;
    fs::write(folder.path().join("settings.json"), settings).unwrap();
    let call = ["mlserver", "start", path];
    let with_file = told(&call, &[("MLSERVER_HTTP_PORT", "8000")]);
    assert_eq!((with_file["ports"].as_str(), with_file["host"].as_str()), ("9000,8081,8082", "127.0.0.1"));
    assert_eq!(with_file["preload"], "false");
    assert_eq!(read(&call, &[]).unwrap().settings.ignored(), ["MLSERVER_DEBUG"]);

    fs::write(folder.path().join("settings.json"), "[]").unwrap();
    assert!(fault(&call, &[]).contains("settings.json: expected MLServer's settings, a JSON object"));
    assert!(fault(&["mlserver", "build", "."], &[]).contains("mlserver start FOLDER"));
    assert_eq!(read(&["mlserver", "--version"], &[]).unwrap().arguments, ["modelway", "--version"]);
}

#[test]
fn what_kserve_tells_triton_is_done() {
    let shipped = [
        "/opt/bin/tritonserver",
        "--model-repository=/models/_triton_models",
        "--model-control-mode=explicit",
        "--strict-model-config=false",
        "--strict-readiness=false",
        "--allow-http=true",
        "--allow-sagemaker=false",
    ];
    let modelmesh = told(&shipped, &[]);
    assert_eq!(modelmesh["models"], "/models/_triton_models");
    assert_eq!((modelmesh["ports"].as_str(), modelmesh["host"].as_str()), ("8000,8001,8002", "0.0.0.0"));
    assert_eq!((modelmesh["model_control"].as_str(), modelmesh["preload"].as_str()), ("explicit", "false"));
    assert_eq!(read(&shipped, &[]).unwrap().settings.ignored(), [""; 0]);

    let standard = [
        "tritonserver",
        "--model-store=/mnt/models",
        "--grpc-port=9000",
        "--http-port",
        "8080",
        "--allow-metrics=false",
        "--http-address",
        "localhost",
        "--http-thread-count=8",
        "--trace-config=level=OFF",
        "--exit-timeout-secs=5",
        "--model-load-thread-count=3",
    ];
    let told = told(&standard, &[]);
    assert_eq!((told["models"].as_str(), told["ports"].as_str()), ("/mnt/models", "8080,9000"));
    assert_eq!((told["host"].as_str(), told["drain_timeout"].as_str()), ("127.0.0.1", "5s"));
    assert_eq!((told["model_control"].as_str(), told["preload"].as_str()), ("explicit", "true"));
    assert_eq!((told["poll_interval"].as_str(), told["loads_at_once"].as_str()), ("0s", "3"));
    assert_eq!(read(&standard, &[]).unwrap().settings.ignored(), ["--http-thread-count", "--trace-config"]);
}

#[test]
fn tritons_modes_are_what_comes_nearest_here() {
    let with = |more: &[&str]| told(&[&["tritonserver", "--model-repository=/m"], more].concat(), &[]);
    let polled = with(&["--model-control-mode=poll", "--repository-poll-secs=60"]);
    assert_eq!((polled["model_control"].as_str(), polled["poll_interval"].as_str()), ("on-demand", "60s"));
    let named = with(&["--model-control-mode=explicit", "--load-model=a", "--load-model=b"]);
    assert_eq!((named["pinned"].as_str(), named["preload"].as_str()), ("a,b", "false"));
    let all = with(&["--model-control-mode=explicit", "--load-model=*"]);
    assert_eq!(all["preload"], "true");
}

#[test]
fn an_option_of_tritons_that_somebody_relies_on_or_that_is_misspelt_is_refused() {
    for (argument, part) in [
        ("--grpc-use-ssl=true", "--grpc-use-ssl=true is not done here: TLS is the gateway's"),
        ("--http-restricted-api=model-repository:admin=secret", "the gateway's filter refuses administrative calls"),
        ("--model-contrl-mode=explicit", "--model-contrl-mode is not known here, did you mean --model-control-mode?"),
        ("--model-control-mode=always", "expected none, poll or explicit"),
        ("--load-model=a", "--load-model needs --model-control-mode=explicit"),
        ("--http-port=x", "--http-port=x, expected a port"),
        ("--allow-http=maybe", "expected true or false"),
        ("--model-repository=/other", "--model-repository stands 2 times"),
        ("--model-store=/other", "give one of them"),
        ("--grpc-port", "--grpc-port has no value"),
        ("serve", "'serve' is no option"),
    ] {
        let fault = fault(&["tritonserver", "--model-repository=/m", argument], &[]);
        assert!(fault.contains(part), "{argument}: {fault}");
    }
    let addresses = ["tritonserver", "--model-repository=/m", "--http-address=0.0.0.0", "--grpc-address=127.0.0.1"];
    assert!(fault(&addresses, &[]).contains("is another address"));
    let deaf = ["tritonserver", "--model-repository=/m", "--allow-http=0", "--allow-grpc=0", "--allow-metrics=0"];
    assert!(fault(&deaf, &[]).contains("nobody can call it"));
    assert!(fault(&["tritonserver"], &[]).contains("--model-repository=FOLDER says where the models are"));
    read(&["tritonserver", "--model-repository=/m", "--grpc-use-ssl=false"], &[]).unwrap();
}
