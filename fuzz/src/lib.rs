//! What all programs have in common: seeds, and a bound on memory.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use profile_http::fuzzing::Target;

/// What a check may allocate besides what grows with its input: as much as anything may be
/// decompressed to, several times over, and the tables of decompressors.
const MEMORY: usize = 2 << 20;

/// What a check may allocate for each byte of its input. A byte may become a record of its own,
/// and most checks read their input twice. A length that is believed takes far more.
const MEMORY_PER_BYTE: usize = 1024;

/// Writes the seeds of a target where cargo-fuzz keeps its corpus.
pub fn plant(target: &Target) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    fs::create_dir_all(&corpus).expect("the corpus can be made");
    for (number, seed) in (target.seeds)().iter().enumerate() {
        fs::write(corpus.join(format!("seed-{number}")), seed).expect("the corpus can be written");
    }
    // What is made once is not the input's doing.
    (target.check)(b"{}");
}

/// Panics where the target's promise is broken, or where it takes more memory than its input
/// accounts for.
pub fn check(target: &Target, data: &[u8]) {
    let before = ALLOCATED.load(Relaxed);
    MOST.store(before, Relaxed);
    (target.check)(data);
    let most = MOST.load(Relaxed).saturating_sub(before);
    let bound = MEMORY + MEMORY_PER_BYTE * data.len();
    assert!(most <= bound, "{most} bytes were allocated for {} bytes of input", data.len());
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, which counts what is allocated.
struct Counting;

// SAFETY: every call is handed on as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both may be there for a moment.
        count(size);
        ALLOCATED.fetch_sub(layout.size(), Relaxed);
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(at, layout) }
    }
}

fn count(bytes: usize) {
    MOST.fetch_max(ALLOCATED.fetch_add(bytes, Relaxed) + bytes, Relaxed);
}
