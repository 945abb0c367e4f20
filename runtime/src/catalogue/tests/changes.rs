//! Storage that changes while it is served, and commands.

use super::*;
use crate::residency::{Mode, ResidencyOptions};
use crate::testing::until;
use std::time::Duration;

/// The digest of `echo\n`, `echo` and of nothing else here.
const DIGEST_WITH_NEWLINE: &str = "86b0c5a1e2b7";

struct Storage {
    folder: TempDir,
    catalogue: Arc<Catalogue>,
}

fn storage(files: &[(&str, &str)], mode: Mode) -> Storage {
    let folder = folder(files);
    let options = ResidencyOptions { mode, memory: 1 << 20, poll_interval: None, ..ResidencyOptions::default() };
    let catalogue = Arc::new(Catalogue::open(folder.path(), vec![Arc::new(EchoFormat)], options).unwrap());
    Storage { folder, catalogue }
}

impl Storage {
    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Another file, as those who replace files write them.
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    /// Two looks, which is what a change takes.
    async fn poll_twice(&self) {
        self.catalogue.poll().await;
        self.catalogue.poll().await;
    }

    async fn served(&self, name: &str, version: Option<&str>) -> String {
        served(&self.catalogue, name, version).await
    }

    fn state(&self, name: &str) -> State {
        self.catalogue.listings().into_iter().find(|listing| listing.name == name).unwrap().state
    }
}

#[tokio::test]
async fn nothing_is_loaded_before_it_is_asked_for() {
    let storage = storage(&[("m.echo", "echo"), ("n.echo", "echo")], Mode::OnDemand);
    assert!(storage.catalogue.is_settled());
    assert!(storage.catalogue.check("m", None).is_ok());
    assert_eq!(storage.state("m"), State::Unloaded);
    assert_eq!(storage.served("m", None).await, format!("m/-@{DIGEST}"));
    assert_eq!(storage.state("m"), State::Ready { size_bytes: 11 });
    assert_eq!(storage.state("n"), State::Unloaded);
    assert_eq!(storage.catalogue.resident_bytes(), 11);
}

#[tokio::test]
async fn a_changed_file_takes_the_place_of_the_old_one_once_it_is_stable_and_loaded() {
    let storage = storage(&[("m.echo", "echo")], Mode::OnDemand);
    storage.poll_twice().await;
    let held = storage.catalogue.find("m", None).await.unwrap();
    storage.write("m.echo", "echo\n");
    storage.catalogue.poll().await;
    assert_eq!(storage.served("m", None).await, format!("m/-@{DIGEST}"));
    storage.catalogue.poll().await;
    until(async || storage.served("m", None).await == format!("m/-@{DIGEST_WITH_NEWLINE}")).await;
    // The old one is kept by its request, and counted.
    assert_eq!(storage.catalogue.resident_bytes(), 22);
    drop(held);
    assert_eq!(storage.catalogue.resident_bytes(), 11);
}

#[tokio::test]
async fn a_file_that_is_not_in_memory_is_simply_the_new_one() {
    let storage = storage(&[("m.echo", "rubbish")], Mode::OnDemand);
    storage.poll_twice().await;
    assert!(storage.served("m", None).await.contains("got 'rubbish'"));
    storage.write("m.echo", "echo");
    storage.poll_twice().await;
    // The failure was the old file's.
    assert_eq!(storage.served("m", None).await, format!("m/-@{DIGEST}"));
}

#[tokio::test]
async fn a_changed_file_that_cannot_be_loaded_leaves_the_old_one_serving() {
    let storage = storage(&[("m.echo", "echo")], Mode::OnDemand);
    storage.poll_twice().await;
    storage.served("m", None).await;
    storage.write("m.echo", "rubbish");
    storage.poll_twice().await;
    let entry = storage.catalogue.shelf("m").unwrap().newest().unwrap().clone();
    let residency = &storage.catalogue.residency;
    until(async || matches!(residency.state(&entry.next().unwrap()), State::Failed { .. })).await;
    assert_eq!(storage.served("m", None).await, format!("m/-@{DIGEST}"));
    storage.write("m.echo", "echo\n");
    storage.poll_twice().await;
    until(async || storage.served("m", None).await == format!("m/-@{DIGEST_WITH_NEWLINE}")).await;
}

#[tokio::test]
async fn a_new_version_answers_once_it_is_loaded_and_a_removed_one_no_longer() {
    let storage = storage(&[("m/1/model.echo", "echo")], Mode::OnDemand);
    storage.poll_twice().await;
    assert_eq!(storage.served("m", None).await, format!("m/1@{DIGEST}"));
    storage.write("m/2/model.echo", "echo");
    storage.catalogue.poll().await;
    assert!(storage.served("m", Some("2")).await.starts_with("NotFound"));
    storage.catalogue.poll().await;
    until(async || storage.served("m", None).await == format!("m/2@{DIGEST}")).await;
    assert_eq!(storage.served("m", Some("1")).await, format!("m/1@{DIGEST}"));
    storage.write("m/3/model.echo", "rubbish");
    storage.poll_twice().await;
    assert_eq!(storage.served("m", None).await, format!("m/2@{DIGEST}"));

    fs::remove_dir_all(storage.folder.path().join("m/1")).unwrap();
    fs::remove_dir_all(storage.folder.path().join("m/2")).unwrap();
    fs::remove_dir_all(storage.folder.path().join("m/3")).unwrap();
    storage.write("m/4/model.echo", "echo\n");
    storage.poll_twice().await;
    assert_eq!(storage.catalogue.listings().len(), 1);
    assert_eq!(storage.served("m", None).await, format!("m/4@{DIGEST_WITH_NEWLINE}"));
    fs::remove_dir_all(storage.folder.path().join("m")).unwrap();
    storage.catalogue.poll().await;
    assert_eq!(storage.catalogue.names(), ["m"]);
    storage.catalogue.poll().await;
    assert_eq!(storage.served("m", None).await, "NotFound: unknown model 'm', this server has none");
    assert_eq!(storage.catalogue.resident_bytes(), 0);
}

#[tokio::test]
async fn a_folder_that_cannot_be_read_changes_nothing() {
    let storage = storage(&[("m.echo", "echo")], Mode::OnDemand);
    storage.poll_twice().await;
    fs::rename(storage.folder.path(), storage.folder.path().with_extension("away")).unwrap();
    storage.poll_twice().await;
    storage.poll_twice().await;
    assert_eq!(storage.catalogue.names(), ["m"]);
    fs::rename(storage.folder.path().with_extension("away"), storage.folder.path()).unwrap();
}

#[tokio::test]
async fn the_watch_finds_changes_by_itself() {
    let folder = folder(&[]);
    let options = ResidencyOptions { poll_interval: Some(Duration::from_millis(1)), ..ResidencyOptions::default() };
    let catalogue = Arc::new(Catalogue::open(folder.path(), vec![Arc::new(EchoFormat)], options).unwrap());
    let watching = tokio::spawn(catalogue.clone().watch());
    fs::write(folder.path().join("m.echo"), "echo").unwrap();
    until(async || served(&catalogue, "m", None).await == format!("m/-@{DIGEST}")).await;
    watching.abort();
}

#[tokio::test]
async fn in_the_explicit_mode_models_come_and_go_by_command_only() {
    let storage = storage(&[("m/1/model.echo", "echo"), ("m/2/model.echo", "echo")], Mode::Explicit);
    assert_eq!(
        storage.served("m", None).await,
        "NotFound: model 'm' version '2' is not loaded, POST /v2/repository/models/m/load loads it"
    );
    assert_eq!(storage.catalogue.check("m", None).unwrap_err().kind(), ErrorKind::Unavailable);
    storage.catalogue.load("m", None).await.unwrap();
    assert_eq!(storage.served("m", None).await, format!("m/2@{DIGEST}"));
    assert!(storage.served("m", Some("1")).await.starts_with("NotFound: model 'm' version '1' is not loaded"));
    assert_eq!(storage.catalogue.available_versions("m"), ["2"]);
    // What is in memory stays, whatever becomes of the files.
    storage.write("m/2/model.echo", "echo\n");
    fs::remove_dir_all(storage.folder.path().join("m/1")).unwrap();
    storage.poll_twice().await;
    assert_eq!(storage.served("m", None).await, format!("m/2@{DIGEST}"));
    // Until a command says otherwise.
    storage.catalogue.load("m", None).await.unwrap();
    assert_eq!(storage.served("m", None).await, format!("m/2@{DIGEST_WITH_NEWLINE}"));
    fs::remove_dir_all(storage.folder.path().join("m")).unwrap();
    storage.poll_twice().await;
    assert_eq!(storage.served("m", None).await, format!("m/2@{DIGEST_WITH_NEWLINE}"));
    storage.catalogue.unload("m").await.unwrap();
    assert_eq!(storage.catalogue.resident_bytes(), 0);
    assert_eq!(storage.catalogue.load("m", None).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn in_the_explicit_mode_a_request_does_not_try_again_what_failed() {
    let storage = storage(&[("m.echo", "rubbish")], Mode::Explicit);
    storage.catalogue.load("m", None).await.unwrap_err();
    storage.write("m.echo", "echo");
    let Err(refused) = storage.catalogue.find("m", None).await else { panic!("nobody has loaded it") };
    assert_eq!(refused.refusal(), Some(Refusal::LoadFailed), "{refused}");
    assert!(refused.message().contains("POST /v2/repository/models/m/load"), "{refused}");
    storage.catalogue.load("m", None).await.unwrap();
    assert_eq!(storage.served("m", None).await, format!("m/-@{DIGEST}"));
}

#[tokio::test]
async fn in_the_explicit_mode_the_folder_may_come_and_go() {
    let parent = TempDir::new().unwrap();
    let folder = parent.path().join("_mlserver_models");
    let options = ResidencyOptions { mode: Mode::Explicit, poll_interval: None, ..ResidencyOptions::default() };
    let catalogue = Catalogue::open(&folder, vec![Arc::new(EchoFormat)], options).unwrap();
    assert_eq!(catalogue.load("m", None).await.unwrap_err().kind(), ErrorKind::NotFound);
    fs::create_dir_all(folder.join("m")).unwrap();
    fs::write(folder.join("m/model.echo"), "echo").unwrap();
    catalogue.load("m", None).await.unwrap();
    fs::remove_dir_all(&folder).unwrap();
    catalogue.poll().await;
    catalogue.poll().await;
    assert_eq!(served(&catalogue, "m", None).await, format!("m/-@{DIGEST}"));
    catalogue.unload("m").await.unwrap();
    catalogue.poll().await;
    catalogue.poll().await;
    assert_eq!(catalogue.names(), [""; 0]);
}

#[tokio::test]
async fn a_load_takes_what_stands_in_storage_at_that_moment() {
    let storage = storage(&[], Mode::Explicit);
    storage.write("m/model-settings.json", r#"{"name": "m", "parameters": {"uri": "w.echo"}}"#);
    storage.write("m/w.echo", "echo");
    storage.catalogue.load("m", None).await.unwrap();
    assert_eq!(storage.served("m", None).await, format!("m/-@{DIGEST}"));
    let error = storage.catalogue.load("n", None).await.unwrap_err();
    assert_eq!(error.message(), "unknown model 'n', known: m");
    storage.write("bad.echo", "rubbish");
    let error = storage.catalogue.load("bad", None).await.unwrap_err();
    assert_eq!((error.kind(), error.refusal()), (ErrorKind::InvalidArgument, None));
    // A command tries at once what failed a moment ago.
    storage.write("bad.echo", "echo");
    storage.catalogue.load("bad", None).await.unwrap();
}

#[tokio::test]
async fn a_load_on_demand_takes_changed_files_too_and_pins() {
    let storage = storage(&[("m.echo", "echo")], Mode::OnDemand);
    storage.served("m", None).await;
    storage.write("m.echo", "echo\n");
    storage.catalogue.load("m", Some(true)).await.unwrap();
    assert_eq!(storage.served("m", None).await, format!("m/-@{DIGEST_WITH_NEWLINE}"));
    assert!(storage.catalogue.shelf("m").unwrap().newest().unwrap().slot().is_pinned());
    storage.catalogue.unload("m").await.unwrap();
    assert_eq!(storage.state("m"), State::Unloaded);
    assert!(!storage.catalogue.shelf("m").unwrap().newest().unwrap().slot().is_pinned());
    assert_eq!(storage.served("m", None).await, format!("m/-@{DIGEST_WITH_NEWLINE}"));
}

#[tokio::test]
async fn tritons_configuration_says_name_versions_and_rows() {
    let config = "name: \"triton\"\nmax_batch_size: 2\nversion_policy: { specific: { versions: [1, 3] } }\n";
    let files = [
        ("m/config.pbtxt", config),
        ("m/1/model.echo", "echo"),
        ("m/2/model.echo", "echo"),
        ("m/3/model.echo", "echo"),
    ];
    let storage = storage(&files, Mode::Explicit);
    assert_eq!(storage.catalogue.names(), ["triton"]);
    storage.catalogue.load("triton", None).await.unwrap();
    assert_eq!(storage.catalogue.available_versions("triton"), ["1", "3"]);
    assert_eq!(storage.catalogue.find("triton", None).await.unwrap().max_batch_size(), Some(2));
    storage.write("m/config.pbtxt", "version_policy: {");
    storage.catalogue.unload("triton").await.unwrap();
    storage.poll_twice().await;
    let error = storage.catalogue.load("m", None).await.unwrap_err();
    assert!(error.message().contains("config.pbtxt: line 1: expected '}'"), "{}", error.message());
}

#[tokio::test]
async fn pinned_models_and_preloads_are_in_memory_when_the_server_says_that_it_is_ready() {
    let folder = folder(&[("a.echo", "echo"), ("b.echo", "echo"), ("c.echo", "echo")]);
    let options = ResidencyOptions {
        memory: 25,
        loads_at_once: 1,
        pinned: vec!["b".to_owned()],
        poll_interval: None,
        ..ResidencyOptions::default()
    };
    let in_memory = |catalogue: &Catalogue| {
        let ready = catalogue.listings().into_iter().filter(Listing::is_ready);
        ready.map(|listing| listing.name).collect::<Vec<_>>()
    };
    let catalogue = Catalogue::open(folder.path(), vec![Arc::new(EchoFormat)], options.clone()).unwrap();
    assert!(!catalogue.is_settled());
    catalogue.load_at_start().await;
    assert!(catalogue.is_settled());
    assert_eq!(in_memory(&catalogue), ["b"]);
    let options = ResidencyOptions { preload: true, ..options };
    let catalogue = Catalogue::open(folder.path(), vec![Arc::new(EchoFormat)], options).unwrap();
    catalogue.load_at_start().await;
    // As many as there is room for, without evicting one for another.
    assert_eq!(in_memory(&catalogue), ["a", "b"]);
    assert_eq!(catalogue.resident_bytes(), 22);
}

#[tokio::test]
async fn what_a_command_has_found_leaves_after_two_looks_as_everything_does() {
    let storage = storage(&[("m.echo", "echo")], Mode::OnDemand);
    storage.poll_twice().await;
    storage.write("n.echo", "echo");
    storage.catalogue.load("n", None).await.unwrap();
    storage.catalogue.poll().await;
    fs::remove_file(storage.folder.path().join("n.echo")).unwrap();
    storage.catalogue.poll().await;
    assert_eq!(storage.catalogue.names(), ["m", "n"]);
    storage.catalogue.poll().await;
    assert_eq!(storage.catalogue.names(), ["m"]);
}

#[tokio::test]
async fn a_folder_in_a_models_own_folder_is_no_model_for_a_command_either() {
    let settings = r#"{"name": "m", "implementation": "echo", "parameters": {"uri": "./w.echo"}}"#;
    let storage =
        storage(&[("model-settings.json", settings), ("w.echo", "echo"), ("parts/p.echo", "echo")], Mode::OnDemand);
    assert_eq!(storage.catalogue.load("parts", None).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(storage.catalogue.names(), ["m"]);
}
