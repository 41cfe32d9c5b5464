#![expect(unsafe_code, reason = "reads the loader's list and the mapped files")]
//! What the loader has mapped.
//!
//! `dl_iterate_phdr` takes the loader's lock. A constructor that allocates runs under that very lock, and our
//! allocation hook under the constructor, so the hook must never ask the loader: a constructor of our own notes
//! the modules of the start, which stay for ever, and all later ones are found by ordinary code.
use std::cell::UnsafeCell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::{ptr, slice};

use crate::module::Segment;

/// How often the loader has added and removed modules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) added: u64,
    pub(crate) removed: u64,
}

/// A mapped file, which stays mapped for `'a`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loaded<'a> {
    name: *const c_char,
    bias: u64,
    headers: *const libc::Elf64_Phdr,
    count: usize,
    mapped: PhantomData<&'a ()>,
}

impl<'a> Loaded<'a> {
    /// The path as the loader knows it, empty for the main program.
    pub(crate) fn name(&self) -> &'a CStr {
        // SAFETY: the loader's string lives as long as the module.
        let name = if self.name.is_null() { c"" } else { unsafe { CStr::from_ptr(self.name) } };
        // What musl calls a program without a loader.
        if name == c"/proc/self/exe" { c"" } else { name }
    }

    /// Address in this process minus address in the file's own terms.
    pub(crate) fn bias(&self) -> u64 {
        self.bias
    }

    fn headers(&self) -> &'a [libc::Elf64_Phdr] {
        if self.headers.is_null() {
            return &[];
        }
        // SAFETY: the loader's own pointer and count, of a module that is mapped.
        unsafe { slice::from_raw_parts(self.headers, self.count) }
    }

    fn of_kind(&self, kind: u32) -> impl Iterator<Item = &'a libc::Elf64_Phdr> + use<'a> {
        self.headers().iter().filter(move |header| header.p_type == kind)
    }

    /// The executable segments.
    pub(crate) fn text(&self) -> impl Iterator<Item = Segment> + use<'a> {
        let bias = self.bias;
        self.of_kind(libc::PT_LOAD).filter(|header| header.p_flags & libc::PF_X != 0).map(move |header| {
            let start = bias.wrapping_add(header.p_vaddr);
            Segment { start, end: start.saturating_add(header.p_memsz), offset: header.p_offset }
        })
    }

    /// The mapped bytes from `address` to the end of their read-only segment.
    pub(crate) fn bytes_from(&self, address: u64) -> Option<&'a [u8]> {
        let readable = |flags| flags & (libc::PF_R | libc::PF_W) == libc::PF_R;
        self.of_kind(libc::PT_LOAD).filter(|header| readable(header.p_flags)).find_map(|header| {
            let start = self.bias.wrapping_add(header.p_vaddr);
            let end = start.checked_add(header.p_filesz)?;
            let length = end.checked_sub(address).filter(|_| address >= start)?;
            let pointer = ptr::with_exposed_provenance::<u8>(address as usize);
            // SAFETY: within a readable segment that nobody writes to, of a module that is mapped.
            Some(unsafe { slice::from_raw_parts(pointer, length as usize) })
        })
    }

    /// The C function `main`, if this is the program: what the code at its entry hands to libc.
    ///
    /// Of a stripped program nothing else tells where it is, and with `panic = "abort"` rustc's own `main` is the one
    /// function without unwind information.
    pub(crate) fn main(&self) -> Option<u64> {
        // SAFETY: takes a number, gives a number.
        let entry = unsafe { libc::getauxval(libc::AT_ENTRY) };
        // From the system's crt1.o, 38 bytes; what it does not need is padding.
        let code = self.bytes_from(entry)?.get(..48)?;
        let (at, kind, operand) = code.windows(7).enumerate().find_map(|(at, code)| match *code {
            // lea rdi, [rip + operand], or mov rdi, operand.
            [0x48, kind @ 0x8d, 0x3d, a, b, c, d] | [0x48, kind @ 0xc7, 0xc7, a, b, c, d] => {
                Some((at as u64 + 7, kind, i64::from(i32::from_le_bytes([a, b, c, d]))))
            }
            _ => None,
        })?;
        let main = if kind == 0x8d { entry.wrapping_add(at) } else { 0 }.wrapping_add_signed(operand);
        self.text().any(|text| (text.start..text.end).contains(&main)).then_some(main)
    }

    /// Where `.eh_frame_hdr` lies.
    pub(crate) fn eh_frame_hdr(&self) -> Option<u64> {
        self.of_kind(libc::PT_GNU_EH_FRAME).next().map(|header| self.bias.wrapping_add(header.p_vaddr))
    }

    /// The GNU build id.
    pub(crate) fn build_id(&self) -> Option<&'a [u8]> {
        self.of_kind(libc::PT_NOTE).find_map(|header| {
            let notes = self.bytes_from(self.bias.wrapping_add(header.p_vaddr))?;
            build_id(notes.get(..header.p_filesz as usize)?, header.p_align as usize)
        })
    }
}

/// Where the kernel put its own module, or 0.
fn vdso_start() -> u64 {
    // SAFETY: takes a number, gives a number.
    unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) }
}

/// The kernel's own module, which stays for ever.
fn vdso() -> Option<Loaded<'static>> {
    let start = vdso_start();
    let pointer = ptr::with_exposed_provenance::<libc::Elf64_Ehdr>(start as usize);
    // SAFETY: null, or what the kernel says is there: a file, mapped as a whole from its header on.
    let file = unsafe { pointer.as_ref()? };
    let headers = ptr::with_exposed_provenance::<libc::Elf64_Phdr>(start.wrapping_add(file.e_phoff) as usize);
    let mut module =
        Loaded { name: ptr::null(), bias: 0, headers, count: usize::from(file.e_phnum), mapped: PhantomData };
    let first = module.of_kind(libc::PT_LOAD).next()?;
    module.bias = start.wrapping_sub(first.p_vaddr.wrapping_sub(first.p_offset));
    Some(module)
}

/// Whether this is the text of the kernel's own module.
pub(crate) fn is_vdso(text: &[Segment]) -> bool {
    let vdso = vdso_start();
    vdso != 0 && text.iter().any(|text| text.start.wrapping_sub(text.offset) == vdso)
}

/// Finds `NT_GNU_BUILD_ID` among notes: three words (length of the name, length of the content, kind), both padded.
fn build_id(mut notes: &[u8], align: usize) -> Option<&[u8]> {
    const NT_GNU_BUILD_ID: u32 = 3;
    let padded = |length: usize| length.checked_next_multiple_of(if align == 8 { 8 } else { 4 });
    while let Some((head, rest)) = notes.split_first_chunk::<12>() {
        let word =
            |at: usize| head.get(at..at + 4).map_or(0, |w| u32::from_ne_bytes([w[0], w[1], w[2], w[3]]));
        let (name, content) = (word(0) as usize, word(4) as usize);
        // The name follows twelve bytes of head: with an alignment of eight it is padded together with them.
        let skipped = padded(name.checked_add(12)?)?.checked_sub(12)?;
        let description = rest.get(skipped..)?;
        if word(8) == NT_GNU_BUILD_ID && rest.get(..name) == Some(b"GNU\0") {
            return description.get(..content);
        }
        notes = description.get(padded(content)?..)?;
    }
    None
}

/// Visits every module under the loader's lock. Ordinary code only.
pub(crate) fn visit(mut look: impl FnMut(Loaded<'_>, Changes) -> ControlFlow<()>) {
    let (mut listed, mut goes_on, mut last) = (false, true, Changes::default());
    visit_list(|module, changes| {
        last = changes;
        listed |= module.text().any(|text| is_vdso(&[text]));
        let flow = look(module, changes);
        goes_on = flow.is_continue();
        flow
    });
    // musl does not list it in a program that is linked statically.
    if goes_on
        && !listed
        && let Some(vdso) = vdso()
    {
        _ = look(vdso, last);
    }
}

fn visit_list(mut look: impl FnMut(Loaded<'_>, Changes) -> ControlFlow<()>) {
    unsafe extern "C" fn one<F: FnMut(Loaded<'_>, Changes) -> ControlFlow<()>>(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        look: *mut c_void,
    ) -> c_int {
        // SAFETY: the loader's own record, and our closure, for the length of this call.
        let (info, look) = unsafe { (&*info, &mut *look.cast::<F>()) };
        let changes = Changes { added: info.dlpi_adds, removed: info.dlpi_subs };
        c_int::from(look(Loaded::of(info), changes).is_break())
    }
    fn callback<F>(_: &F) -> unsafe extern "C" fn(*mut libc::dl_phdr_info, usize, *mut c_void) -> c_int
    where
        F: FnMut(Loaded<'_>, Changes) -> ControlFlow<()>,
    {
        one::<F>
    }
    let callback = callback(&look);
    // SAFETY: the callback gets back the closure that it was made for.
    unsafe { libc::dl_iterate_phdr(Some(callback), (&raw mut look).cast()) };
}

impl Loaded<'_> {
    fn of(info: &libc::dl_phdr_info) -> Loaded<'_> {
        Loaded {
            name: info.dlpi_name,
            bias: info.dlpi_addr,
            headers: info.dlpi_phdr,
            count: usize::from(info.dlpi_phnum),
            mapped: PhantomData,
        }
    }
}

/// glibc's record of the module at an address (2.35 and later): found without a lock, and in handlers too.
#[repr(C)]
struct Found {
    flags: u64,
    start: *const libc::Elf64_Ehdr,
    end: *const c_void,
    map: *const LinkMap,
    eh_frame_hdr: *const c_void,
    reserved: [u64; 7],
}

/// The public part of the loader's record of a module.
#[repr(C)]
struct LinkMap {
    bias: u64,
    name: *const c_char,
}

/// `_dl_find_object`, or null.
static FIND: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// Looks at the module that holds `address`, without the loader's lock.
///
/// `address` is one that the calling thread will return to, so that nobody may unload its module meanwhile.
pub(crate) fn holding<R>(address: u64, look: impl FnOnce(Loaded<'_>) -> R) -> Option<R> {
    let find = FIND.load(Ordering::Relaxed);
    if find.is_null() {
        return None;
    }
    // SAFETY: glibc's function of this name has this type.
    let find: extern "C" fn(*mut c_void, *mut Found) -> c_int = unsafe { std::mem::transmute(find) };
    let mut found = Found {
        flags: 0,
        start: ptr::null(),
        end: ptr::null(),
        map: ptr::null(),
        eh_frame_hdr: ptr::null(),
        reserved: [0; 7],
    };
    if find(ptr::without_provenance_mut(address as usize), &mut found) != 0 || found.map.is_null() {
        return None;
    }
    // SAFETY: the module stays, and the loader's record of it as long; its first page begins with the file's header.
    let (map, file) = unsafe { (&*found.map, &*found.start) };
    if file.e_ident.get(..4) != Some(b"\x7fELF") {
        return None;
    }
    let headers = (found.start.addr() as u64).wrapping_add(file.e_phoff);
    Some(look(Loaded {
        name: map.name,
        bias: map.bias,
        headers: ptr::with_exposed_provenance(headers as usize),
        count: usize::from(file.e_phnum),
        mapped: PhantomData,
    }))
}

/// Modules that the start can note. Programs have a few dozen; more are found by the first refresh.
const NOTED: usize = 512;

struct Start {
    count: AtomicUsize,
    /// Written before `count`, by the constructor, and never again.
    modules: UnsafeCell<[Option<Loaded<'static>>; NOTED]>,
    changes: UnsafeCell<Changes>,
}

// SAFETY: written once, before `count` says so.
unsafe impl Sync for Start {}

static START: Start = Start {
    count: AtomicUsize::new(0),
    modules: UnsafeCell::new([None; NOTED]),
    changes: UnsafeCell::new(Changes { added: 0, removed: 0 }),
};

/// Whether our constructor has run. Those of a higher rank run before it.
pub(crate) fn has_noted() -> bool {
    START.count.load(Ordering::Acquire) != 0
}

/// The modules that were there at the start and will be there at the end. Takes no lock.
pub(crate) fn at_start() -> (impl Iterator<Item = Loaded<'static>>, Changes) {
    let count = START.count.load(Ordering::Acquire);
    let first = START.modules.get().cast::<Option<Loaded<'static>>>();
    // SAFETY: what `count` covers is not written again.
    let modules = unsafe { slice::from_raw_parts(first, count) };
    // SAFETY: written before `count`.
    let changes = if count == 0 { Changes::default() } else { unsafe { *START.changes.get() } };
    (modules.iter().copied().flatten(), changes)
}

/// Notes the modules of the start. It must not allocate: the allocation hook may want them.
///
/// In a library that was opened by a running program, only the program, the vdso and that library itself are known
/// to stay; what else is there is left to the first refresh.
extern "C" fn note() {
    super::stack::record_main_end();
    if START.count.load(Ordering::Relaxed) != 0 {
        return;
    }
    let here = (note as extern "C" fn()) as usize as u64;
    let is_own = |module: &Loaded<'_>| module.text().any(|text| (text.start..text.end).contains(&here));
    let (mut count, mut position, mut at_startup, mut complete) = (0, 0, false, true);
    let mut seen = Changes::default();
    visit(|module, changes| {
        seen = changes;
        at_startup |= position == 0 && is_own(&module);
        let stays =
            at_startup || position == 0 || is_own(&module) || module.text().any(|text| is_vdso(&[text]));
        if stays && count < NOTED {
            let module = Loaded { mapped: PhantomData, ..module };
            // SAFETY: constructors run one at a time, and `count` still says that nothing is here.
            unsafe { START.modules.get().cast::<Option<Loaded<'static>>>().add(count).write(Some(module)) };
            count += 1;
        } else {
            complete = false;
        }
        position += 1;
        ControlFlow::Continue(())
    });
    // SAFETY: a lookup by name.
    FIND.store(unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_dl_find_object".as_ptr()) }, Ordering::Relaxed);
    // SAFETY: as above.
    unsafe { START.changes.get().write(if complete { seen } else { Changes::default() }) };
    START.count.store(count, Ordering::Release);
    if !at_startup {
        pin(here);
    }
}

/// We are in a library that was opened by a running program.
static LATE: AtomicBool = AtomicBool::new(false);

/// Whether we came with a library that was opened at run time.
pub(crate) fn is_late() -> bool {
    LATE.load(Ordering::Relaxed)
}

/// Keeps this library for ever: handlers, keys and threads of ours would outlive its code.
fn pin(here: u64) {
    LATE.store(true, Ordering::Relaxed);
    let mut info = MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: asks for the object that holds our own code, and opens that one again by its name.
    unsafe {
        if libc::dladdr(here as *const c_void, info.as_mut_ptr()) != 0 {
            libc::dlopen(
                info.assume_init().dli_fname,
                libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE,
            );
        }
    }
}

super::at_start!(NOTE, "00099", note);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_noted_before_main() {
        let (modules, changes) = at_start();
        let modules: Vec<_> = modules.collect();
        let least = if cfg!(target_env = "musl") { 2 } else { 3 };
        assert!(modules.len() >= least, "the program, the vdso and, if it is a library, libc");
        assert!(modules[0].name().is_empty() && modules[0].text().count() > 0);
        assert_eq!(modules.iter().filter(|module| is_vdso(&module.text().collect::<Vec<_>>())).count(), 1);
        assert!(modules.iter().all(|module| module.eh_frame_hdr().is_some()));
        let main: u64;
        // SAFETY: takes an address. To declare it as a function the compiler refuses, where it puts this test and the `main`
        // of all tests into one unit.
        unsafe { std::arch::asm!("lea {}, [rip + main]", out(reg) main, options(nomem, nostack)) };
        // musl's first instructions do not tell; it knows the root by the stack's end.
        let told = cfg!(target_env = "gnu").then_some(main);
        assert_eq!(modules[0].main(), told);
        assert!(modules[1..].iter().all(|module| module.main().is_none()));
        let mut now = None;
        visit(|_, changes| {
            now = Some(changes);
            ControlFlow::Break(())
        });
        assert_eq!(now, Some(changes));
    }

    #[test]
    fn build_ids_are_found_among_notes() {
        let note = |name: &[u8], content: &[u8], kind: u32| {
            let mut bytes = Vec::new();
            for word in [name.len() as u32, content.len() as u32, kind] {
                bytes.extend(word.to_ne_bytes());
            }
            for part in [name, content] {
                bytes.extend(part);
                bytes.resize(bytes.len().next_multiple_of(4), 0);
            }
            bytes
        };
        let notes = [note(b"Linux\0", b"xyz", 3), note(b"GNU\0", b"12345", 3)].concat();
        assert_eq!(build_id(&notes, 4), Some(&b"12345"[..]));
        assert_eq!(build_id(&notes[..notes.len() - 4], 4), None, "cut off");
        assert_eq!(build_id(&note(b"GNU\0", b"1", 1), 4), None);
        assert_eq!(build_id(&[0xff; 40], 4), None);
    }
}
