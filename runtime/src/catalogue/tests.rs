mod changes;

use super::*;
use crate::formats::LoadError;
use crate::formats::ModelFiles;
use crate::model::TensorSpec;
use crate::tensor::DataType;
use crate::testing::{Echo, RowSum};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// Serves files that end in `.echo` and say `echo`; panics on those that say `panic`.
struct EchoFormat;

impl Format for EchoFormat {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn recognises(&self, files: &ModelFiles) -> bool {
        files.format.as_deref() == Some("echo") || files.path.extension().is_some_and(|extension| extension == "echo")
    }

    fn load(&self, files: &ModelFiles) -> Result<Arc<dyn Model>, LoadError> {
        let read = |error: io::Error| LoadError::Read { path: files.path.clone(), reason: error.to_string() };
        match fs::read_to_string(&files.path).map_err(read)?.trim_end() {
            "echo" => Ok(Echo::model()),
            "panic" => panic!("this file makes the reader panic"),
            other => Err(LoadError::Malformed(format!("expected 'echo', got '{other}'"))),
        }
    }
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (path, text) in files {
        let path: PathBuf = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

async fn loaded(files: &[(&str, &str)]) -> Arc<Catalogue> {
    loaded_from(&folder(files)).await
}

async fn loaded_from(folder: &TempDir) -> Arc<Catalogue> {
    let catalogue = Arc::new(Catalogue::scan(folder.path(), vec![Arc::new(EchoFormat)]).unwrap());
    assert!(catalogue.listings().iter().all(|listing| !listing.is_ready()));
    catalogue.load_all().await;
    assert!(catalogue.is_settled());
    catalogue
}

async fn served(catalogue: &Catalogue, name: &str, version: Option<&str>) -> String {
    match catalogue.find(name, version).await {
        Ok(loaded) => loaded.served().to_str().unwrap().to_owned(),
        Err(error) => format!("{:?}: {}", error.kind(), error.message()),
    }
}

/// Of `echo`: the first 12 digits of its SHA-256.
const DIGEST: &str = "092c79e8f80e";

#[tokio::test]
async fn a_file_is_a_model_of_its_own_name() {
    let catalogue = loaded(&[("digits.echo", "echo"), ("README.md", "text"), (".hidden.echo", "echo")]).await;
    assert_eq!(catalogue.names(), ["digits"]);
    assert_eq!(served(&catalogue, "digits", None).await, format!("digits/-@{DIGEST}"));
    assert_eq!(catalogue.find("digits", None).await.unwrap().digest(), DIGEST);
    assert_eq!(catalogue.available_versions("digits"), [""; 0]);
}

#[tokio::test]
async fn a_folder_is_a_model_with_its_well_known_or_only_file() {
    let files = [("a/model.echo", "echo"), ("a/other.echo", "echo"), ("b/only.echo", "echo"), ("b/notes.txt", "")];
    let catalogue = loaded(&files).await;
    assert_eq!(served(&catalogue, "a", None).await, format!("a/-@{DIGEST}"));
    assert_eq!(served(&catalogue, "b", None).await, format!("b/-@{DIGEST}"));
}

#[tokio::test]
async fn a_folder_without_a_choice_says_what_is_missing() {
    let catalogue = loaded(&[("none/notes.txt", ""), ("two/a.echo", "echo"), ("two/b.echo", "echo")]).await;
    let none = served(&catalogue, "none", None).await;
    assert!(none.contains("; it has notes.txt"), "{none}");
    assert!(none.starts_with("Exhausted: model 'none' failed to load: no model file in "), "{none}");
    let two = served(&catalogue, "two", None).await;
    assert!(two.contains("has 2 model files, expected one"), "{two}");
}

#[tokio::test]
async fn version_folders_are_versions_and_the_highest_number_is_the_default() {
    let files = [
        ("m/9/model.echo", "echo"),
        ("m/10/model.echo", "echo"),
        ("m/v0.1.0/model.echo", "echo"),
        ("m/assets/labels.txt", ""),
        ("m/config.pbtxt", ""),
    ];
    let catalogue = loaded(&files).await;
    assert_eq!(catalogue.available_versions("m"), ["v0.1.0", "9", "10"]);
    assert_eq!(served(&catalogue, "m", None).await, format!("m/10@{DIGEST}"));
    assert_eq!(served(&catalogue, "m", Some("v0.1.0")).await, format!("m/v0.1.0@{DIGEST}"));
    assert_eq!(
        served(&catalogue, "m", Some("8")).await,
        "NotFound: unknown version '8' of model 'm', known: v0.1.0, 9, 10"
    );
}

#[tokio::test]
async fn a_broken_highest_version_leaves_the_next_one_serving() {
    let catalogue = loaded(&[("m/1/model.echo", "echo"), ("m/2/model.echo", "rubbish"), ("m/3/empty.txt", "")]).await;
    assert_eq!(served(&catalogue, "m", None).await, format!("m/1@{DIGEST}"));
    assert_eq!(
        served(&catalogue, "m", Some("2")).await,
        "Exhausted: model 'm' version '2' failed to load: expected 'echo', got 'rubbish' (tried again in 1 s)"
    );
    assert!(served(&catalogue, "m", Some("3")).await.contains("no model file in"));
}

#[tokio::test]
async fn a_broken_model_keeps_its_reason_and_the_others_serve() {
    let catalogue = loaded(&[("bad.echo", "rubbish"), ("good.echo", "echo"), ("worse.echo", "panic")]).await;
    assert_eq!(
        served(&catalogue, "bad", None).await,
        "Exhausted: model 'bad' failed to load: expected 'echo', got 'rubbish' (tried again in 1 s)"
    );
    assert!(served(&catalogue, "worse", None).await.contains("the reader stopped"));
    assert_eq!(served(&catalogue, "good", None).await, format!("good/-@{DIGEST}"));
    let states: Vec<_> = catalogue.listings().iter().map(|listing| listing.state_and_reason().0).collect();
    assert_eq!(states, ["UNAVAILABLE", "READY", "UNAVAILABLE"]);
}

#[tokio::test]
async fn files_that_are_not_what_their_names_say_do_not_keep_others_from_serving() {
    let folder = folder(&[("good.echo", "echo"), ("noise.joblib", "\u{7f}noise"), ("empty.pkl", "")]);
    let mut formats = crate::formats::builtin(crate::DeviceChoice::On(crate::Device::Cpu)).unwrap();
    formats.push(Arc::new(EchoFormat));
    let catalogue = Arc::new(Catalogue::scan(folder.path(), formats).unwrap());
    catalogue.load_all().await;
    let ready: Vec<_> =
        catalogue.listings().into_iter().filter(Listing::is_ready).map(|listing| listing.name).collect();
    assert_eq!(ready, ["good"]);
    for name in ["noise", "empty"] {
        let refused = served(&catalogue, name, None).await;
        assert!(refused.starts_with(&format!("Exhausted: model '{name}' failed to load: ")), "{refused}");
    }
}

#[tokio::test]
async fn mlservers_settings_name_the_model_its_version_and_its_file() {
    let settings = r#"{"name": "mnist", "implementation": "mlserver_echo.EchoModel", "max_batch_size": 3,
                       "parameters": {"uri": "./files/weights.bin", "version": "v1.2.3"}}"#;
    let catalogue = loaded(&[("x/model-settings.json", settings), ("x/files/weights.bin", "echo")]).await;
    assert_eq!(served(&catalogue, "mnist", None).await, format!("mnist/v1.2.3@{DIGEST}"));
    assert_eq!(catalogue.names(), ["mnist"]);
}

#[tokio::test]
async fn a_folder_beside_settings_holds_files_and_is_no_version() {
    let into_it = r#"{"parameters": {"uri": "./digits"}}"#;
    let of_another_kind = r#"{"implementation": "mlserver_xgboost.XGBoostModel", "parameters": {"uri": "./digits"}}"#;
    let versioned = r#"{"parameters": {"version": "v2"}}"#;
    let catalogue = loaded(&[
        ("a/model-settings.json", into_it),
        ("a/digits/model.echo", "echo"),
        ("b/model-settings.json", of_another_kind),
        ("b/digits/model.echo", "echo"),
        ("c/model-settings.json", versioned),
        ("c/model.echo", "echo"),
        ("c/v1/model-settings.json", "{}"),
        ("c/v1/model.echo", "echo"),
    ])
    .await;
    assert_eq!(served(&catalogue, "a", None).await, format!("a/-@{DIGEST}"));
    assert!(served(&catalogue, "b", None).await.contains("'mlserver_xgboost.XGBoostModel' needs the format"));
    assert_eq!(catalogue.available_versions("c"), ["v1", "v2"]);
}

#[tokio::test]
async fn settings_that_lead_nowhere_say_so() {
    let elsewhere = r#"{"parameters": {"uri": "gone.echo"}}"#;
    let foreign = r#"{"implementation": "mlserver_xgboost.XGBoostModel", "parameters": {"uri": "m.bst"}}"#;
    let catalogue = loaded(&[
        ("a/model-settings.json", "{"),
        ("b/model-settings.json", elsewhere),
        ("c/model-settings.json", foreign),
        ("c/m.bst", ""),
        ("d/model-settings.json", "{}"),
    ])
    .await;
    assert!(served(&catalogue, "a", None).await.contains("model-settings.json: EOF"));
    assert!(served(&catalogue, "b", None).await.contains("gone.echo: No such file"));
    let foreign = served(&catalogue, "c", None).await;
    let part = "implementation 'mlserver_xgboost.XGBoostModel' needs the format 'xgboost', this server has: 'echo'";
    assert!(foreign.contains(part), "{foreign}");
    assert!(served(&catalogue, "d", None).await.contains("no model file in"));
}

#[tokio::test]
async fn an_implementation_of_pythons_is_refused_by_its_name() {
    let settings = r#"{"implementation": "my_models.Forest", "parameters": {"uri": "m.echo"}}"#;
    let catalogue = loaded(&[("m/model-settings.json", settings), ("m/m.echo", "echo")]).await;
    let refused = served(&catalogue, "m", None).await;
    assert!(
        refused.contains("implementation 'my_models.Forest' is Python, which this server does not run"),
        "{refused}"
    );
}

#[tokio::test]
async fn settings_without_an_implementation_have_the_default_one() {
    let without = r#"{"parameters": {"uri": "m.bin"}}"#;
    let with = r#"{"implementation": "mlserver_echo.EchoModel", "parameters": {"uri": "m.bin"}}"#;
    let folder = folder(&[
        ("without/model-settings.json", without),
        ("without/m.bin", "echo"),
        ("with/model-settings.json", with),
        ("with/m.bin", "echo"),
        ("bare.echo", "echo"),
    ]);
    let with_default = |implementation: &str| {
        let default_implementation = Some(implementation.to_owned());
        let options = ResidencyOptions { default_implementation, ..ResidencyOptions::default() };
        Catalogue::open(folder.path(), vec![Arc::new(EchoFormat)], options).unwrap()
    };
    let catalogue = with_default("mlserver_echo.EchoModel");
    assert_eq!(served(&catalogue, "without", None).await, format!("without/-@{DIGEST}"));
    let catalogue = with_default("mlserver_huggingface.HuggingFaceRuntime");
    let refused = served(&catalogue, "without", None).await;
    assert!(refused.contains("implementation 'mlserver_huggingface.HuggingFaceRuntime' needs the format"), "{refused}");
    for own in ["with", "bare"] {
        assert_eq!(served(&catalogue, own, None).await, format!("{own}/-@{DIGEST}"));
    }
}

#[tokio::test]
async fn metadata_shows_the_inputs_and_outputs_that_settings_declare() {
    let settings = r#"{"parameters": {"uri": "m.echo"},
        "inputs": [{"name": "words", "datatype": "STRING", "shape": [-1, 2]}],
        "outputs": [{"name": "odd", "datatype": "COMPLEX", "shape": [1]}]}"#;
    let catalogue = loaded(&[("m/model-settings.json", settings), ("m/m.echo", "echo")]).await;
    let loaded = catalogue.find("m", None).await.unwrap();
    let metadata = loaded.metadata();
    let words = TensorSpec { name: "words".to_owned(), datatype: DataType::Bytes, shape: vec![-1, 2] };
    assert_eq!(metadata.inputs, [words]);
    assert_eq!(metadata.outputs, loaded.model().metadata().outputs, "what is not understood is not shown");
    assert_eq!(metadata.platform, loaded.model().metadata().platform);
}

#[tokio::test]
async fn a_folder_with_settings_of_its_own_is_that_model() {
    let settings = r#"{"name": "mnist", "parameters": {"uri": "./weights/w.echo"}}"#;
    let files = [
        ("model-settings.json", settings),
        ("weights/w.echo", "echo"),
        ("notes.echo", "rubbish"),
        ("other/model-settings.json", r#"{"parameters": {"uri": "./o.echo"}}"#),
        ("other/o.echo", "echo"),
    ];
    let catalogue = loaded(&files).await;
    assert_eq!(catalogue.names(), ["mnist", "other"]);
    assert_eq!(served(&catalogue, "mnist", None).await, format!("mnist/-@{DIGEST}"));
    let unnamed = folder(&[("digits/model-settings.json", "{}"), ("digits/model.echo", "echo")]);
    let formats: Vec<Arc<dyn Format>> = vec![Arc::new(EchoFormat)];
    let catalogue = Catalogue::scan(&unnamed.path().join("digits"), formats).unwrap();
    assert_eq!(catalogue.names(), ["digits"]);
}

#[tokio::test]
async fn a_name_that_stands_twice_serves_its_first_entry() {
    let catalogue = loaded(&[("m/model.echo", "echo"), ("m.echo", "rubbish")]).await;
    assert_eq!(served(&catalogue, "m", None).await, format!("m/-@{DIGEST}"));
}

#[tokio::test]
async fn an_unknown_name_is_answered_with_the_nearest_ones() {
    let models = |names: &[&str]| Catalogue::of(names.iter().map(|&name| (name, None, RowSum::model())));
    assert_eq!(
        served(&models(&["sklearn-mnist", "echo"]), "sklearn-minst", None).await,
        "NotFound: unknown model 'sklearn-minst', known: sklearn-mnist, echo"
    );
    let many: Vec<_> = (0..1000).map(|number| format!("model-{number:03}")).collect();
    let many = Catalogue::of(many.into_iter().map(|name| (name, None, RowSum::model())));
    let text = served(&many, "model-0500", None).await;
    assert!(text.starts_with("NotFound: unknown model 'model-0500', 1000 known, nearest: model-050"), "{text}");
    assert_eq!(served(&models(&[]), "m", None).await, "NotFound: unknown model 'm', this server has none");
    assert_eq!(served(&models(&["m"]), "", None).await, "NotFound: the request names no model");
}

#[tokio::test]
async fn a_version_asked_of_a_model_without_versions_is_unknown() {
    let catalogue = Catalogue::of([("m", None, RowSum::model())]);
    assert_eq!(
        served(&catalogue, "m", Some("1")).await,
        "NotFound: unknown version '1' of model 'm', which has no versions"
    );
}

#[tokio::test]
async fn names_that_a_header_cannot_carry_are_percent_encoded() {
    let catalogue = Catalogue::of([("tenant a/ä%", None, RowSum::model())]);
    assert_eq!(served(&catalogue, "tenant a/ä%", None).await, "tenant%20a/%C3%A4%25/-@-");
}

#[test]
fn versions_are_ordered_as_people_read_them() {
    let sorted = ["", "beta", "v0.9.0", "v0.10.0", "v1", "0", "01", "1", "2", "10", "99999999999999999999999"];
    let mut versions: Vec<_> = sorted.iter().rev().map(|text| Version::from((*text).to_owned())).collect();
    versions.sort();
    let texts: Vec<_> = versions.iter().map(Version::as_str).collect();
    assert_eq!(texts, sorted);
}

#[test]
fn a_folder_that_cannot_be_read_is_an_error() {
    assert!(Catalogue::scan(Path::new("/nowhere/at/all"), Vec::new()).is_err());
}
