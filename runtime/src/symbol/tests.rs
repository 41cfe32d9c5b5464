#![expect(unsafe_code, reason = "takes stacks with the standard unwinder, to have addresses to look up")]
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};

#[cfg(not(profiled_portable))]
pub(crate) use super::image_tests::module_map;
use super::*;
use crate::module::ModuleMap;
use crate::record::ValueType;
use crate::snapshot::{Key, Meta, Row};
#[cfg(profiled_portable)]
pub(crate) use crate::stack::modules as module_map;

thread_local! {
    static FIXED: RefCell<BTreeMap<u64, Arc<[Frame]>>> = const { RefCell::new(BTreeMap::new()) };
}

/// Has `frames` found at `address` on this thread, whatever is there.
pub(crate) fn fix(address: u64, frames: &[Frame]) {
    FIXED.with_borrow_mut(|fixed| fixed.insert(address, frames.into()));
}

pub(super) fn fixed(address: u64) -> Option<Arc<[Frame]>> {
    FIXED.with_borrow(|fixed| fixed.get(&address).cloned())
}

unsafe extern "C-unwind" {
    fn _Unwind_Backtrace(
        step: extern "C-unwind" fn(*mut c_void, *mut c_void) -> c_int,
        stack: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetIPInfo(context: *mut c_void, before: *mut c_int) -> usize;
}

extern "C-unwind" fn step(context: *mut c_void, stack: *mut c_void) -> c_int {
    let mut before = 0;
    // SAFETY: the unwinder's own context, and the vector that `take` handed in.
    let (pc, stack) = unsafe { (_Unwind_GetIPInfo(context, &mut before), &mut *stack.cast::<Vec<u64>>()) };
    if pc != 0 {
        stack.push(pc as u64 - u64::from(before == 0));
    }
    0
}

/// Lookup addresses from the caller's on.
#[inline(never)]
pub(crate) fn take() -> Vec<u64> {
    let mut stack: Vec<u64> = Vec::with_capacity(256);
    // SAFETY: `step` takes what it is given here.
    unsafe { _Unwind_Backtrace(step, (&raw mut stack).cast()) };
    stack.remove(0);
    stack
}

pub(crate) fn snapshot_of(stacks: &[&[u64]], places: Places) -> Snapshot {
    let meta = Meta {
        profile: "test",
        value_types: vec![ValueType::new("test", "count")],
        places,
        ..Meta::default()
    };
    let rows = stacks.iter().map(|stack| Row { key: Key::of(Stack::intern(stack, 0)), values: [1, 0, 0, 0] });
    Snapshot::new(meta, rows.collect(), module_map())
}

#[inline(always)]
fn innermost() -> (Vec<u64>, u32) {
    (std::hint::black_box(take()), line!())
}

#[inline(always)]
fn between() -> (Vec<u64>, u32, u32) {
    let (stack, inner) = std::hint::black_box(innermost());
    (stack, inner, line!() - 1)
}

#[inline(never)]
pub(super) fn outermost() -> (Vec<u64>, [u32; 3]) {
    let (stack, inner, middle) = std::hint::black_box(between());
    (stack, [inner, middle, line!() - 1])
}

fn frames(stack: &[u64], places: Places) -> Vec<Frame> {
    let snapshot = snapshot_of(&[stack], places);
    snapshot.samples().next().unwrap().frames().collect()
}

#[test]
fn inlined_functions_come_with_names_and_lines() {
    let (stack, lines) = outermost();
    let frames = frames(&stack, Places::Code);
    let names: Vec<&str> = frames.iter().take(4).map(Frame::name).collect();
    let path = module_path!();
    assert_eq!(names[0], format!("{path}::innermost"), "{frames:#?}");
    assert_eq!(names[1], format!("{path}::between"));
    assert_eq!(names[2], format!("{path}::outermost"));
    assert_eq!(names[3], format!("{path}::inlined_functions_come_with_names_and_lines"));
    for (frame, line) in frames.iter().zip(lines) {
        assert_eq!(frame.line(), line, "{frame:?}");
        assert!(frame.file().unwrap().ends_with("src/symbol/tests.rs"), "{frame:?}");
        assert_eq!(frame.address(), stack[0], "one address, three functions");
        assert!(frame.system_name() != frame.name(), "{frame:?}");
        if cfg!(not(profiled_portable)) {
            assert!(frame.offset().is_some_and(|offset| offset < 4096), "{frame:?}");
        }
    }
    assert!(!frames[2].system_name().is_empty());
    let starts: Vec<u32> = frames.iter().take(3).map(Frame::start_line).collect();
    // Line tables alone do not tell where a function begins that exists nowhere on its own.
    let whole = std::env::var_os("PROFILED_TEST_DEBUG").is_some_and(|debug| debug == "full");
    let inlined = if whole { [lines[0] - 1, lines[1] - 1] } else { [0, 0] };
    let starts_there = [inlined[0], inlined[1], lines[2] - 1];
    // Looked up in process, a function has no beginning.
    assert_eq!(starts, if cfg!(profiled_portable) { [0; 3] } else { starts_there });
}

#[test]
fn levels_give_less_and_less() {
    let stack = outermost().0;
    let snapshot = snapshot_of(&[&stack], Places::Code);
    let names = Names::new(&snapshot, Level::Names).at(stack[0], 0);
    assert_eq!(names.len(), 1);
    assert_eq!(names[0].name(), concat!(module_path!(), "::outermost"));
    assert_eq!((names[0].file(), names[0].line(), names[0].start_line()), (None, 0, 0));
    assert!(Names::new(&snapshot, Level::Raw).at(stack[0], 0).is_empty());
}

#[test]
fn a_function_pointer_is_looked_up_as_it_is() {
    let entry = outermost as fn() -> (Vec<u64>, [u32; 3]) as usize as u64;
    let frames = frames(&[entry], Places::Code);
    assert_eq!(frames.last().unwrap().name(), concat!(module_path!(), "::outermost"));
    let beginning = if cfg!(profiled_portable) { None } else { Some(0) };
    assert_eq!(frames.last().unwrap().offset(), beginning);
}

#[test]
fn what_is_no_code_has_a_name_too() {
    let frames =
        frames(&[crate::record::pseudo::WAKE_UP, 0x10, crate::record::pseudo::TRUNCATED], Places::Code);
    let names: Vec<&str> = frames.iter().map(Frame::name).collect();
    assert_eq!(names, ["[wake-up]", "0x10", "[truncated]"]);
}

#[test]
fn an_unloaded_library_gets_no_name_of_its_successor() {
    let entry = outermost as fn() -> (Vec<u64>, [u32; 3]) as usize as u64;
    let mut snapshot = snapshot_of(&[&[entry]], Places::Code);
    let mut module = Module::clone(&snapshot.modules.modules[0]);
    module.first_epoch = 1;
    snapshot.modules = Arc::new(ModuleMap { modules: vec![Arc::new(module)], ..ModuleMap::default() });
    let frames: Vec<Frame> = snapshot.samples().next().unwrap().frames().collect();
    assert_eq!(frames[0].name(), format!("{entry:#x}"));
}

#[test]
fn plumbing_is_cut_at_the_leaf_only() {
    let frame = |name: &str| Frame::test(name, "", (1, 1), 0x1000, 0);
    let ours = frame("profiled::hook::alloc::sample");
    let theirs = frame("shop::main");
    let container = frame("alloc::raw_vec::RawVec<u8>::grow_one");
    let cut = |places: Places, frames: &[Frame]| {
        let snapshot = Snapshot { meta: Meta { places, ..Meta::default() }, ..Snapshot::default() };
        Names::new(&snapshot, Level::Names).plumbing(frames)
    };
    assert_eq!(cut(Places::Hooked, &[ours.clone(), theirs.clone(), ours.clone()]), 1);
    assert_eq!(cut(Places::Hooked, &[ours.clone(), ours.clone()]), 2);
    assert_eq!(cut(Places::Hooked, &[]), 0, "an address without a name is not ours");
    let grown = [ours, container.clone(), theirs, container];
    assert_eq!(cut(Places::Hooked, &grown), 1);
    assert_eq!(cut(Places::HookedQuietly, &grown), 2);
}

#[test]
fn hooked_stacks_begin_in_the_program() {
    // `demangle` stands for a hook: it is of this crate, and calls nothing of a test's.
    let hook = resolve::drop_idle as fn() as usize as u64;
    let (stack, _) = outermost();
    let hooked: Vec<u64> = std::iter::once(hook).chain(stack.clone()).collect();
    assert!(frames(&hooked, Places::Code)[0].name().starts_with("profiled::symbol::resolve"));
    assert_eq!(frames(&hooked, Places::Hooked), frames(&stack, Places::Code));
    assert!(!frames(&[hook], Places::Hooked).is_empty(), "never everything");
}
