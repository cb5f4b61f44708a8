//! An allocator that counts what the server's threads ask of it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::collections::HashMap;
use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[global_allocator]
static ALLOCATOR: Counted = Counted;

static COUNT: AtomicU64 = AtomicU64::new(0);
static COUNTING: AtomicBool = AtomicBool::new(false);
static SHOWS: AtomicBool = AtomicBool::new(false);
/// Where allocations were made, as backtraces, and how many.
static PLACES: Mutex<Option<HashMap<String, u32>>> = Mutex::new(None);

thread_local! {
    static IS_COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// Of a thread of the server.
pub(crate) fn count_this_thread() {
    IS_COUNTED.set(true);
}

struct Counted;

/// A larger block in place of a smaller one is an allocation, too.
fn note() {
    // A thread that ends has no such variable any more.
    let is_counted = IS_COUNTED.try_with(Cell::get).unwrap_or(false);
    if !is_counted || !COUNTING.load(Ordering::Relaxed) {
        return;
    }
    COUNT.fetch_add(1, Ordering::Relaxed);
    if SHOWS.load(Ordering::Relaxed) {
        // What the look itself allocates is not looked at.
        IS_COUNTED.set(false);
        let place = Backtrace::force_capture().to_string();
        if let Ok(mut places) = PLACES.lock() {
            *places.get_or_insert_default().entry(place).or_default() += 1;
        }
        IS_COUNTED.set(true);
    }
}

#[expect(unsafe_code, reason = "an allocator is counted where it is called")]
// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Allocations are counted from here on.
pub(crate) struct Counting {
    before: u64,
}

impl Counting {
    pub(crate) fn begin() -> Self {
        let shows = env::var("SANDTABLE_ALLOCATIONS").is_ok_and(|value| value == "show");
        SHOWS.store(shows, Ordering::Relaxed);
        COUNTING.store(true, Ordering::Relaxed);
        let before = COUNT.load(Ordering::Relaxed);
        Self { before }
    }

    /// How many there were.
    pub(crate) fn end(&self) -> f64 {
        COUNTING.store(false, Ordering::Relaxed);
        let count = COUNT.load(Ordering::Relaxed) - self.before;
        f64::from(u32::try_from(count).expect("some thousands"))
    }
}

/// The places, those first where most is allocated.
pub(crate) fn places(requests: u32) -> String {
    let places = PLACES.lock().ok().and_then(|mut places| places.take());
    let mut places: Vec<_> = places.unwrap_or_default().into_iter().collect();
    places.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let each = |count: u32| f64::from(count) / f64::from(requests);
    let text = places
        .iter()
        .map(|(place, count)| format!("== {:.2}\n{place}\n", each(*count)));
    text.collect()
}
