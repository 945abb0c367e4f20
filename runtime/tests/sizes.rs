//! What a model says of its size, against an allocator that counts.

// What helps a test may fail it.
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use modelway_runtime::formats::sklearn::SklearnFormat;
use modelway_runtime::formats::{Format, ModelFiles};

struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_under(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

// One test in this binary: another one beside it would be counted too.
#[test]
fn a_models_size_is_within_a_tenth_of_what_the_allocator_counts() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/sklearn"));
    let format = SklearnFormat::default();
    let mut measured = 0;
    for path in files_under(folder) {
        let files = ModelFiles { path: path.clone(), ..ModelFiles::default() };
        if !format.recognises(&files) {
            continue;
        }
        // The first load fills what the process keeps for itself.
        let Ok(first) = format.load(&files) else { continue };
        drop(first);
        let before = BYTES.load(Ordering::Relaxed);
        let model: Arc<dyn modelway_runtime::Model> = format.load(&files).unwrap();
        let counted = BYTES.load(Ordering::Relaxed) - before;
        let said = usize::try_from(model.size_bytes()).unwrap();
        println!("{}: {said} bytes said, {counted} counted", path.file_name().unwrap().display());
        assert!(said.abs_diff(counted) * 10 <= counted, "{}: {said} said, {counted} counted", path.display());
        measured += 1;
    }
    assert!(measured > 0, "no model in {}", folder.display());
}
