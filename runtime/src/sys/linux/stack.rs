#![expect(unsafe_code, reason = "reads registers and stack memory")]
//! Registers and stacks of x86-64 Linux.
//!
//! The reading half is for signal handlers: no allocation, no lock, no call into libc.
use std::arch::{asm, naked_asm};
use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};

/// What a walk starts from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registers {
    /// The instruction, or the address to return to.
    pub(crate) pc: u64,
    pub(crate) sp: u64,
    pub(crate) bp: u64,
}

/// Calls `take(value, number, pc, sp, bp)` with the registers of the function that this call is written in, as
/// they will be when it returns.
///
/// It leaves no frame of its own, so that the stack begins with the caller even where there is no table yet.
#[unsafe(naked)]
pub(crate) extern "C" fn with_registers<T>(
    value: &mut T,
    number: usize,
    take: extern "C" fn(&mut T, usize, u64, u64, u64),
) {
    naked_asm!("mov rax, rdx", "mov rdx, [rsp]", "lea rcx, [rsp + 8]", "mov r8, rbp", "jmp rax")
}

/// The registers of the code that a signal interrupted, by the handler's third argument.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context(*const libc::ucontext_t);

impl Context {
    /// # Safety
    /// `ucontext` is a signal handler's third argument, and that handler has not returned.
    pub(crate) unsafe fn new(ucontext: *const c_void) -> Context {
        Context(ucontext.cast())
    }

    pub(crate) fn registers(&self) -> Registers {
        let [bp, sp, pc] = [6, 7, 16].map(|register| self.register(register).unwrap_or(0));
        Registers { pc, sp, bp }
    }

    /// Whether the thread is in a system call, or just back from one: the instruction before is `syscall`, or this one
    /// is, when the kernel is going to make the call again.
    pub(crate) fn is_in_system_call(&self) -> bool {
        const SYSCALL: [u8; 2] = [0x0f, 0x05];
        let pc = self.registers().pc as usize;
        // SAFETY: the thread executes at `pc`, so that page is there, and both pairs of bytes are in it.
        let is = |at: usize| unsafe { ptr::with_exposed_provenance::<[u8; 2]>(at).read() } == SYSCALL;
        (2..0xfff).contains(&(pc & 0xfff)) && (is(pc - 2) || is(pc))
    }

    /// A register by its DWARF number.
    pub(crate) fn register(&self, number: u8) -> Option<u64> {
        const ORDER: [libc::c_int; 17] = [
            libc::REG_RAX,
            libc::REG_RDX,
            libc::REG_RCX,
            libc::REG_RBX,
            libc::REG_RSI,
            libc::REG_RDI,
            libc::REG_RBP,
            libc::REG_RSP,
            libc::REG_R8,
            libc::REG_R9,
            libc::REG_R10,
            libc::REG_R11,
            libc::REG_R12,
            libc::REG_R13,
            libc::REG_R14,
            libc::REG_R15,
            libc::REG_RIP,
        ];
        let index = usize::try_from(*ORDER.get(usize::from(number))?).ok()?;
        // SAFETY: `new` was promised a context that lives.
        let value = unsafe { (&raw const (*self.0).uc_mcontext.gregs).cast::<i64>().add(index).read() };
        Some(value as u64)
    }
}

/// Where the main thread's stack ends, or 0.
static MAIN_END: AtomicU64 = AtomicU64::new(0);

/// The kernel keeps this much room below the main thread's stack free of other mappings.
const MAIN_ROOM: u64 = 128 << 20;

/// To be called early, before there are signals to handle.
pub(crate) fn record_main_end() {
    // The kernel puts 16 random bytes above the first frame of the main thread, in the stack's own mapping.
    // SAFETY: takes a number, gives a number.
    let end = unsafe { libc::getauxval(libc::AT_RANDOM) } & !7;
    MAIN_END.store(arguments_below(end).unwrap_or(end), Ordering::Relaxed);
}

/// Where the kernel put the number of arguments, right above the first frame: for those who need the end exactly, and
/// while the environment is still where the kernel put it.
fn arguments_below(end: u64) -> Option<u64> {
    if cfg!(not(target_env = "musl")) {
        return None;
    }
    unsafe extern "C" {
        static environ: *const u64;
    }
    // SAFETY: libc has set it when constructors run, and no other thread is there to change it.
    let environment = unsafe { environ };
    let address = environment.addr() as u64;
    if environment.is_null() || address & 7 != 0 || !(end.saturating_sub(MAIN_ROOM)..end).contains(&address) {
        return None;
    }
    // Below the environment: a null, the arguments from the last to the first, and their number.
    let mut count = 0;
    let mut word = environment.wrapping_sub(2);
    // SAFETY: all of it lies between this frame and `end`, and no pointer is as small as the number.
    while (word.addr() as u64) > here() && unsafe { word.read() } != count {
        count += 1;
        word = word.wrapping_sub(1);
    }
    Some(word.addr() as u64).filter(|&word| word > here())
}

thread_local! {
    // Handlers read these: constant, without a destructor.
    static LOW: Cell<u64> = const { Cell::new(0) };
    static HIGH: Cell<u64> = const { Cell::new(0) };
}

/// The stack that `sp` points into, as far as it is known: its first address and the one past its last.
pub(crate) fn bounds(sp: u64) -> Option<(u64, u64)> {
    let (low, high) = (LOW.get(), HIGH.get());
    if (low..high).contains(&sp) {
        return Some((low, high));
    }
    let end = MAIN_END.load(Ordering::Relaxed);
    let room = end.saturating_sub(MAIN_ROOM);
    (room..end).contains(&sp).then_some((room, end))
}

/// The same from ordinary code, which asks libc about the calling thread the first time.
pub(crate) fn learn_bounds(sp: u64) -> Option<(u64, u64)> {
    if let known @ Some(_) = bounds(sp) {
        return known;
    }
    if HIGH.get() == 0 {
        let (low, high) = ask_for_bounds().unwrap_or((0, 1));
        // A handler between the two sees an empty range or the whole.
        LOW.set(low);
        compiler_fence(Ordering::SeqCst);
        HIGH.set(high);
    }
    bounds(sp)
}

fn ask_for_bounds() -> Option<(u64, u64)> {
    // SAFETY: the calls get memory of their own kind, and the attributes are destroyed once they were filled.
    unsafe {
        // Asking about the main thread would read a file, and needs no answer from here.
        if libc::getpid() == libc::gettid() {
            return None;
        }
        let mut attributes = std::mem::zeroed::<libc::pthread_attr_t>();
        if libc::pthread_getattr_np(libc::pthread_self(), &mut attributes) != 0 {
            return None;
        }
        let (mut low, mut size) = (ptr::null_mut(), 0);
        let answer = libc::pthread_attr_getstack(&attributes, &mut low, &mut size);
        libc::pthread_attr_destroy(&mut attributes);
        let low = low.addr() as u64;
        // Whatever libc says, the frames we will read lie between here and its own place on the stack.
        (answer == 0 && low != 0).then(|| (low, low.saturating_add(size as u64)))
    }
}

/// About where the stack pointer is.
#[inline(never)]
pub(crate) fn here() -> u64 {
    let sp: u64;
    // SAFETY: copies a register.
    unsafe { asm!("mov {}, rsp", out(reg) sp, options(nomem, nostack, preserves_flags)) };
    sp
}

/// Whether so many more bytes of stack may be used. Ordinary code only.
pub(crate) fn has_room(sp: u64, room: u64) -> bool {
    match learn_bounds(sp) {
        Some((low, high)) if high == MAIN_END.load(Ordering::Relaxed) => {
            let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: fills a local.
            unsafe { libc::getrlimit(libc::RLIMIT_STACK, &mut limit) };
            // The arguments and the environment lie above and count as well: half of the limit is on the safe side.
            sp.saturating_sub(room) > low.max(high.saturating_sub(limit.rlim_cur / 2))
        }
        Some((low, _)) => sp.saturating_sub(low) > room,
        // A coroutine's: whatever pages lie below.
        None => (0..=room / PAGE).all(|page| readable((sp & !(PAGE - 1)).saturating_sub(page * PAGE))),
    }
}

const PAGE: u64 = 4096;

/// Where a stack ends at the latest of which nothing is known: user space.
const UNKNOWN_END: u64 = 1 << 47;

/// Reads words from one thread's stack, that thread being the one that reads.
///
/// Between a frame and the end of its stack everything is mapped. Of a stack that we do not know (a coroutine's, an
/// alternate signal stack, a thread's on which no ordinary code of ours ran yet) each new page is tried first.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Nothing below is of interest: it is not in use.
    floor: u64,
    /// What may be read: from here on, so many bytes.
    low: u64,
    size: u64,
    /// No frame may reach beyond.
    pub(crate) end: u64,
}

impl Memory {
    /// The stack in use from `sp` on, which `bounds` is the answer for.
    pub(crate) fn new(sp: u64, bounds: Option<(u64, u64)>) -> Memory {
        match bounds {
            Some((_, end)) => Memory { floor: sp, low: sp, size: end.saturating_sub(sp), end },
            None => Memory { floor: sp, low: sp, size: 0, end: UNKNOWN_END },
        }
    }

    /// Whether the frame at `sp` is one of libc's own that began the stack. musl's C code has no unwind information: a
    /// walk that ends there for want of it has come to the root. glibc's says where the root is.
    pub(crate) fn is_beginning(&self, sp: u64) -> bool {
        cfg!(target_env = "musl") && self.end.wrapping_sub(sp) < 512
    }

    /// The word at `address`, if it may be read.
    #[inline]
    pub(crate) fn read(&mut self, address: u64) -> Option<u64> {
        // Words are aligned, so that one begun in a page ends in it.
        if address & 7 != 0 || (address.wrapping_sub(self.low) >= self.size && !self.reach(address)) {
            return None;
        }
        // SAFETY: on a known stack `address` lies between the calling thread's frame and the stack's end; of
        // an unknown one the page was tried a moment ago.
        Some(unsafe { ptr::with_exposed_provenance::<u64>(address as usize).read_volatile() })
    }

    /// Takes in the page of `address`, if it is one of a stack that we do not know.
    #[cold]
    #[inline(never)]
    fn reach(&mut self, address: u64) -> bool {
        // A known stack is within reach as a whole.
        if self.end != UNKNOWN_END || address < self.floor || address >= self.end {
            return false;
        }
        let page = address & !(PAGE - 1);
        if !readable(page) {
            return false;
        }
        if page != self.low.wrapping_add(self.size) {
            self.low = page.max(self.floor);
        }
        self.size = page.wrapping_add(PAGE).wrapping_sub(self.low);
        true
    }
}

/// Whether the kernel can read the page at `page`: it reads a signal set before it looks at what to do with it.
fn readable(page: u64) -> bool {
    const NONSENSE: u64 = 0x7fff_ffff;
    let mut result = libc::SYS_rt_sigprocmask;
    // SAFETY: with a bad `how` the call changes nothing, and writes nothing without a place to write to.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") result,
            in("rdi") NONSENSE,
            in("rsi") page,
            in("rdx") 0_u64,
            in("r10") 8_u64,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result == -i64::from(libc::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_knows_what_can_be_read() {
        let local = 0_u64;
        assert!(readable((&raw const local).addr() as u64 & !(PAGE - 1)));
        assert!(!readable(0));
        assert!(!readable(1 << 46));
    }

    #[test]
    fn memory_ends_where_the_stack_does() {
        let words = [1_u64, 2, 3, 4];
        let start = words.as_ptr().expose_provenance() as u64;
        let mut memory = Memory::new(start + 8, Some((start, start + 24)));
        assert_eq!(memory.read(start), None, "below the stack pointer");
        assert_eq!(memory.read(start + 8), Some(2));
        assert_eq!(memory.read(start + 12), None, "unaligned");
        assert_eq!(memory.read(start + 16), Some(3));
        assert_eq!(memory.read(start + 24), None, "beyond the end");
        let mut unknown = Memory::new(start + 8, None);
        assert_eq!(unknown.read(start + 24), Some(4));
        assert_eq!(unknown.read(start + 8), Some(2));
        assert_eq!(unknown.read(start), None, "below the stack pointer, in a page that is known by now");
        assert_eq!(unknown.read(0x7000_0000_0000), None);
    }

    #[test]
    fn a_thread_learns_where_its_stack_ends() {
        std::thread::spawn(|| {
            let local = 0_u64;
            let sp = (&raw const local).addr() as u64;
            let (low, high) = learn_bounds(sp).unwrap();
            assert!(low < sp && sp < high && high - low >= 16 << 10);
            assert_eq!(bounds(sp), Some((low, high)));
            assert_eq!(bounds(high), None);
        })
        .join()
        .unwrap();
    }
}
