//! A bucket as a models folder.

use super::*;
use crate::testing::until;
use crate::{Listing, Refusal};

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_read_as_a_folder_is_and_nothing_is_downloaded_before_it_is_asked_for() {
    let world = World::start().await;
    let settings = r#"{"name": "fraud", "implementation": "mlserver_text.Text", "parameters": {"uri": "./f/fraud.bin", "version": "v2"}}"#;
    for (key, text) in [
        ("iris.text", "iris"),
        ("README.md", "no model"),
        (".hidden.text", "hidden"),
        ("mnist/model.text", "mnist!"),
        ("mnist/other.text", "other"),
        ("x/model-settings.json", settings),
        ("x/f/fraud.bin", "fraud22"),
        ("churn/1/model.text", "1"),
        ("churn/2/model.text", "22"),
        ("churn/3/model.text", "333"),
        ("churn/config.pbtxt", "max_batch_size: 4 version_policy: { specific: { versions: [1, 2] } }"),
        ("whole/text.json", "{}"),
        ("whole/parts/a.bin", "aa"),
        ("whole/parts/b.bin", "bbb"),
    ] {
        world.server.put(key, text);
    }
    let catalogue = world.catalogue().await;
    assert_eq!(catalogue.names(), ["churn", "fraud", "iris", "mnist", "whole"]);
    assert!(catalogue.listings().iter().all(|listing| !listing.is_ready()));
    for file in [".text", ".bin"] {
        assert!(world.proxy.seen(file).is_empty());
    }
    assert_eq!(asked(&catalogue, "iris").await, "4");
    assert_eq!(asked(&catalogue, "mnist").await, "6");
    assert_eq!(asked_version(&catalogue, "fraud", Some("v2")).await, "7");
    assert_eq!(asked(&catalogue, "churn").await, "2");
    assert_eq!(asked_version(&catalogue, "churn", Some("1")).await, "1");
    assert!(asked_version(&catalogue, "churn", Some("3")).await.contains("known: 1, 2"));
    assert_eq!(catalogue.find("churn", None).await.unwrap().max_batch_size(), Some(4));
    // A model of several files.
    assert_eq!(asked(&catalogue, "whole").await, "7");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_is_a_folder_or_one_file_and_the_bucket_may_be_the_keys() {
    let world = World::start().await;
    world.server.put("a/b/m.text", "m");
    world.server.put("a/bc/n.text", "n");
    for (place, names) in [
        ("s3://models/a/b", &["m"][..]),
        ("s3://models/a/b/", &["m"]),
        ("s3:///a/bc", &["n"]),
        ("s3://models/a/b/m.text", &["m"]),
        ("s3://models/a/nothing", &[]),
    ] {
        let catalogue = world.open(place).await.unwrap();
        assert_eq!(catalogue.names(), names, "{place}");
        for name in names {
            assert_eq!(asked(&catalogue, name).await, "1", "{place}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_found_by_etags_and_count_when_they_are_the_same_in_two_looks() {
    let world = World::start().await;
    world.server.put("m.text", "old");
    world.server.put("gone.text", "gone");
    let catalogue = world.catalogue().await;
    assert_eq!(asked(&catalogue, "m").await, "3");
    assert!(!catalogue.poll().await);
    world.server.put("m.text", "newer");
    world.server.put("n.text", "n");
    world.server.delete("gone.text");
    assert!(catalogue.poll().await);
    assert_eq!(catalogue.names(), ["gone", "m"]);
    assert_eq!(asked(&catalogue, "m").await, "3");
    assert!(!catalogue.poll().await);
    assert_eq!(catalogue.names(), ["m", "n"]);
    until(async || asked(&catalogue, "m").await == "5").await;
    // The same bytes again are no change.
    world.server.put("m.text", "newer");
    assert!(!catalogue.poll().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_takes_what_stands_in_the_bucket_now() {
    let world = World::start().await;
    let catalogue = world.catalogue().await;
    world.server.put("m/1/model.text", "1");
    world.server.put("file.text", "file");
    catalogue.load("m", None).await.unwrap();
    catalogue.load("file", None).await.unwrap();
    assert_eq!(asked(&catalogue, "m").await, "1");
    assert_eq!(asked(&catalogue, "file").await, "4");
    assert_eq!(catalogue.load("none", None).await.unwrap_err().kind(), crate::ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_wait_for_a_model_wait_for_one_download() {
    let world = World::start().await;
    world.server.put("m.text", bytes(100_000, 0));
    let catalogue = world.catalogue().await;
    let asking: Vec<_> = (0..20)
        .map(|_| {
            let catalogue = catalogue.clone();
            tokio::spawn(async move { asked(&catalogue, "m").await })
        })
        .collect();
    for answer in asking {
        assert_eq!(answer.await.unwrap(), "100000");
    }
    assert_eq!(world.proxy.seen("/m.text").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_broken_is_told_as_one_in_a_folder_is() {
    let world = World::start().await;
    world.server.put("m.text", "broken");
    world.server.put("n/notes.txt", "");
    let catalogue = world.catalogue().await;
    let error = catalogue.find("m", None).await.map(drop).unwrap_err();
    assert_eq!(error.refusal(), Some(Refusal::LoadFailed));
    assert!(error.message().ends_with("it says that it is broken"), "{error}");
    assert!(asked(&catalogue, "n").await.contains("no model file in s3://models/n, expected"));
    let states: Vec<_> = catalogue.listings().iter().map(Listing::is_ready).collect();
    assert_eq!(states, [false, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_may_be_one_model_with_settings_of_its_own() {
    let world = World::start().await;
    let settings =
        r#"{"name": "f", "implementation": "mlserver_text.Text", "parameters": {"uri": "./w.bin", "version": "v2"}}"#;
    for (key, text) in
        [("fraud/model-settings.json", settings), ("fraud/w.bin", "12345"), ("fraud/parts/model.text", "part")]
    {
        world.server.put(key, text);
    }
    let catalogue = world.open("s3://models/fraud").await.unwrap();
    assert_eq!(catalogue.names(), ["f"]);
    assert_eq!(asked_version(&catalogue, "f", Some("v2")).await, "5");
    // A command finds no more than a look does.
    assert_eq!(catalogue.load("parts", None).await.unwrap_err().kind(), crate::ErrorKind::NotFound);
    catalogue.load("f", None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_placed_from_a_store_has_its_settings() {
    let world = World::start().await;
    world.server.put("churn/config.pbtxt", "max_batch_size: 4");
    world.server.put("churn/1/model.text", "1");
    let source = Stores::new(world.options.clone()).open(&Location::parse("s3://models/churn").unwrap()).unwrap();
    let formats: Vec<Arc<dyn Format>> = vec![Arc::new(TextFormat { keeps_files: Arc::default() })];
    let catalogue = Catalogue::to_be_filled(formats, ResidencyOptions::default());
    catalogue.place_from(&source, "m", None).await.unwrap();
    assert_eq!(catalogue.find("m", None).await.unwrap().max_batch_size(), Some(4));
}
