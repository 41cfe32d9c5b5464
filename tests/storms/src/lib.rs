#![expect(unsafe_code, reason = "an allocator")]
//! An allocator that checks every address, size and alignment it is given, and hands freed memory out again as soon as
//! it can.
//!
//! Each block lies between red zones and remembers its layout. A free that is not of a living block, has another layout,
//! or finds a red zone broken ends the process, with a message of fixed text. Freed memory is poisoned, and the poison
//! looked at before it is used again.
//!
//! Half of the freed blocks go to a shelf that all threads share, and from there to the very next that asks for their
//! size: an address is then another thread's before the call that freed it has returned. The other half waits in a
//! queue, so that who writes to what he freed is found out.
use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::null_mut;
use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed,
    Ordering::Release,
};

/// The allocator. All of its memory is the system's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checked;

/// Before a block: what is known of it. It ends where the block's front red zone begins.
#[repr(C)]
struct Head {
    state: AtomicU64,
    size: usize,
    align: usize,
    /// What the system's allocator gave.
    start: *mut u8,
}

const ALIVE: u64 = 0x616c_6976_6521_2121;
const FREED: u64 = 0x6672_6565_6421_2121;

/// Bytes of each red zone; the back one lies directly behind the block.
const RED: usize = 32;
const FRONT: u8 = 0xf5;
const BACK: u8 = 0xb5;
/// What new memory is, so that who takes it for zeroed is found out.
const NEW: u8 = 0xcd;
const POISON: u8 = 0xdd;

/// Freed blocks that go out again at once: up to this size, aligned to no more than 16.
const SHELVED: usize = 1024;
/// For each size in steps of 16: a few places that threads exchange blocks through, without a lock that a fork could
/// catch somebody with.
const PLACES: usize = 4;
static SHELF: [[AtomicPtr<Head>; PLACES]; SHELVED / 16 + 1] =
    [const { [const { AtomicPtr::new(null_mut()) }; PLACES] }; SHELVED / 16 + 1];

/// Freed blocks that wait. With blocks of more than 64 KiB it would be much memory: those do not.
const WAITING: usize = 2048;
const WAITS: usize = 1 << 16;
static QUEUE: [AtomicPtr<Head>; WAITING] = [const { AtomicPtr::new(null_mut()) }; WAITING];
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// How many blocks went from the shelf to somebody new.
static REUSED: AtomicUsize = AtomicUsize::new(0);

/// How often memory was handed out again that had just been freed.
pub fn reused() -> usize {
    REUSED.load(Relaxed)
}

/// There is no other thread that blocks could be handed to: a forked child says so. On a machine with much else to do
/// each offer would cost it milliseconds.
pub static ALONE: AtomicBool = AtomicBool::new(false);

/// Where a complaint is written, beside standard error: a child's is seen by who waits for its end.
fn complain(what: &'static str) -> ! {
    // SAFETY: a good pointer and its length.
    unsafe {
        libc::write(2, what.as_ptr().cast(), what.len());
    }
    std::process::abort()
}

/// How far behind the start of its memory a block begins.
fn before(align: usize) -> usize {
    (size_of::<Head>() + RED).next_multiple_of(align.max(16))
}

/// Sizes of shelved blocks are rounded, so that a place serves many.
fn room(layout: Layout) -> usize {
    if shelved(layout) { layout.size().next_multiple_of(16) } else { layout.size() }
}

fn shelved(layout: Layout) -> bool {
    layout.size() <= SHELVED && layout.align() <= 16
}

fn whole(layout: Layout) -> Layout {
    let Ok(whole) =
        Layout::from_size_align(before(layout.align()) + room(layout) + RED, layout.align().max(16))
    else {
        complain("checked: a layout that is none\n")
    };
    whole
}

unsafe fn head_of(block: *mut u8) -> *mut Head {
    // SAFETY: the caller says that it is a block, or will be.
    unsafe { block.sub(RED + size_of::<Head>()).cast() }
}

unsafe fn block_of(head: *mut Head) -> *mut u8 {
    // SAFETY: as above, the other way.
    unsafe { head.cast::<u8>().add(size_of::<Head>() + RED) }
}

unsafe fn all(start: *const u8, len: usize, byte: u8) -> bool {
    // SAFETY: the caller says that the memory is there.
    unsafe { std::slice::from_raw_parts(start, len) }.iter().all(|&found| found == byte)
}

/// A block that is nobody's any more is as it was left.
unsafe fn untouched(head: *mut Head) {
    // SAFETY: a freed block that only we have.
    unsafe {
        let size = (*head).size;
        let block = block_of(head);
        if (*head).state.load(Relaxed) != FREED || !all(block, size, POISON) {
            complain("checked: written to after it was freed\n");
        }
        zones(head);
    }
}

unsafe fn zones(head: *mut Head) {
    // SAFETY: of a block that only we have.
    unsafe {
        let block = block_of(head);
        if !all(block.sub(RED), RED, FRONT) {
            complain("checked: written to before its begin\n");
        }
        if !all(block.add((*head).size), RED, BACK) {
            complain("checked: written to behind its end\n");
        }
    }
}

unsafe fn give_back(head: *mut Head) {
    // SAFETY: a freed block that only we have, with the layout that it was made with.
    unsafe {
        untouched(head);
        let layout = Layout::from_size_align_unchecked((*head).size, (*head).align);
        System.dealloc((*head).start, whole(layout));
    }
}

/// A block from the shelf, its size at least that of the layout.
fn from_shelf(layout: Layout) -> *mut Head {
    if !shelved(layout) {
        return null_mut();
    }
    for place in &SHELF[room(layout) / 16] {
        if !place.load(Relaxed).is_null() {
            let head = place.swap(null_mut(), AcqRel);
            if !head.is_null() {
                // SAFETY: the exchange made it ours alone.
                unsafe { untouched(head) };
                REUSED.fetch_add(1, Relaxed);
                return head;
            }
        }
    }
    null_mut()
}

fn make(layout: Layout, fill: u8) -> *mut u8 {
    if layout.size() == 0 {
        complain("checked: a block of no bytes\n");
    }
    let mut head = from_shelf(layout);
    // SAFETY: the memory is fresh or off the shelf, has room for all of this, and is ours until returned.
    unsafe {
        if head.is_null() {
            let start = System.alloc(whole(layout));
            if start.is_null() {
                return start;
            }
            head = head_of(start.add(before(layout.align())));
            (*head).start = start;
        }
        (*head).size = layout.size();
        (*head).align = layout.align();
        let block = block_of(head);
        block.sub(RED).write_bytes(FRONT, RED);
        block.write_bytes(fill, layout.size());
        block.add(layout.size()).write_bytes(BACK, RED);
        (*head).state.store(ALIVE, Release);
        block
    }
}

/// What was said of a block is true.
unsafe fn check(block: *mut u8, layout: Layout) -> *mut Head {
    // SAFETY: if the caller is right. If not, this is where it is found out.
    unsafe {
        let head = head_of(block);
        match (*head).state.load(Acquire) {
            ALIVE => {}
            FREED => complain("checked: freed twice\n"),
            _ => complain("checked: freed, and never allocated\n"),
        }
        if ((*head).size, (*head).align) != (layout.size(), layout.align()) {
            complain("checked: freed with another layout\n");
        }
        if !block.addr().is_multiple_of(layout.align()) {
            complain("checked: not aligned\n");
        }
        zones(head);
        head
    }
}

unsafe fn free(block: *mut u8, layout: Layout) {
    // SAFETY: the caller's promise, checked; from the exchange on the block is ours alone.
    unsafe {
        let head = check(block, layout);
        if (*head).state.compare_exchange(ALIVE, FREED, AcqRel, Relaxed).is_err() {
            complain("checked: freed twice at once\n");
        }
        block.write_bytes(POISON, layout.size());
        let turn = NEXT.fetch_add(1, Relaxed);
        if shelved(layout) && turn.is_multiple_of(2) {
            for place in &SHELF[room(layout) / 16] {
                if place.load(Relaxed).is_null()
                    && place.compare_exchange(null_mut(), head, Release, Relaxed).is_ok()
                {
                    // Time for another thread to take it, and to be told its address, before this one goes on.
                    if turn.is_multiple_of(8) && !ALONE.load(Relaxed) {
                        libc::sched_yield();
                    }
                    return;
                }
            }
        }
        let leaves = if layout.size() <= WAITS { QUEUE[turn / 2 % WAITING].swap(head, AcqRel) } else { head };
        if !leaves.is_null() {
            give_back(leaves);
        }
    }
}

// SAFETY: every block is memory of its own, of the layout that was asked for.
unsafe impl GlobalAlloc for Checked {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        make(layout, NEW)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        make(layout, 0)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: passed on.
        unsafe { free(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: passed on. Within the block's room it stays where it is, and mostly it moves.
        unsafe {
            let head = check(block, layout);
            let Ok(new) = Layout::from_size_align(size, layout.align()) else { return null_mut() };
            if size > 0 && shelved(layout) && shelved(new) && room(layout) == room(new) {
                (*head).size = size;
                block.add(size).write_bytes(BACK, RED);
                return block;
            }
            let moved = make(new, NEW);
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(block, size.min(layout.size()));
                free(block, layout);
            }
            moved
        }
    }
}
