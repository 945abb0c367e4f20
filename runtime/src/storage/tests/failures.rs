//! What can go wrong between a runtime and a store.

use super::*;
use modelway_test_store::Fault;

use crate::testing::{PATIENCE, until};
use crate::{Refusal, State};

/// More often than a download tries.
const ALWAYS: usize = 1000;

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_is_cut_goes_on_where_it_was_cut() {
    let world = World::start().await;
    let file = bytes(1_000_000, 1);
    world.server.put("m.text", &file);
    let catalogue = world.catalogue().await;
    world.proxy.fault("/m.text", Fault::Cut(150_000), 6);
    assert_eq!(asked(&catalogue, "m").await, "1000000");
    let seen = world.proxy.seen("/m.text");
    assert_eq!((seen.len(), seen[0].range.as_str()), (7, ""));
    for later in &seen[1..] {
        assert!(later.range.starts_with("bytes=") && !later.range.starts_with("bytes=0-"), "{later:?}");
        assert!(!later.if_match.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_failed_goes_on_also_after_a_restart() {
    let world = World::start().await;
    let file = bytes(1_000_000, 2);
    world.server.put("m.text", &file);
    {
        let catalogue = world.catalogue().await;
        world.proxy.fault("/m.text", Fault::Cut(400_000), 1);
        world.proxy.fault("/m.text", Fault::Status(503, "SlowDown"), ALWAYS);
        let error = asked(&catalogue, "m").await;
        assert!(error.starts_with("model 'm' failed to load: s3://models/m.text: "), "{error}");
        assert!(error.contains("503"), "{error}");
    }
    world.proxy.heal();
    let before = world.proxy.seen("/m.text").len();
    let catalogue = world.catalogue().await;
    assert_eq!(asked(&catalogue, "m").await, "1000000");
    let seen = world.proxy.seen("/m.text").split_off(before);
    assert_eq!(seen.len(), 1);
    let from: usize = seen[0].range.trim_start_matches("bytes=").split('-').next().unwrap().parse().unwrap();
    assert!((300_000..=400_000).contains(&from), "{from}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_falls_silent_is_asked_again() {
    let mut world = World::start().await;
    world.options.stall_timeout = Duration::from_millis(300);
    world.server.put("m.text", bytes(500_000, 3));
    let catalogue = world.catalogue().await;
    world.proxy.fault("/m.text", Fault::Stall(200_000), 2);
    assert_eq!(asked(&catalogue, "m").await, "500000");
    assert_eq!(world.proxy.seen("/m.text").len(), 3);
    // One that stays silent is given up.
    world.server.put("n.text", bytes(500_000, 3));
    world.proxy.fault("/n.text", Fault::Stall(0), ALWAYS);
    catalogue.load("n", None).await.unwrap_err();
    let error = asked(&catalogue, "n").await;
    assert!(error.contains("s3://models/n.text: the store has sent nothing for 0.3 s (tried again in"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_download_holds_up_no_other_load() {
    let world = World::start().await;
    world.server.put("slow.text", bytes(500_000, 4));
    world.server.put("m.text", "m");
    let catalogue = world.catalogue().await;
    world.proxy.fault("/slow.text", Fault::Stall(100_000), 1);
    let slow = tokio::spawn({
        let catalogue = catalogue.clone();
        async move { asked(&catalogue, "slow").await }
    });
    world.proxy.until_seen("/slow.text", 1).await;
    assert_eq!(asked(&catalogue, "m").await, "1");
    assert!(!slow.is_finished());
    slow.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_nobody_waits_for_any_more_stops_and_is_resumed_later() {
    let world = World::start().await;
    world.server.put("m.text", bytes(500_000, 5));
    let catalogue = world.catalogue().await;
    world.proxy.fault("/m.text", Fault::Stall(200_000), 1);
    let waiting = tokio::spawn({
        let catalogue = catalogue.clone();
        async move { asked(&catalogue, "m").await }
    });
    world.proxy.until_seen("/m.text", 1).await;
    let part = || {
        let ids = std::fs::read_dir(world.cache.path().join("files")).unwrap();
        let files = ids.flat_map(|id| std::fs::read_dir(id.unwrap().path()).unwrap());
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>()
    };
    until(async || part() == 200_000).await;
    waiting.abort();
    until(async || catalogue.listings()[0].state == State::Unloaded).await;
    assert_eq!(asked(&catalogue, "m").await, "500000");
    assert_eq!(world.proxy.seen("/m.text")[1].range, "bytes=200000-");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_while_it_is_downloaded_is_never_mixed() {
    let mut world = World::start().await;
    world.options.stall_timeout = Duration::from_millis(300);
    world.server.put("m.text", bytes(500_000, 6));
    let catalogue = world.catalogue().await;
    world.proxy.fault("/m.text", Fault::Stall(200_000), 1);
    let waiting = tokio::spawn({
        let catalogue = catalogue.clone();
        async move { asked(&catalogue, "m").await }
    });
    world.proxy.until_seen("/m.text", 1).await;
    world.server.put("m.text", bytes(600_000, 7));
    let error = waiting.await.unwrap();
    assert!(error.contains("s3://models/m.text has changed since it was listed"), "{error}");
    assert!(catalogue.poll().await);
    assert!(!catalogue.poll().await);
    assert_eq!(asked(&catalogue, "m").await, "600000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_looks_at_once_when_a_download_finds_a_change() {
    let world = World::start().await;
    world.server.put("m.text", "old");
    let stores = Stores::new(world.options.clone());
    let formats: Vec<Arc<dyn Format>> = vec![Arc::new(TextFormat { keeps_files: Arc::default() })];
    let location = Location::parse("s3://models").unwrap();
    // An hour: only what the download says can be why it looks.
    let hour = Some(Duration::from_secs(3600));
    let catalogue = Catalogue::open_at(&location, &stores, formats, ResidencyOptions::default(), hour).await.unwrap();
    let catalogue = Arc::new(catalogue);
    let watching = tokio::spawn(catalogue.clone().watch());
    world.server.put("m.text", "newer");
    assert!(asked(&catalogue, "m").await.contains("has changed"));
    let asking = async {
        while asked(&catalogue, "m").await != "5" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap();
    watching.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_gone_or_denied_says_so() {
    let world = World::start().await;
    for name in ["gone", "denied"] {
        world.server.put(&format!("{name}.text"), name);
    }
    let catalogue = world.catalogue().await;
    world.server.delete("gone.text");
    let error = catalogue.find("gone", None).await.map(drop).unwrap_err();
    assert_eq!(error.refusal(), Some(Refusal::LoadFailed));
    assert!(error.message().contains("s3://models/gone.text is not there (404)"), "{error}");
    world.proxy.fault("/denied.text", Fault::Status(403, "AccessDenied"), 1);
    let error = asked(&catalogue, "denied").await;
    assert!(error.contains("s3://models/denied.text: access denied (403 AccessDenied), the keys need s3:"), "{error}");
    // It is tried again as every failed load is.
    catalogue.load("denied", None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_and_buckets_are_told_at_the_start_without_a_secret() {
    let world = World::start().await;
    let error = world.open("s3://elsewhere/a").await.map(drop).unwrap_err().to_string();
    assert_eq!(error, "s3://elsewhere/a: there is no bucket 'elsewhere'");
    for (access_key, secret_key, part) in [
        ("AKIAWRONG", SECRET_KEY, "the store does not know the access key"),
        (ACCESS_KEY, "hush", "the secret key is not the access key's"),
    ] {
        world.write_key(access_key, secret_key);
        let error = world.open("s3://models").await.map(drop).unwrap_err().to_string();
        assert!(error.starts_with("s3://models: ") && error.contains(part), "{error}");
        assert!(!error.contains(access_key) && !error.contains(secret_key), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_reached_says_so() {
    let world = World::start().await;
    let key = serde_json::json!({
        "access_key_id": "a", "secret_access_key": "s", "endpoint_url": "http://127.0.0.1:1", "bucket": "models",
    });
    std::fs::write(world.secret.path().join("localMinIO"), key.to_string()).unwrap();
    let error = world.open("s3://models").await.map(drop).unwrap_err().to_string();
    assert!(error.starts_with("s3://models: cannot connect: "), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_fails_changes_nothing() {
    let world = World::start().await;
    world.server.put("m.text", "m");
    let catalogue = world.catalogue().await;
    world.server.put("n.text", "n");
    for (status, code) in [(403, "AccessDenied"), (404, "NoSuchBucket"), (400, "Whatever")] {
        world.proxy.fault("list-type=2", Fault::Status(status, code), ALWAYS);
        assert!(!catalogue.poll().await);
        assert!(!catalogue.poll().await);
        assert_eq!(catalogue.names(), ["m"]);
        world.proxy.heal();
    }
    assert_eq!(asked(&catalogue, "m").await, "1");
    catalogue.poll().await;
    catalogue.poll().await;
    assert_eq!(catalogue.names(), ["m", "n"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_falls_silent_has_failed() {
    let mut world = World::start().await;
    world.options.stall_timeout = Duration::from_millis(100);
    world.server.put("m.text", "m");
    let catalogue = world.catalogue().await;
    world.server.put("n.text", "n");
    world.proxy.fault("list-type=2", Fault::Stall(0), ALWAYS);
    assert!(!tokio::time::timeout(PATIENCE, catalogue.poll()).await.unwrap());
    world.proxy.heal();
    catalogue.poll().await;
    catalogue.poll().await;
    assert_eq!(catalogue.names(), ["m", "n"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_may_not_be_read_are_their_models_fault_alone() {
    let world = World::start().await;
    world.server.put("m/model-settings.json", "{}");
    world.server.put("m/model.text", "m");
    world.server.put("n.text", "n");
    world.proxy.fault("/m/model-settings.json", Fault::Status(403, "AccessDenied"), 1);
    let catalogue = world.catalogue().await;
    let error = asked(&catalogue, "m").await;
    assert!(error.contains("model-settings.json: s3://models/m/model-settings.json: access denied"), "{error}");
    assert_eq!(asked(&catalogue, "n").await, "1");
    // They are asked for again.
    assert!(catalogue.poll().await);
    assert!(!catalogue.poll().await);
    assert_eq!(asked(&catalogue, "m").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_is_compared_with_the_checksum_and_fetched_again() {
    let world = World::start().await;
    world.server.put("m.text", bytes(100_000, 8));
    world.server.put("n.text", bytes(100_000, 9));
    let catalogue = world.catalogue().await;
    world.proxy.fault("/m.text", Fault::Corrupt, 1);
    assert_eq!(asked(&catalogue, "m").await, "100000");
    assert_eq!(world.proxy.seen("/m.text").len(), 2);
    world.proxy.fault("/n.text", Fault::Corrupt, ALWAYS);
    let error = asked(&catalogue, "n").await;
    assert!(error.contains("what came is not what was stored, its MD5 differs"), "{error}");
    assert_eq!(world.proxy.seen("/n.text").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_etag_of_an_object_with_a_key_of_its_own_is_no_checksum() {
    let world = World::start().await;
    world.server.encrypt();
    world.server.put("m.text", bytes(100_000, 10));
    let catalogue = world.catalogue().await;
    assert_eq!(asked(&catalogue, "m").await, "100000");
}
