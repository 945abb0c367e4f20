//! Against a server with the shape of the hub, over real HTTP.

mod server;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use http::Method;
use tempfile::TempDir;

use self::server::{COMMIT, HubPlan, HubServer, Spoiled, sha256};
use super::super::base::Bases;
use super::super::settings::Settings;
use super::super::tests::{folder, golden};
use super::{Contents, Hub, HubOptions, Id};
use crate::formats::language::LanguageFormat;
use crate::formats::{Format, ModelFiles};
use crate::model::Context;
use crate::text::{Prompt, TextEvent, TextRequest};

const BASE: &str = "acme/tiny-bloom";
const ADAPTER: &str = "acme/tiny-bloom_PROMPT_TUNING";

fn files(name: &str) -> Vec<PathBuf> {
    fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Those in its folders, too.
fn files_below(name: &str) -> Vec<PathBuf> {
    let (folders, mut all): (Vec<_>, Vec<_>) = files(name).into_iter().partition(|path| path.is_dir());
    all.extend(folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path()));
    all
}

fn models() -> BTreeMap<String, Vec<PathBuf>> {
    let variants = files("variants").into_iter();
    let tokenizer = folder("base").join("tokenizer.json");
    let with = |ends: &[&str]| -> Vec<PathBuf> {
        let variants = variants.clone().filter(|path| ends.iter().any(|end| path.to_str().unwrap().ends_with(end)));
        variants.chain([tokenizer.clone()]).collect()
    };
    BTreeMap::from([
        (BASE.to_owned(), files("base")),
        (ADAPTER.to_owned(), files("prompt-tuning")),
        ("early".to_owned(), files("base")),
        ("acme/split".to_owned(), with(&["config.json", ".safetensors", ".index.json"])),
        ("acme/torch".to_owned(), with(&["config.json", "pytorch_model.bin"])),
        ("acme/embedder".to_owned(), files_below("../embeddings/distilbert")),
        ("acme/plain".to_owned(), files_below("../embeddings/bert-plain")),
        (
            "acme/slow-tokenizer".to_owned(),
            vec![folder("base").join("config.json"), folder("base").join("model.safetensors")],
        ),
    ])
}

fn serve(plan: HubPlan) -> HubServer {
    HubServer::start(HubPlan { models: models(), ..plan })
}

fn options(endpoint: String, cache: &Path) -> HubOptions {
    HubOptions { endpoint, cache: Some(cache.to_owned()), pause: Duration::from_millis(1), ..HubOptions::default() }
}

fn id(text: &str) -> Id {
    Id::read(text).unwrap()
}

fn get(server: &HubServer, cache: &TempDir, name: &str, contents: Contents) -> Result<PathBuf, String> {
    Hub::new(options(server.endpoint(), cache.path())).folder(&id(name), contents)
}

fn repository(cache: &TempDir) -> PathBuf {
    cache.path().join("models--acme--tiny-bloom")
}

fn weights() -> Vec<u8> {
    fs::read(folder("base").join("model.safetensors")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_and_an_adapter_by_their_names_answer_as_those_in_folders_do_and_later_without_the_hub() {
    let cache = tempfile::tempdir().unwrap();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("peft-demo");
    fs::create_dir(&path).unwrap();
    let settings = Settings {
        pretrained_model_path: Some(BASE.to_owned()),
        peft_model_id: Some(ADAPTER.to_owned()),
        ..Settings::default()
    };
    let load = |options| {
        let format = LanguageFormat { settings: settings.clone(), hub: Hub::new(options), bases: Bases::default() };
        format.load(&ModelFiles { path: path.clone(), ..ModelFiles::default() })
    };
    let server = tokio::task::spawn_blocking(|| serve(HubPlan::default())).await.unwrap();
    let endpoint = server.endpoint();
    let first = load(options(endpoint.clone(), cache.path())).unwrap();
    let expected = [
        "adapter_config.json",
        "adapter_model.safetensors",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ];
    assert_eq!(server.files_read(), expected);
    tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
    let offline = HubOptions { offline: Some("HF_HUB_OFFLINE"), ..options(endpoint, cache.path()) };
    let second = load(offline).unwrap();
    let golden = golden();
    let answer = &golden.models["prompt-tuning"]["short"];
    for model in [first, second] {
        let request = TextRequest {
            max_new_tokens: Some(golden.max_new_tokens),
            ignore_end: true,
            ..TextRequest::new(Prompt::Text("Hi".to_owned()))
        };
        let events: Vec<_> = model.text().unwrap().generate(request, Context::default()).collect().await;
        let token = |event: &Result<TextEvent, crate::Error>| match event.as_ref().unwrap() {
            TextEvent::Token(piece) => Some(piece.token),
            _ => None,
        };
        let tokens: Vec<_> = events.iter().filter_map(token).collect();
        assert_eq!(tokens[..answer.generated.len()], answer.generated);
    }
}

#[test]
fn the_cache_is_laid_out_as_hugging_faces_libraries_expect_it() {
    let (server, cache) = (serve(HubPlan::default()), tempfile::tempdir().unwrap());
    let snapshot = get(&server, &cache, BASE, Contents::Base).unwrap();
    assert_eq!(snapshot, repository(&cache).join("snapshots").join(COMMIT));
    assert_eq!(fs::read_to_string(repository(&cache).join("refs/main")).unwrap(), COMMIT);
    let link = fs::read_link(snapshot.join("model.safetensors")).unwrap();
    assert_eq!(link.to_str().unwrap(), format!("../../blobs/{}", sha256(&weights())));
    let config = fs::read(folder("base").join("config.json")).unwrap();
    let blob = repository(&cache).join("blobs").join(&sha256(&config)[..40]);
    assert_eq!(fs::read(blob).unwrap(), config);
    let blobs = fs::read_dir(repository(&cache).join("blobs")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(blobs.into_iter().all(|name| !name.to_str().unwrap().ends_with(".incomplete")));
}

#[test]
fn weights_in_several_files_and_in_torchs_own_come_whole() {
    let (server, cache) = (serve(HubPlan::default()), tempfile::tempdir().unwrap());
    let split = get(&server, &cache, "acme/split", Contents::Base).unwrap();
    assert!(
        ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
            .iter()
            .all(|name| split.join(name).is_file())
    );
    let torch = get(&server, &cache, "acme/torch", Contents::Base).unwrap();
    assert!(torch.join("pytorch_model.bin").is_file());
    let asked = server.seen().len();
    fs::remove_file(split.join("model-00002-of-00002.safetensors")).unwrap();
    get(&server, &cache, "acme/split", Contents::Base).unwrap();
    assert!(server.seen().len() > asked, "a snapshot that lacks one of several files is not whole");
    assert!(split.join("model-00002-of-00002.safetensors").is_file());
}

#[test]
fn a_revision_is_asked_for_by_its_name_and_known_by_its_commit() {
    let (server, cache) = (serve(HubPlan::default()), tempfile::tempdir().unwrap());
    let hub = Hub::new(options(server.endpoint(), cache.path()));
    let by_pull = hub.folder(&id(BASE).or_at(Some("refs/pr/1")), Contents::Base).unwrap();
    assert_eq!(fs::read_to_string(repository(&cache).join("refs/refs/pr/1")).unwrap(), COMMIT);
    let asked = server.seen().len();
    assert_eq!(hub.folder(&id(&format!("{BASE}@{COMMIT}")), Contents::Base).unwrap(), by_pull);
    assert_eq!(server.seen().len(), asked);
    let error = hub.folder(&id(&format!("{BASE}@other")).or_at(Some("refs/pr/1")), Contents::Base).unwrap_err();
    assert!(error.contains("has no such revision of it (404)"), "{error}");
}

#[test]
fn a_name_without_an_owner_is_one_of_the_hub_too() {
    let (server, cache) = (serve(HubPlan::default()), tempfile::tempdir().unwrap());
    let folder = get(&server, &cache, "early", Contents::Base).unwrap();
    assert!(folder.starts_with(cache.path().join("models--early")));
}

#[test]
fn a_download_that_was_cut_goes_on_where_it_stopped() {
    let spoiled = vec![Spoiled::CutAfter(100_000), Spoiled::Status(503), Spoiled::CutAfter(50_000)];
    let server = serve(HubPlan { spoiled, ..HubPlan::default() });
    let cache = tempfile::tempdir().unwrap();
    let folder = get(&server, &cache, BASE, Contents::Base).unwrap();
    assert_eq!(fs::read(folder.join("model.safetensors")).unwrap(), weights());
    let ranges: Vec<_> = server.seen().into_iter().filter(|seen| seen.is_elsewhere).map(|seen| seen.range).collect();
    let [None, Some(first), Some(second), Some(third)] = ranges.as_slice() else { panic!("{ranges:?}") };
    let from = |range: &str| range["bytes=".len()..range.len() - 1].parse::<usize>().unwrap();
    // What was under way when the connection ended may be lost.
    assert!(from(first) <= 100_000 && first == second && from(third) >= from(second), "{ranges:?}");
}

#[test]
fn what_another_process_has_begun_is_gone_on_with() {
    let (server, cache) = (serve(HubPlan::default()), tempfile::tempdir().unwrap());
    let blobs = repository(&cache).join("blobs");
    fs::create_dir_all(&blobs).unwrap();
    let weights = weights();
    fs::write(blobs.join(format!("{}.incomplete", sha256(&weights))), &weights[..300_000]).unwrap();
    let folder = get(&server, &cache, BASE, Contents::Base).unwrap();
    assert_eq!(fs::read(folder.join("model.safetensors")).unwrap(), weights);
    let ranges: Vec<_> = server.seen().into_iter().filter(|seen| seen.is_elsewhere).map(|seen| seen.range).collect();
    assert_eq!(ranges, [Some("bytes=300000-".to_owned())]);
}

#[test]
fn a_server_without_ranges_gives_the_whole_file_again() {
    let spoiled = vec![Spoiled::CutAfter(100_000)];
    let server = serve(HubPlan { spoiled, without_ranges: true, ..HubPlan::default() });
    let cache = tempfile::tempdir().unwrap();
    let folder = get(&server, &cache, BASE, Contents::Base).unwrap();
    assert_eq!(fs::read(folder.join("model.safetensors")).unwrap(), weights());
}

#[test]
fn bytes_that_are_not_those_of_the_checksum_never_get_the_name_of_the_file() {
    let changed = vec![Spoiled::Changed; 5];
    let server = serve(HubPlan { spoiled: changed, ..HubPlan::default() });
    let cache = tempfile::tempdir().unwrap();
    let error = get(&server, &cache, BASE, Contents::Base).unwrap_err();
    assert!(error.contains("model.safetensors") && error.contains("is not what its checksum says"), "{error}");
    let snapshot = repository(&cache).join("snapshots").join(COMMIT);
    assert!(snapshot.join("config.json").is_file() && !snapshot.join("model.safetensors").exists());
    // The server gives the right ones now.
    get(&server, &cache, BASE, Contents::Base).unwrap();
    assert_eq!(fs::read(snapshot.join("model.safetensors")).unwrap(), weights());
}

#[test]
fn a_server_that_fails_again_and_again_is_given_up() {
    let server = serve(HubPlan { spoiled: vec![Spoiled::Status(500); 5], ..HubPlan::default() });
    let cache = tempfile::tempdir().unwrap();
    let error = get(&server, &cache, BASE, Contents::Base).unwrap_err();
    assert!(error.contains("(500)"), "{error}");
}

#[test]
fn the_token_is_for_the_hub_and_for_nobody_that_it_redirects_to() {
    let server = serve(HubPlan { token: Some("hf_secret"), ..HubPlan::default() });
    let (cache, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let error = get(&server, &cache, BASE, Contents::Base).unwrap_err();
    assert!(error.contains("accepted its terms there (401)") && error.contains("HF_TOKEN"), "{error}");
    let token_file = home.path().join("token");
    fs::write(&token_file, "hf_secret\n").unwrap();
    let options = HubOptions { token_file: Some(token_file), ..options(server.endpoint(), cache.path()) };
    Hub::new(options).folder(&id(BASE), Contents::Base).unwrap();
    let (elsewhere, own): (Vec<_>, Vec<_>) = server.seen().into_iter().skip(1).partition(|seen| seen.is_elsewhere);
    assert!(!elsewhere.is_empty() && elsewhere.iter().all(|seen| seen.authorization.is_none()));
    assert!(own.iter().all(|seen| seen.authorization.as_deref() == Some("Bearer hf_secret")));
    assert!(own.iter().any(|seen| seen.method == Method::HEAD));
}

#[test]
fn what_is_not_there_or_is_something_else_is_said() {
    let (server, cache) = (serve(HubPlan::default()), tempfile::tempdir().unwrap());
    let endpoint = server.endpoint();
    let error = |name, contents| get(&server, &cache, name, contents).unwrap_err();
    let absent = error("acme/absent", Contents::Base);
    assert_eq!(absent, format!("{endpoint} has no such model (404), check the name and HF_ENDPOINT"));
    let adapter = error(ADAPTER, Contents::Base);
    assert_eq!(adapter, format!("{ADAPTER} on {endpoint} has no config.json: it is an adapter, not a base"));
    let base = error(BASE, Contents::Adapter);
    assert_eq!(base, format!("{BASE} on {endpoint} has no adapter_config.json: it is a base, not an adapter"));
    let slow = error("acme/slow-tokenizer", Contents::Base);
    assert!(slow.contains("has no tokenizer.json: it can be made with transformers' AutoTokenizer"), "{slow}");
}

#[test]
fn where_the_network_is_forbidden_or_absent_the_error_says_what_to_do() {
    let cache = tempfile::tempdir().unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = options(format!("http://{nobody}"), cache.path());
    let error = Hub::new(options.clone()).folder(&id(BASE), Contents::Base).unwrap_err();
    assert!(
        error.contains(&format!("cannot connect to http://{nobody}")) && error.contains("HF_HUB_OFFLINE"),
        "{error}"
    );
    let offline = HubOptions { offline: Some("TRANSFORMERS_OFFLINE"), ..options };
    let error = Hub::new(offline).folder(&id(BASE), Contents::Base).unwrap_err();
    assert!(error.contains("TRANSFORMERS_OFFLINE forbids") && error.contains("hf download acme/tiny-bloom"), "{error}");
    let error = Hub::default().folder(&id(BASE), Contents::Base).unwrap_err();
    assert!(error.contains("set HF_HOME"), "{error}");
}

#[test]
fn a_cache_that_cannot_be_written_is_said() {
    let server = serve(HubPlan::default());
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Hub::new(options(server.endpoint(), &file)).folder(&id(BASE), Contents::Base).unwrap_err();
    assert!(error.contains("cannot write") && error.contains("set HF_HOME"), "{error}");
}

#[test]
fn those_who_want_a_model_at_once_download_it_once() {
    let (server, cache) = (serve(HubPlan::default()), tempfile::tempdir().unwrap());
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..3).map(|_| scope.spawn(|| get(&server, &cache, BASE, Contents::Base).unwrap())).collect();
        threads.into_iter().for_each(|thread| drop(thread.join().unwrap()));
    });
    assert_eq!(server.seen().iter().filter(|seen| seen.is_elsewhere).count(), 1);
}

#[test]
fn an_error_of_a_model_names_the_setting_the_folder_and_the_hub() {
    let (server, cache, place) =
        (serve(HubPlan::default()), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = Hub::new(options(server.endpoint(), cache.path()));
    let named = |name: &str| {
        let settings = Settings { pretrained_model_path: Some(name.to_owned()), ..Settings::default() };
        super::super::places::find(&place.path().join("model"), &settings, &hub)
    };
    let error = named("acme/absent").unwrap_err().to_string();
    let beside = place.path().join("acme/absent");
    let expected = format!(
        "pretrained_model_path is 'acme/absent', and no such model stands at {}; as a name on the hub: {} has no such model \
         (404), check the name and HF_ENDPOINT",
        beside.display(),
        server.endpoint()
    );
    assert_eq!(error, expected);
    let asked = server.seen().len();
    for path in ["/no/such", "./no/such", "../no", "a/b/c", "acme/with blank"] {
        let error = named(path).unwrap_err().to_string();
        assert!(error.contains("no such model stands at") && !error.contains("hub"), "{error}");
    }
    assert_eq!(server.seen().len(), asked, "paths are no names");
    assert_eq!(named(BASE).unwrap().adapter, None);
}

#[test]
fn a_base_that_an_adapter_names_is_fetched_at_the_revision_that_it_names() {
    let (server, cache, place) =
        (serve(HubPlan::default()), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let text = fs::read_to_string(folder("prompt-tuning").join("adapter_config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    config["base_model_name_or_path"] = BASE.into();
    config["revision"] = "refs/pr/1".into();
    fs::write(place.path().join("adapter_config.json"), config.to_string()).unwrap();
    let hub = Hub::new(options(server.endpoint(), cache.path()));
    let found = super::super::places::find(place.path(), &Settings::default(), &hub).unwrap();
    assert_eq!(found.base, repository(&cache).join("snapshots").join(COMMIT));
    assert!(server.seen().iter().any(|seen| seen.path.ends_with("/revision/refs%2Fpr%2F1")));
}

#[test]
fn the_environment_is_read_as_hugging_faces_libraries_read_it() {
    let of = |variables: &[(&str, &str)]| {
        HubOptions::of(|name| Some(variables.iter().find(|(own, _)| *own == name)?.1.to_owned()))
    };
    let none = of(&[]);
    assert_eq!((none.endpoint.as_str(), none.cache, none.offline), ("https://huggingface.co", None, None));
    let cache = |variables: &[(&str, &str)]| of(variables).cache.unwrap().to_str().unwrap().to_owned();
    assert_eq!(cache(&[("HOME", "/home/me")]), "/home/me/.cache/huggingface/hub");
    assert_eq!(cache(&[("HOME", "/home/me"), ("XDG_CACHE_HOME", "/cache")]), "/cache/huggingface/hub");
    assert_eq!(cache(&[("HOME", "/home/me"), ("HF_HOME", "/hf")]), "/hf/hub");
    assert_eq!(cache(&[("HF_HUB_CACHE", "/hub"), ("HF_HOME", "/hf")]), "/hub");
    let set = of(&[("HF_ENDPOINT", "https://mirror.example/hf/"), ("HF_TOKEN", " hf_x\n"), ("HF_HOME", "/hf")]);
    assert_eq!((set.endpoint.as_str(), set.token().as_deref()), ("https://mirror.example/hf", Some("hf_x")));
    assert_eq!(set.token_file, Some(PathBuf::from("/hf/token")));
    for name in ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"] {
        assert_eq!(of(&[(name, "1")]).offline, Some(name));
        assert_eq!(of(&[(name, "True")]).offline, Some(name));
        assert_eq!(of(&[(name, "0")]).offline, None);
        assert_eq!(of(&[(name, "")]).offline, None);
    }
}

#[test]
fn names_of_the_hub_are_told_from_paths() {
    let is_id = |text| Id::read(text).is_some();
    for text in [
        "bigscience/bloomz-560m",
        "gpt2",
        "a/b@main",
        "a/b@refs/pr/3",
        "aipipeline/bloomz-560m_PROMPT_TUNING_CAUSAL_LM",
    ] {
        assert!(is_id(text), "{text}");
    }
    for text in [
        "", "/", "a/b/c", "../a", "a/..", "./a", "/a/b", "a b/c", "a/b@", "a/b@../c", "a/b@/c", "a--b/c", "~/a",
        "a/b.", ".a",
    ] {
        assert!(!is_id(text), "{text}");
    }
}

#[test]
fn an_embedder_comes_with_its_modules_also_where_another_program_left_them_out() {
    let (server, cache) = (serve(HubPlan::default()), tempfile::tempdir().unwrap());
    let snapshot = get(&server, &cache, "acme/embedder", Contents::Base).unwrap();
    let own = files_below("../embeddings/distilbert");
    let places = own.iter().map(|path| path.strip_prefix(folder("../embeddings/distilbert")).unwrap());
    for place in places {
        assert!(snapshot.join(place).is_file(), "{}", place.display());
    }
    let load = |path: &Path| {
        let files = ModelFiles { path: path.to_owned(), ..ModelFiles::default() };
        LanguageFormat::default().load(&files).unwrap().metadata().outputs[0].shape.clone()
    };
    assert_eq!(load(&snapshot), [-1, 16]);

    // As transformers alone fetches it: without its modules it would be another model.
    fs::remove_file(snapshot.join("modules.json")).unwrap();
    let offline = HubOptions { offline: Some("HF_HUB_OFFLINE"), ..options(server.endpoint(), cache.path()) };
    assert_eq!(Hub::new(offline).folder(&id("acme/embedder"), Contents::Base).unwrap(), snapshot);
    assert_eq!(load(&snapshot), [-1, 32]);
    get(&server, &cache, "acme/embedder", Contents::Base).unwrap();
    assert_eq!(load(&snapshot), [-1, 16]);

    // One that has none is not asked about again.
    let plain = get(&server, &cache, "acme/plain", Contents::Base).unwrap();
    let asked = server.seen().len();
    assert_eq!(get(&server, &cache, "acme/plain", Contents::Base).unwrap(), plain);
    assert_eq!(server.seen().len(), asked);
}
