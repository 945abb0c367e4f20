use super::*;
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;

/// Enough that a file is taken between being forgotten and being moved, were it possible.
const ROUNDS: usize = 500;

#[test]
fn a_file_that_is_held_is_not_moved_away_by_an_eviction_before() {
    let folder = TempDir::new().unwrap();
    let options =
        StorageOptions { cache: Some(folder.path().to_owned()), cache_size: Some(100), ..StorageOptions::default() };
    let cache = Cache::open(&options).unwrap();
    let (is_over, evictions) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                remove(cache.evict(u64::MAX));
                evictions.fetch_add(1, Ordering::SeqCst);
            }
        });
        let mut lost = 0;
        for _ in 0..ROUNDS {
            let held = cache.hold(Id("a".to_owned()), "m");
            if !held.path().exists() {
                fs::create_dir_all(held.path().parent().unwrap()).unwrap();
                // The folder may already have gone where the fault is.
                let _ = fs::write(held.path(), "m");
            }
            cache.lock().settle(&held.id, Outcome::Whole(1));
            let before = evictions.load(Ordering::SeqCst);
            while evictions.load(Ordering::SeqCst) < before + 2 {
                std::thread::yield_now();
            }
            lost += usize::from(!held.path().exists());
        }
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(lost, 0);
    });
}
