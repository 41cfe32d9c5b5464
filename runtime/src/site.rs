#![expect(unsafe_code, reason = "a list of statics by their addresses")]
//! A place in source that a macro marked.
mod name;

use std::collections::HashMap;
use std::panic::Location;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use crate::fork::Lock;
use crate::hook::function::Stats;
use crate::profile::{Entry, Profile, lookup};
use crate::store::arena::Placed;

/// Where something stands in the source.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file, as the compiler was given it.
    pub file: &'static str,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
}

/// How a function's name is made.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum Name {
    /// `name = ".."`.
    Literal(&'static str),
    /// `name = ".."` on an `impl` block: `prefix::function`.
    Prefixed(&'static str, &'static str),
    /// `module_path!()`, the function, and the type name of an item inside its body, which tells the type.
    Path {
        /// `module_path!()`.
        module: &'static str,
        /// The function's identifier.
        function: &'static str,
        /// `type_name` of an item inside the body.
        item: fn() -> &'static str,
    },
}

impl Name {
    /// Of a function in `module`, with an item of its body.
    pub const fn path<Item>(module: &'static str, function: &'static str, _item: Item) -> Name
    where
        Item: Copy,
    {
        Name::Path { module, function, item: std::any::type_name::<Item> }
    }

    /// The site of this name, at the place of this call.
    #[track_caller]
    pub const fn here(self) -> FunctionSite {
        let place = Location::caller();
        FunctionSite::new(self, place.file(), place.line(), place.column())
    }
}

/// A function that `#[profiled]` marks: one static a function in source. Every call reads it: it shares no line with
/// what the program writes.
#[doc(hidden)]
#[derive(Debug)]
#[repr(align(64))]
pub struct FunctionSite {
    /// Given out at the first call; 0 before. Shifted while calls are traced: see [`id`](Self::id).
    pub(crate) id: AtomicU32,
    /// Of an async function: counts the futures that ended.
    pub(crate) ended: AtomicU32,
    /// The same: counts the times they were polled.
    pub(crate) polls: AtomicU32,
    pub(crate) stats: Placed<Stats>,
    /// Set when the catalogue of profiles is made.
    pub(crate) profile: OnceLock<&'static Profile>,
    pub(crate) name: Name,
    pub(crate) place: Place,
    /// Its calls are in traces.
    pub(crate) traced: bool,
    /// The one that was registered before it.
    next: AtomicPtr<FunctionSite>,
}

impl FunctionSite {
    /// A site at this place.
    pub const fn new(name: Name, file: &'static str, line: u32, column: u32) -> Self {
        FunctionSite {
            id: AtomicU32::new(0),
            ended: AtomicU32::new(0),
            polls: AtomicU32::new(0),
            stats: Placed::new(),
            profile: OnceLock::new(),
            name,
            place: Place { file, line, column },
            traced: true,
            next: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// The same, left out of traces.
    pub const fn untraced(mut self) -> Self {
        self.traced = false;
        self
    }

    /// The id, or 0.
    #[inline(always)]
    pub(crate) fn id(&self) -> u32 {
        let id = self.id.load(Ordering::Relaxed);
        if id >> ID_BITS == 0 { id } else { id >> ID_BITS }
    }

    /// Whether its calls are being traced. No call then finds a counter by the id as it stands there.
    pub(crate) fn is_traced(&self) -> bool {
        self.id.load(Ordering::Relaxed) >> ID_BITS != 0
    }

    /// Has its calls traced from now on, or no longer; if it has an id.
    pub(crate) fn trace(&self, on: bool) {
        let id = self.id();
        if self.traced && id != 0 {
            let (from, to) = if on { (id, id << ID_BITS) } else { (id << ID_BITS, id) };
            _ = self.id.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

/// No id has more. One that is shifted by that many is none that a counter is found by: see
/// [`Directory`](crate::local).
const ID_BITS: u32 = 16;

/// Has calls of functions traced from now on, or no longer. Those that have no id yet find out at their first call.
pub(crate) fn trace(on: bool) {
    functions().for_each(|site| site.trace(on));
}

/// The site that was registered last.
static REGISTERED: AtomicPtr<FunctionSite> = AtomicPtr::new(std::ptr::null_mut());

/// Registers a site, once. The loader has it called before `main`, or when a library is opened: it does nothing but
/// store.
#[doc(hidden)]
pub fn register(site: &'static FunctionSite) {
    let address = std::ptr::from_ref(site).cast_mut();
    let mut last = REGISTERED.load(Ordering::Relaxed);
    loop {
        site.next.store(last, Ordering::Relaxed);
        match REGISTERED.compare_exchange_weak(last, address, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return,
            Err(other) => last = other,
        }
    }
}

/// A lock that `profile_mutex!` marks: one static a place in source.
#[doc(hidden)]
#[derive(Debug)]
pub struct LockSite {
    /// Given out at the first use; 0 before.
    pub(crate) id: AtomicU32,
    /// The ids of two more counters: of waits, and of their ticks.
    pub(crate) contended: AtomicU32,
    pub(crate) waited: AtomicU32,
    pub(crate) stats: Placed<crate::hook::lock::Stats>,
    /// Set when the catalogue of profiles meets it.
    pub(crate) profile: OnceLock<&'static Profile>,
    pub(crate) name: &'static str,
    pub(crate) place: Place,
}

impl LockSite {
    /// What `profile_mutex!` emits.
    pub const fn new(name: &'static str, file: &'static str, line: u32, column: u32) -> Self {
        LockSite {
            id: AtomicU32::new(0),
            contended: AtomicU32::new(0),
            waited: AtomicU32::new(0),
            stats: Placed::new(),
            profile: OnceLock::new(),
            name,
            place: Place { file, line, column },
        }
    }
}

/// The functions that `#[profiled]` marks, in no order.
pub(crate) fn functions() -> impl Iterator<Item = &'static FunctionSite> {
    let submitted = inventory::iter::<Entry>.into_iter().filter_map(|entry| match entry {
        Entry::Function(site) => Some(*site),
        _ => None,
    });
    // Acquire, because what was registered is read now; those before it came before it.
    let last = at(&REGISTERED, Ordering::Acquire);
    submitted.chain(std::iter::successors(last, |site| at(&site.next, Ordering::Relaxed)))
}

fn at(site: &AtomicPtr<FunctionSite>, order: Ordering) -> Option<&'static FunctionSite> {
    // SAFETY: null, or what `register` was given.
    unsafe { site.load(order).as_ref() }
}

impl FunctionSite {
    /// The name that `lookup` finds it by.
    pub(crate) fn unique_name(&'static self) -> &'static str {
        if self.profile.get().is_none() && self.place.line != 0 {
            // Making the catalogue is what settles names.
            _ = lookup("");
        }
        match (self.profile.get(), self.name) {
            (Some(profile), _) => profile.unique_name(),
            // A future's, that was named when it ran: it is in no catalogue.
            (None, Name::Literal(name)) => name,
            (None, _) => "",
        }
    }
}

/// The site whose address stands in a stack of scopes: its name and its place.
pub(crate) fn by_address(address: u64) -> Option<(&'static str, Place)> {
    static SITES: Lock<Option<HashMap<u64, &'static FunctionSite>>> = Lock::new(None);
    let mut sites = SITES.lock();
    let sites = sites.get_or_insert_with(|| {
        functions().map(|site| (std::ptr::from_ref(site).addr() as u64, site)).collect()
    });
    let known = sites.get(&address).copied().or_else(|| {
        let named = NAMED.lock();
        named.iter().find(|&&site| std::ptr::from_ref(site).addr() as u64 == address).copied()
    });
    known.map(|site| (site.unique_name(), site.place))
}

/// Sites of futures that were named when they ran.
static NAMED: Lock<Vec<&'static FunctionSite>> = Lock::new(Vec::new());

/// By the address of a name, which is a static text, the site that it has: looked at without a lock. A place that is taken by
/// another name is tried no further.
static BY_TEXT: [AtomicPtr<FunctionSite>; 1024] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 1024];

/// The site of futures that are called `name`. Ordinary code: the first time it allocates.
pub(crate) fn task_named(name: &'static str) -> &'static FunctionSite {
    let address = name.as_ptr().addr();
    let place = &BY_TEXT[(address ^ address >> 10) % BY_TEXT.len()];
    // SAFETY: null, or a site that lives for ever.
    if let Some(site) = unsafe { place.load(Ordering::Acquire).as_ref() }
        && let Name::Literal(known) = site.name
        && std::ptr::eq(known, name)
    {
        return site;
    }
    // What is allocated here is not the program's.
    let site = crate::local::with(|local| local.aside(|| named_slowly(name)));
    let null = std::ptr::null_mut();
    let address = std::ptr::from_ref(site).cast_mut();
    _ = place.compare_exchange(null, address, Ordering::Release, Ordering::Relaxed);
    site
}

fn named_slowly(name: &'static str) -> &'static FunctionSite {
    let mut named = NAMED.lock();
    let known = named.iter().find(|site| matches!(site.name, Name::Literal(known) if known == name));
    known.copied().unwrap_or_else(|| {
        let site = Box::leak(Box::new(FunctionSite::new(Name::Literal(name), "", 0, 0)));
        named.push(site);
        site
    })
}

/// Sites that were not known at compile time: locks made by a typed wrapper's own `new`.
static LATE: Lock<Vec<LateLock>> = Lock::new(Vec::new());

struct LateLock {
    file: &'static str,
    line: u32,
    column: u32,
    /// The lock's type: many places of the standard library make locks of several types.
    kind: &'static str,
    site: &'static LockSite,
}

/// The site of the locks of this type that are made at `caller`. Ordinary code inside a hook: it may allocate.
pub(crate) fn lock_at(caller: &'static Location<'static>, kind: &'static str) -> &'static LockSite {
    let (file, line, column) = (caller.file(), caller.line(), caller.column());
    let mut late = LATE.lock();
    let known =
        late.iter().find(|late| (late.line, late.column, late.file, late.kind) == (line, column, file, kind));
    if let Some(known) = known {
        return known.site;
    }
    // `derive(Default)`, `or_default` and the like call `new` from inside the standard library.
    let inside =
        file.starts_with("/rustc/") || file.contains("/library/core/") || file.contains("/library/alloc/");
    let name = if inside { format!("[unknown] {}", name::short(kind)) } else { format!("{file}:{line}") };
    // Sites are as many as there are places in the source.
    let site = Box::leak(Box::new(LockSite::new(name.leak(), file, line, column)));
    late.push(LateLock { file, line, column, kind, site });
    site
}

/// Late sites that the catalogue has not met.
pub(crate) fn late_locks(known: usize) -> Vec<&'static LockSite> {
    LATE.lock().iter().skip(known).map(|late| late.site).collect()
}

/// All lock sites, in no order.
pub(crate) fn locks() -> impl Iterator<Item = &'static LockSite> {
    let early = inventory::iter::<Entry>.into_iter().filter_map(|entry| match entry {
        Entry::Lock(site) => Some(*site),
        _ => None,
    });
    early.chain(late_locks(0))
}

impl LockSite {
    /// The name that `lookup` finds it by.
    pub(crate) fn unique_name(&'static self) -> &'static str {
        if self.profile.get().is_none() {
            _ = lookup("");
        }
        self.profile.get().map_or(self.name, |profile| profile.unique_name())
    }
}
