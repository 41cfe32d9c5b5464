//! A profile is a name with a count and a snapshot behind it; this is the registry of all of them.
//!
//! Whoever fills a profile submits it at compile time through `inventory` (the one `collect!` is here), so that
//! [`lookup`] knows every name before any of its code has run. The catalogue is made at the first lookup, in a
//! fixed order: predefined names win, and a name that is taken becomes unique by its place.
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::RefUnwindSafe;
use std::sync::OnceLock;
use std::time::Duration;

use crate::fork::{Guard, Lock};

use crate::alive::Wanted;
use crate::error::{Error, Result};
use crate::hook::custom::{Key, Members, Tracked};
use crate::record::{Fact, Kind, Rate};
use crate::site::{self, FunctionSite, LockSite, Place, late_locks};
use crate::snapshot::Snapshot;
use crate::stack;

/// What a profile needs of whoever fills it. Read rooms call it; it may take time, but never blocks a hook.
pub(crate) trait Source: Sync + RefUnwindSafe {
    /// What the index page shows.
    fn count(&self) -> usize;

    /// A copy of everything now. `name` is the profile's, to be put into [`Meta`](crate::snapshot::Meta).
    fn snapshot(&self, name: &'static str) -> Snapshot;

    /// A part of it, or another state: `None` if it has no such view.
    fn view(&self, _name: &'static str, _view: View) -> Option<Snapshot> {
        None
    }

    /// Whether it has this view.
    fn has_view(&self, _view: View) -> bool {
        false
    }

    /// Begins a window of its own, for profiles that have to be switched on to see anything.
    fn start(&self, _how: How) -> Result<Box<dyn Recording>> {
        Err(Error::Unsupported("this profile records by itself; take two snapshots and their difference"))
    }

    /// Whether [`start`](Self::start) is how a window of it is made.
    #[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only the server asks"))]
    fn is_started(&self) -> bool {
        false
    }

    /// Whether values only grow, so that the difference of two snapshots is a window.
    #[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only the server asks"))]
    fn is_cumulative(&self) -> bool {
        true
    }

    /// The rate in force, for people: `1 sample in 524288 bytes`.
    #[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only the server asks"))]
    fn rate(&self) -> Option<String> {
        None
    }

    /// The rate in force, in the unit that [`set_rate`](Self::set_rate) takes; `None` if there is none.
    #[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only the server asks"))]
    fn rate_now(&self) -> Option<Rate> {
        None
    }

    /// What whoever fills it has to say of itself.
    #[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only the server asks"))]
    fn facts(&self) -> Vec<Fact> {
        Vec::new()
    }

    /// Sets the rate, in the profile's own unit: bytes, nanoseconds, one in so many, samples a second.
    fn set_rate(&self, _rate: u64) -> Result<()> {
        Err(Error::Unsupported("this profile has no rate"))
    }
}

/// What is wanted of a profile, rather than all of it as of now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only the server asks"))]
pub(crate) enum View {
    /// What has been there for so long.
    OlderThan(Duration),
    /// Its state when there was most of it.
    Peak,
    /// What is not over yet in rows of its own.
    Waiting,
    /// Of what is alive these, so.
    Alive(Wanted),
}

/// How a window is sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct How {
    pub(crate) hz: u32,
    /// By the wall clock: threads that wait, too.
    pub(crate) wall: bool,
    /// Samples carry the names of their threads.
    pub(crate) thread_names: bool,
    /// Those within tasks have the tasks that await them for callers.
    pub(crate) task_stacks: bool,
}

/// A window that was begun with [`Source::start`]. Dropping it ends it without a result.
pub(crate) trait Recording: Send {
    /// Ends the window.
    fn finish(self: Box<Self>) -> Snapshot;
}

enum Content {
    Source(&'static dyn Source),
    Custom(Members),
}

/// A named collection of samples.
///
/// Every profile is found by [`lookup`] and listed by [`profiles`]. All methods may be called at any time from any
/// thread.
pub struct Profile {
    declared: Cow<'static, str>,
    /// The name after clashes are settled; unset until the catalogue is made.
    unique: OnceLock<&'static str>,
    help: Cow<'static, str>,
    kind: Kind,
    place: Option<Place>,
    content: Content,
}

impl Profile {
    /// One of ours.
    pub(crate) const fn predefined(
        name: &'static str,
        help: &'static str,
        source: &'static dyn Source,
    ) -> Self {
        Profile {
            declared: Cow::Borrowed(name),
            unique: OnceLock::new(),
            help: Cow::Borrowed(help),
            kind: Kind::Predefined,
            place: None,
            content: Content::Source(source),
        }
    }

    /// What `profile!` makes.
    #[doc(hidden)]
    pub const fn custom(name: &'static str, place: Place) -> Self {
        Profile {
            declared: Cow::Borrowed(name),
            unique: OnceLock::new(),
            help: Cow::Borrowed("Stack traces of what `add` was called for"),
            kind: Kind::Custom,
            place: Some(place),
            content: Content::Custom(Members::new()),
        }
    }

    /// A function's or a lock's.
    pub(crate) fn of_site(
        kind: Kind,
        name: String,
        help: String,
        place: Place,
        source: &'static dyn Source,
    ) -> Self {
        Profile {
            declared: Cow::Owned(name),
            unique: OnceLock::new(),
            help: Cow::Owned(help),
            kind,
            place: Some(place),
            content: Content::Source(source),
        }
    }

    /// The name that [`lookup`] finds it by.
    pub fn name(&self) -> &str {
        match self.unique.get() {
            Some(name) => name,
            // Only a profile of the catalogue can have been renamed, so making that settles it.
            None => {
                drop(catalogue());
                self.unique.get().copied().unwrap_or(&self.declared)
            }
        }
    }

    /// One sentence on what it holds.
    pub fn help(&self) -> &str {
        &self.help
    }

    /// Where it comes from.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How much is in it: distinct stacks, calls of a function, members of a custom profile.
    pub fn count(&self) -> usize {
        match &self.content {
            Content::Source(source) => source.count(),
            Content::Custom(members) => members.count(),
        }
    }

    /// A consistent, owned, sorted copy of it.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = match &self.content {
            Content::Source(source) => source.snapshot(self.unique_name()),
            Content::Custom(members) => members.snapshot(self.unique_name()),
        };
        snapshot.name_waits();
        snapshot
    }

    /// Another view of it than [`snapshot`](Self::snapshot); where there is none, that one.
    pub(crate) fn view(&self, view: View) -> Snapshot {
        let name = self.unique_name();
        // No calls of the standard library's on the way, which would stand in the caller's stack where it is a part of it.
        if let Some(source) = self.source()
            && let Some(mut seen) = source.view(name, view)
        {
            seen.name_waits();
            seen.name_creators();
            return seen;
        }
        self.snapshot()
    }

    /// Adds `key` to a custom profile, with the stack of the caller: frames of the caller are left out, `skip` of
    /// them, so that 0 begins with whoever called `add`.
    ///
    /// # Errors
    /// [`Error::NotCustom`] on a profile that fills itself, [`Error::DuplicateKey`] if `key` is in it already.
    #[inline(never)]
    pub fn add(&self, key: impl Into<Key>, skip: usize) -> Result<()> {
        match &self.content {
            Content::Source(_) => Err(Error::NotCustom),
            Content::Custom(members) => {
                let added = members.add(key.into(), skip + 1);
                stack::stay();
                added
            }
        }
    }

    /// Takes `key` out of a custom profile and says whether it was there.
    pub fn remove(&self, key: impl Into<Key>) -> bool {
        match &self.content {
            Content::Source(_) => false,
            Content::Custom(members) => members.remove(key.into()),
        }
    }

    /// Adds a member now, with the caller's stack, and removes it when the result is dropped.
    ///
    /// On a profile that fills itself it does nothing.
    #[must_use = "dropping it removes the member at once"]
    #[inline(never)]
    pub fn track(&'static self) -> Tracked {
        match &self.content {
            Content::Source(_) => Tracked::nothing(),
            Content::Custom(members) => {
                let tracked = members.track(1);
                stack::stay();
                tracked
            }
        }
    }

    /// What fills it, unless `add` does.
    pub(crate) fn source(&self) -> Option<&'static dyn Source> {
        match self.content {
            Content::Source(source) => Some(source),
            Content::Custom(_) => None,
        }
    }

    /// The declared name, if it was taken and this profile goes by another.
    #[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only the server asks"))]
    pub(crate) fn renamed_from(&self) -> Option<&str> {
        (self.name() != self.declared).then_some(&*self.declared)
    }

    /// [`name`](Self::name), for as long as the process lives.
    pub(crate) fn unique_name(&self) -> &'static str {
        drop(catalogue());
        self.unique.get().copied().unwrap_or("")
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile")
            .field("name", &self.name())
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// What is submitted at compile time.
#[doc(hidden)]
#[derive(Debug)]
#[non_exhaustive]
pub enum Entry {
    /// A predefined or a custom profile.
    Profile(&'static Profile),
    /// `#[profiled]`.
    Function(&'static FunctionSite),
    /// `profile_mutex!`.
    Lock(&'static LockSite),
}

inventory::collect!(Entry);

/// The profile of this name: predefined, of a function or a lock, or custom.
///
/// Names are compared exactly. A function is found before it ever ran; a lock made by a typed wrapper's own `new`
/// after its first use.
pub fn lookup(name: &str) -> Option<&'static Profile> {
    catalogue().by_name.get(name).copied()
}

/// All profiles, sorted by name.
pub fn profiles() -> Vec<&'static Profile> {
    catalogue().by_name.values().copied().collect()
}

struct Catalogue {
    by_name: BTreeMap<&'static str, &'static Profile>,
    /// What was submitted at compile time is in it.
    made: bool,
    /// How many of the sites that came after compile time are in it.
    late: usize,
}

/// Held for map operations only; nothing of the program's runs under it.
fn catalogue() -> Guard<'static, Catalogue> {
    static CATALOGUE: Lock<Catalogue> =
        Lock::new(Catalogue { by_name: BTreeMap::new(), late: 0, made: false });
    let mut catalogue = CATALOGUE.lock();
    if !catalogue.made {
        catalogue.made = true;
        at_compile_time(&mut catalogue);
    }
    for site in late_locks(catalogue.late) {
        catalogue.late += 1;
        catalogue.enter(of_lock(site));
    }
    catalogue
}

fn at_compile_time(catalogue: &mut Catalogue) {
    let entries = inventory::iter::<Entry>.into_iter().filter_map(|entry| match entry {
        Entry::Profile(profile) => Some(*profile),
        Entry::Lock(site) => Some(of_lock(site)),
        Entry::Function(_) => None,
    });
    let functions = site::functions().map(|site| {
        let profile = leak(crate::hook::function::profile_of(site));
        _ = site.profile.set(profile);
        profile
    });
    let mut profiles: Vec<&'static Profile> = entries.chain(functions).collect();
    // `inventory` visits in no order; ours is fixed, so that the same program has the same names.
    profiles.sort_by(|a, b| (a.kind, &a.declared, a.place).cmp(&(b.kind, &b.declared, b.place)));
    for profile in profiles {
        catalogue.enter(profile);
    }
}

fn of_lock(site: &'static LockSite) -> &'static Profile {
    let profile = leak(crate::hook::lock::profile_of(site));
    _ = site.profile.set(profile);
    profile
}

/// Sites are as many as there are places in the source, and live as long as the process.
fn leak(profile: Profile) -> &'static Profile {
    Box::leak(Box::new(profile))
}

impl Catalogue {
    /// Predefined names come first; on a clash it is the later one that takes the suffix.
    fn enter(&mut self, profile: &'static Profile) {
        let declared: &'static str = &profile.declared;
        let name = match self.by_name.contains_key(declared) {
            false => declared,
            true => {
                let place = profile.place.unwrap_or_default();
                let short = format!("{declared} ({}:{})", place.file, place.line);
                let long = format!("{declared} ({}:{}:{})", place.file, place.line, place.column);
                let numbered = (2..).map(|n| format!("{long} #{n}"));
                let free = [short, long.clone()]
                    .into_iter()
                    .chain(numbered)
                    .find(|name| !self.by_name.contains_key(name.as_str()))
                    .unwrap_or(long);
                String::leak(free)
            }
        };
        _ = profile.unique.set(name);
        self.by_name.insert(name, profile);
    }
}
