//! The cache on disk.

use super::*;
use crate::testing::until;
use crate::{Refusal, State};

const FILE: usize = 40_000;

/// Room for two files.
async fn world() -> World {
    let mut world = World::start().await;
    world.options.cache_size = Some(100_000);
    for (number, name) in ["a", "b", "c"].into_iter().enumerate() {
        world.server.put(&format!("{name}.text"), bytes(FILE, number as u8));
    }
    world
}

fn downloads(world: &World, name: &str) -> usize {
    world.proxy.seen(&format!("/{name}.text")).len()
}

async fn load_and_unload(catalogue: &Catalogue, name: &str) {
    assert_eq!(asked(catalogue, name).await, FILE.to_string());
    catalogue.unload(name).await.unwrap();
}

fn bytes_on_disk(world: &World) -> u64 {
    crate::fingerprint::Fingerprint::of([world.cache.path().join("files").as_path()]).bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_downloaded_once_also_over_a_restart_until_there_is_no_room() {
    let world = world().await;
    {
        let catalogue = world.catalogue().await;
        for name in ["a", "b", "a"] {
            load_and_unload(&catalogue, name).await;
        }
    }
    let catalogue = world.catalogue().await;
    // a was used after b, so b goes.
    for name in ["a", "c", "a"] {
        load_and_unload(&catalogue, name).await;
    }
    assert_eq!(["a", "b", "c"].map(|name| downloads(&world, name)), [1, 1, 1]);
    assert!(bytes_on_disk(&world) <= 100_000);
    load_and_unload(&catalogue, "b").await;
    assert_eq!(downloads(&world, "b"), 2);
    assert!(bytes_on_disk(&world) <= 100_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_a_model_that_still_reads_them_stay() {
    let world = world().await;
    world.keeps_files.store(true, Ordering::Relaxed);
    let catalogue = world.catalogue().await;
    for name in ["a", "b"] {
        assert_eq!(asked(&catalogue, name).await, FILE.to_string());
    }
    let error = catalogue.find("c", None).await.map(drop).unwrap_err();
    assert_eq!(error.refusal(), Some(Refusal::LoadFailed));
    let text = "s3://models/c.text has 40000 bytes, the cache may have 100000 of which 80000 are in use: enlarge it with --cache-size";
    assert!(error.message().contains(text), "{error}");
    assert_eq!(bytes_on_disk(&world), 80_000);
    catalogue.unload("a").await.unwrap();
    catalogue.load("c", None).await.unwrap();
    assert_eq!(bytes_on_disk(&world), 80_000);
    // With the room that is left nothing that is held goes.
    assert!(catalogue.load("a", None).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_larger_than_the_cache_says_so() {
    let world = world().await;
    world.server.put("large.text", bytes(200_000, 0));
    let catalogue = world.catalogue().await;
    load_and_unload(&catalogue, "a").await;
    let error = asked(&catalogue, "large").await;
    assert!(error.contains("has 200000 bytes, the cache may have 100000 of which 0 are in use"), "{error}");
    // Nothing was deleted for what cannot be.
    load_and_unload(&catalogue, "a").await;
    assert_eq!(downloads(&world, "a"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_took_from_the_cache_is_downloaded_again() {
    let world = world().await;
    let catalogue = world.catalogue().await;
    load_and_unload(&catalogue, "a").await;
    for id in std::fs::read_dir(world.cache.path().join("files")).unwrap() {
        std::fs::remove_dir_all(id.unwrap().path()).unwrap();
    }
    load_and_unload(&catalogue, "a").await;
    assert_eq!(downloads(&world, "a"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_is_one_processs_own() {
    let world = world().await;
    let catalogue = world.catalogue().await;
    let error = world.open_at_once("s3://models").await.map(drop).unwrap_err().to_string();
    assert!(error.contains("another process uses the cache") && error.contains("--cache"), "{error}");
    drop(catalogue);
    world.catalogue().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_with_less_room_than_it_had_is_made_smaller_at_the_start() {
    let mut world = world().await;
    {
        let catalogue = world.catalogue().await;
        load_and_unload(&catalogue, "a").await;
        load_and_unload(&catalogue, "b").await;
    }
    world.options.cache_size = Some(50_000);
    let catalogue = world.catalogue().await;
    assert_eq!(bytes_on_disk(&world), 40_000);
    load_and_unload(&catalogue, "b").await;
    assert_eq!(downloads(&world, "b"), 1);
    until(async || catalogue.listings().iter().all(|listing| listing.state == State::Unloaded)).await;
}
