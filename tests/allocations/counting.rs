//! An allocator that counts what the server's threads ask of it, and what they have not given back.

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::collections::HashMap;
use std::env;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[global_allocator]
static ALLOCATOR: Counted = Counted;

static COUNT: AtomicU64 = AtomicU64::new(0);
/// Bytes that were asked for and not given back.
static LIVE: AtomicI64 = AtomicI64::new(0);
static COUNTING: AtomicBool = AtomicBool::new(false);
static SHOWS: AtomicBool = AtomicBool::new(false);
/// Where allocations were made, as backtraces, and how many.
static PLACES: Mutex<Option<HashMap<String, u32>>> = Mutex::new(None);
/// Blocks that were not given back: where each was asked for, and its size.
static BLOCKS: Mutex<Option<HashMap<usize, (String, usize)>>> = Mutex::new(None);

thread_local! {
    static IS_COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// Of a thread of the server.
pub(crate) fn count_this_thread() {
    IS_COUNTED.set(true);
}

/// Held by a test: everybody's allocations are counted together.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Counted;

/// A block of `size` bytes is the caller's from now on.
fn note_block(block: *mut u8, size: usize) {
    with_counting(|| {
        LIVE.fetch_add(signed(size), Ordering::Relaxed);
        if SHOWS.load(Ordering::Relaxed) {
            let place = Backtrace::force_capture().to_string();
            if let Ok(mut blocks) = BLOCKS.lock() {
                let blocks = blocks.get_or_insert_default();
                blocks.insert(block.addr(), (place, size));
            }
        }
    });
}

/// It is no longer.
fn note_end(block: *mut u8, size: usize) {
    with_counting(|| {
        LIVE.fetch_sub(signed(size), Ordering::Relaxed);
        if SHOWS.load(Ordering::Relaxed)
            && let Ok(mut blocks) = BLOCKS.lock()
        {
            blocks.get_or_insert_default().remove(&block.addr());
        }
    });
}

fn signed(size: usize) -> i64 {
    i64::try_from(size).expect("no block is that large")
}

/// Does this on a thread of the server while it is counted; what it allocates itself is not.
fn with_counting(note: impl FnOnce()) {
    let is_counted = IS_COUNTED.try_with(Cell::get).unwrap_or(false);
    if is_counted && COUNTING.load(Ordering::Relaxed) {
        IS_COUNTED.set(false);
        note();
        IS_COUNTED.set(true);
    }
}

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
        let block = unsafe { System.alloc(layout) };
        note_block(block, layout.size());
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promise.
        let block = unsafe { System.alloc_zeroed(layout) };
        note_block(block, layout.size());
        block
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        note_end(block, layout.size());
        // SAFETY: the caller's promise.
        let block = unsafe { System.realloc(block, layout, size) };
        note_block(block, size);
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        note_end(block, layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Allocations are counted from here on.
pub(crate) struct Counting {
    before: u64,
    live_before: i64,
}

impl Counting {
    pub(crate) fn begin() -> Self {
        let shows = env::var("SANDTABLE_ALLOCATIONS").is_ok_and(|value| value == "show");
        SHOWS.store(shows, Ordering::Relaxed);
        COUNTING.store(true, Ordering::Relaxed);
        Self {
            before: COUNT.load(Ordering::Relaxed),
            live_before: LIVE.load(Ordering::Relaxed),
        }
    }

    /// How many there were.
    pub(crate) fn end(&self) -> f64 {
        COUNTING.store(false, Ordering::Relaxed);
        let count = COUNT.load(Ordering::Relaxed) - self.before;
        f64::from(u32::try_from(count).expect("some thousands"))
    }
}

impl Counting {
    /// How many bytes more are in use than at its beginning.
    pub(crate) fn live(&self) -> f64 {
        COUNTING.store(false, Ordering::Relaxed);
        let live = LIVE.load(Ordering::Relaxed) - self.live_before;
        f64::from(i32::try_from(live).expect("some megabytes"))
    }
}

/// Where what is in use was asked for, those places first where it is most.
pub(crate) fn places_in_use(each_of: u32) -> String {
    let blocks = BLOCKS.lock().ok().and_then(|mut blocks| blocks.take());
    let mut places: HashMap<String, usize> = HashMap::new();
    for (place, size) in blocks.unwrap_or_default().into_values() {
        *places.entry(place).or_default() += size;
    }
    let mut places: Vec<_> = places.into_iter().collect();
    places.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let each = |size: usize| size / usize::try_from(each_of).unwrap_or(1);
    let text = places
        .iter()
        .map(|(place, size)| format!("== {}\n{place}\n", each(*size)));
    text.collect()
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
