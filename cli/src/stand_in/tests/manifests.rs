//! The manifests for ModelMesh say what `modelway serve` understands, and what ModelMesh does.

use serde_json::Value;

use super::*;

/// ModelMesh's own ports in a pod.
const ITS_PORTS: [u64; 5] = [8033, 8080, 8086, 8089, 8090];

fn manifests() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../modelmesh");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path.display().to_string(), serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}")))
    };
    files.map(read).collect()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().map(|text| text.as_str().expect("a text")).collect()
}

/// `port:8001` as a number.
fn port(value: &Value) -> u64 {
    value.as_str().and_then(|text| text.strip_prefix("port:")).expect("a port").parse().unwrap()
}

/// What the container's process is told, and by which variables of our own.
fn serve(container: &Value) -> BTreeMap<String, String> {
    let mut arguments = texts(&container["command"]);
    if arguments.is_empty() {
        arguments.push("modelway");
    }
    arguments.extend(texts(&container["args"]));
    let variable =
        |of: &Value| (of["name"].as_str().unwrap().to_owned(), of["value"].as_str().expect("a text").to_owned());
    let variables: Vec<_> = container["env"].as_array().into_iter().flatten().map(variable).collect();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(read(&arguments, &variables).unwrap().settings.ignored(), [""; 0]);
    let mut told = told(&arguments, &variables);
    let command = Cli::command();
    let serve = command.find_subcommand("serve").unwrap();
    for (name, value) in variables.iter().filter(|(name, _)| name.starts_with("MODELWAY_")) {
        let known = serve.get_arguments().find(|argument| argument.get_env().is_some_and(|known| known == *name));
        let id = known.unwrap_or_else(|| panic!("{name} is no variable of modelway serve")).get_id().as_str();
        let flag = format!("--{}={value}", known.unwrap().get_long().unwrap());
        command.clone().try_get_matches_from(["modelway", "serve", "--models=/m", &flag]).unwrap();
        told.insert(id.to_owned(), (*value).to_owned());
    }
    told
}

#[test]
fn the_manifests_say_what_serve_understands() {
    let manifests = manifests();
    assert_eq!(manifests.len(), 6, "{manifests:?}");
    for (path, manifest) in manifests {
        let spec = &manifest["spec"];
        let containers = spec["containers"].as_array().expect("containers");
        assert!(manifest["kind"] == "ServingRuntime" && spec["multiModel"] == true && containers.len() == 1, "{path}");
        let container = containers.first().unwrap();
        let told = serve(container);
        let ports: Vec<u64> = told["ports"].split(',').map(|port| port.parse().unwrap()).collect();
        assert!(ports.iter().all(|port| !ITS_PORTS.contains(port)), "{path}: {ports:?}");
        assert!(ports.contains(&port(&spec["grpcDataEndpoint"])), "{path}: {ports:?}");
        assert_eq!(told["host"], "127.0.0.1", "{path}");
        let adapter = &spec["builtInAdapter"];
        let is_behind_an_adapter = adapter.is_object();
        assert_eq!(told["modelmesh"] == "true", !is_behind_an_adapter, "{path}");
        if is_behind_an_adapter {
            assert_eq!(container["name"], adapter["serverType"], "{path}");
            assert!(ports.contains(&adapter["runtimeManagementPort"].as_u64().unwrap()), "{path}: {ports:?}");
            // 8085 is the adapter's.
            assert_eq!(port(&spec["grpcEndpoint"]), 8085, "{path}");
            assert_eq!(told["model_control"], "explicit", "{path}");
            let folder = format!("/models/_{}_models", adapter["serverType"].as_str().unwrap());
            assert_eq!(told["models"].trim_end_matches('/'), folder, "{path}");
        } else {
            assert!(ports.contains(&port(&spec["grpcEndpoint"])), "{path}: {ports:?}");
        }
        assert!(!ports.contains(&8085), "{path}");
        assert!(told["memory"].ends_with("MiB"), "{path}");
        // ModelMesh refuses these.
        for forbidden in ["readinessProbe", "lifecycle"] {
            assert!(container.get(forbidden).is_none(), "{path}: {forbidden}");
        }
    }
}
