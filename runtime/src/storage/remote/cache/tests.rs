use super::*;
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;

const ROUNDS: usize = 200;

#[test]
fn what_the_index_has_forgotten_is_out_of_the_way_already() {
    let folder = TempDir::new().unwrap();
    let options =
        StorageOptions { cache: Some(folder.path().to_owned()), cache_size: Some(100), ..StorageOptions::default() };
    let cache = Cache::open(&options).unwrap();
    let is_over = AtomicBool::new(false);
    let mut late = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                remove(cache.evict(u64::MAX));
            }
        });
        for _ in 0..ROUNDS {
            let held = cache.hold(Id("a".to_owned()), "m");
            let path = held.path().to_owned();
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let _ = fs::write(&path, "m");
            cache.lock().settle(&held.id, Outcome::Whole(1));
            drop(held);
            // Whoever asks for it now would get one that is about to be moved away.
            late += loop {
                let index = cache.lock();
                if index.used() == 0 {
                    break usize::from(path.exists());
                }
            };
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(late, 0);
}
