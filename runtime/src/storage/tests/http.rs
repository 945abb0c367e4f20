//! Models behind plain HTTP.

use super::*;
use modelway_test_store::{Fault, FileServer};

async fn over_http(world: &World, url: &str) -> Result<Arc<Catalogue>, StorageError> {
    let mut options = world.options.clone();
    if world.secret.path().join("http").exists() {
        options.storage_key = Some("http".to_owned());
    } else {
        (options.storage_config, options.storage_key) = (None, None);
    }
    let stores = Stores::new(options);
    let formats: Vec<Arc<dyn Format>> = vec![Arc::new(TextFormat { keeps_files: Arc::default() })];
    let location = Location::parse(url).unwrap();
    let opening = async {
        loop {
            let options = ResidencyOptions { memory: 1 << 20, ..ResidencyOptions::default() };
            match Catalogue::open_at(&location, &stores, formats.clone(), options, Some(Duration::ZERO)).await {
                Err(error) if error.to_string().contains("another process uses the cache") => {
                    tokio::task::yield_now().await;
                }
                opened => return opened.map(Arc::new),
            }
        }
    };
    tokio::time::timeout(PATIENCE, opening).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_is_one_model_that_is_resumed_and_replaced() {
    let (world, server) = (World::start().await, FileServer::start(None).await);
    server.put("a/my model.text", bytes(500_000, 1));
    let proxy = Proxy::start(server.address()).await;
    let catalogue = over_http(&world, &format!("{}/a/my%20model.text?sig=hush", proxy.endpoint())).await.unwrap();
    assert_eq!(catalogue.names(), ["my model"]);
    proxy.fault("text", Fault::Cut(200_000), 2);
    assert_eq!(asked(&catalogue, "my model").await, "500000");
    let seen = proxy.seen("sig=hush");
    let ranges: Vec<_> = seen.iter().map(|seen| seen.range.as_str()).collect();
    // The question first, then the download.
    assert_eq!((ranges[0], ranges[1], ranges.len()), ("bytes=0-0", "", 4));
    assert!(
        ranges[2..].iter().all(|range| range.starts_with("bytes=") && !range.starts_with("bytes=0-")),
        "{ranges:?}"
    );
    server.put("a/my model.text", "newer");
    assert!(catalogue.poll().await);
    assert!(!catalogue.poll().await);
    crate::testing::until(async || asked(&catalogue, "my model").await == "5").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_what_its_index_lists() {
    let (world, server) = (World::start().await, FileServer::start(None).await);
    server.put("m/iris.text", "iris");
    server.put("m/empty.text", "");
    server.put("m/churn/1/model.text", "1");
    server.put("m/churn/2/model.text", "hello");
    server.put("m/churn/config.pbtxt", "max_batch_size: 4");
    server.put("m/bad.text", "not what the index says");
    let sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let index = serde_json::json!({"files": [
        "iris.text", "empty.text", "churn/config.pbtxt", {"path": "churn/1/model.text"},
        {"path": "churn/2/model.text", "size": 5, "sha256": sha256}, {"path": "bad.text", "size": 23, "sha256": sha256},
        "gone.text",
    ]});
    server.put("m/index.json", index.to_string());
    let catalogue = over_http(&world, &server.url("m/")).await.unwrap();
    assert_eq!(catalogue.names(), ["bad", "churn", "empty", "iris"]);
    assert_eq!(asked(&catalogue, "iris").await, "4");
    assert_eq!(asked(&catalogue, "empty").await, "0");
    assert_eq!(asked(&catalogue, "churn").await, "5");
    assert_eq!(catalogue.find("churn", None).await.unwrap().max_batch_size(), Some(4));
    let error = asked(&catalogue, "bad").await;
    assert!(error.contains("m/bad.text: what came is not what was stored, its SHA-256 differs"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_http_refuses_is_told_without_a_secret() {
    let world = World::start().await;
    let server = FileServer::start(Some(("x-token", "hush"))).await;
    server.put("m.text", "m");
    let shown = server.url("m.text");
    let url = format!("http://user:pass@{}/m.text?signature=secret", server.address());
    let error = over_http(&world, &url).await.map(drop).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{shown}: access denied (401)")), "{error}");
    // The storage key has the header.
    let key = serde_json::json!({"type": "http", "headers": {"x-token": "hush"}});
    std::fs::write(world.secret.path().join("http"), key.to_string()).unwrap();
    let catalogue = over_http(&world, &shown).await.unwrap();
    assert_eq!(asked(&catalogue, "m").await, "1");
    drop(catalogue);
    let error = over_http(&world, &server.url("none.text")).await.map(drop).unwrap_err().to_string();
    assert!(error.ends_with("none.text is not there (404)"), "{error}");
    let error = over_http(&world, &server.url("folder/")).await.map(drop).unwrap_err().to_string();
    assert!(error.ends_with("folder/index.json is not there (404)"), "{error}");
}
