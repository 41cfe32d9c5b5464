#![expect(unsafe_code, reason = "a thread-local points to the label set that a guard on the same stack owns")]
//! Labels, and the scopes that set them.
//!
//! A set lies whole in the frame of the scope that made it, its pairs encoded one after another; the thread-local
//! points to it. So setting labels allocates nothing, a signal handler copies them with one pointer and one length,
//! and a set that no sample meets costs the process nothing: request ids may come by the million.
mod future;
#[cfg(feature = "tracing")]
mod held;

use std::fmt::{self, Display, Write};
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed, Ordering::SeqCst, compiler_fence};

use crate::record::Fact;
use crate::trace::record;
use crate::{local, store};

pub use future::{FutureExt, WithLabels};
#[cfg(feature = "tracing")]
pub(crate) use held::Held;

/// Bytes of an encoded set. Room for a dozen labels of ordinary length; what does not fit is left out and counted.
pub(crate) const MAX_BYTES: usize = 384;

/// A key or a value is cut here, at a character.
const MAX_TEXT: usize = 128;

static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

/// What to tell about labels that are missing.
pub(crate) fn losses() -> impl Iterator<Item = String> {
    let left_out = LEFT_OUT.load(Relaxed);
    let dropped = store::Labels::dropped();
    let full = (left_out > 0).then(|| format!("{left_out} labels left out: their set was full"));
    let many = (dropped > 0).then(|| format!("{dropped} samples lost their labels: too many different sets"));
    full.into_iter().chain(many)
}

/// The same as figures.
pub(crate) fn facts() -> Vec<Fact> {
    let dropped = store::Labels::dropped() as u64;
    vec![
        Fact::so_far("labels_left_out_total", "labels left out: their set was full", LEFT_OUT.load(Relaxed)),
        Fact::so_far("labels_lost_total", "samples that lost their labels: too many different sets", dropped),
    ]
}

/// A set of labels, sorted by key.
#[doc(hidden)]
pub struct Set {
    /// The set that was in force before this one, while this one is.
    outer: AtomicPtr<Set>,
    /// The future whose labels these are, if they are one's.
    future: Option<Which>,
    /// Which of its pairs, by their order, were inserted and not inherited: of the first 64, more than those are none.
    own: u64,
    len: usize,
    bytes: [u8; MAX_BYTES],
}

impl Clone for Set {
    /// The same labels, all of them inherited.
    fn clone(&self) -> Set {
        Set { len: self.len, bytes: self.bytes, ..Set::empty() }
    }
}

impl Set {
    pub(crate) const fn empty() -> Set {
        Set { outer: AtomicPtr::new(ptr::null_mut()), future: None, own: 0, len: 0, bytes: [0; MAX_BYTES] }
    }

    #[cfg(feature = "tracing")]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The same labels, of which the same are its own.
    #[cfg(feature = "tracing")]
    pub(crate) fn copy(&self) -> Set {
        Set { own: self.own, ..self.clone() }
    }

    /// Sets what is set in `other`.
    #[cfg(feature = "tracing")]
    pub(crate) fn insert_all(&mut self, other: &Set) {
        store::pairs(other.encoded()).for_each(|(key, value)| self.insert(key, value));
    }

    /// A copy of the labels in force.
    pub fn inherit() -> Set {
        current_set().cloned().unwrap_or(Set::empty())
    }

    /// A copy of the labels in force, with these.
    fn inherit_with(labels: &[(&str, &str)]) -> Set {
        let mut set = Set::inherit();
        labels.iter().for_each(|(key, value)| set.insert(key, value));
        set
    }

    /// Sets `key` to what `value` displays as. Within one set the later of two wins.
    pub fn insert(&mut self, key: &str, value: &(impl Display + ?Sized)) {
        let key = Text::of(&key);
        let value = Text::of(value);
        let (at, end, order) = self.place(key.as_str());
        let pair = 2 + key.len + value.len;
        let below = 1_u64.checked_shl(order).map_or(u64::MAX, |bit| bit - 1);
        let after = |first: u32| self.own.checked_shr(first).unwrap_or(0);
        if self.len - (end - at) + pair > MAX_BYTES {
            // Better no value than the outer scope's.
            if end > at {
                self.own = self.own & below | after(order + 1).checked_shl(order).unwrap_or(0);
            }
            self.bytes.copy_within(end..self.len, at);
            self.len -= end - at;
            LEFT_OUT.fetch_add(1, Relaxed);
            return;
        }
        let rest = after(order + u32::from(end > at)).checked_shl(order + 1).unwrap_or(0);
        self.own = self.own & below | 1_u64.checked_shl(order).unwrap_or(0) | rest;
        self.bytes.copy_within(end..self.len, at + pair);
        self.len = self.len - (end - at) + pair;
        let mut room = &mut self.bytes[at..at + pair];
        for text in [&key, &value] {
            room[0] = text.len as u8;
            room[1..=text.len].copy_from_slice(&text.bytes[..text.len]);
            room = &mut room[text.len + 1..];
        }
    }

    /// Puts it in force until the result is dropped.
    pub fn enter(&self) -> Scope<'_> {
        self.put_in_force();
        Scope { set: self, here: PhantomData }
    }

    /// For whoever calls [`put_out_of_force`](Self::put_out_of_force) on this thread before the set is gone.
    fn put_in_force(&self) {
        local::with(|local| {
            self.outer.store(local.labels.load(Relaxed), Relaxed);
            // A signal handler on this thread must find the set written before it finds the pointer.
            compiler_fence(SeqCst);
            local.labels.store(ptr::from_ref(self).cast_mut(), Relaxed);
        });
        if record::is_on() {
            record::labels(self.encoded());
        }
    }

    /// Takes the set out of the list, wherever in it it stands: scopes that futures hold across an `await` end in any
    /// order, and a set that is gone must not come back into force.
    fn put_out_of_force(&self) {
        local::with(|local| {
            let outer = self.outer.load(Relaxed);
            let mut at = &local.labels;
            loop {
                let set = at.load(Relaxed);
                if ptr::eq(set, self) {
                    at.store(outer, Relaxed);
                    break;
                }
                // SAFETY: the list holds sets whose scopes live, on this thread: no scope can leave it.
                match unsafe { set.as_ref() } {
                    Some(set) => at = &set.outer,
                    None => break,
                }
            }
        });
        // The set may go only after the handler can no longer find it.
        compiler_fence(SeqCst);
        if record::is_on() {
            record::labels(encoded());
        }
    }

    pub(crate) fn encoded(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Where `key` stands, or where it would: the range of its pair, empty if it is not there, and how many are before it.
    fn place(&self, key: &str) -> (usize, usize, u32) {
        let (mut at, mut before) = (0, 0);
        for (k, v) in store::pairs(self.encoded()) {
            let end = at + 2 + k.len() + v.len();
            match k.cmp(key) {
                std::cmp::Ordering::Less => (at, before) = (end, before + 1),
                std::cmp::Ordering::Equal => return (at, end, before),
                std::cmp::Ordering::Greater => break,
            }
        }
        (at, at, before)
    }

    /// What holds where both are in force: what was inserted here, then `around`, then what was inherited here.
    fn within(&self, around: &Set) -> Set {
        let mut set = around.clone();
        for (order, (key, value)) in store::pairs(self.encoded()).enumerate() {
            let own = order < 64 && self.own & 1 << order != 0;
            let (at, end, _) = set.place(key);
            if own || at == end {
                set.insert(key, value);
            }
        }
        set
    }
}

/// A future with labels: where its set lies, and when that was made.
type Which = (usize, u64);

/// Which future with labels is being polled on this thread, and the labels in force in it.
fn around() -> Option<(Which, &'static Set)> {
    let innermost = current_set()?;
    let mut at: Option<&Set> = Some(innermost);
    while let Some(set) = at {
        if let Some(which) = set.future {
            return Some((which, innermost));
        }
        // SAFETY: the list holds sets whose scopes live, on this thread: no scope can leave it.
        at = unsafe { set.outer.load(Relaxed).as_ref() };
    }
    None
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(store::pairs(self.encoded())).finish()
    }
}

/// A text of bounded length, written without allocating.
struct Text {
    len: usize,
    full: bool,
    bytes: [u8; MAX_TEXT],
}

impl Text {
    fn of(value: &(impl Display + ?Sized)) -> Text {
        let mut text = Text { len: 0, full: false, bytes: [0; MAX_TEXT] };
        // A `Display` that fails leaves what it wrote before.
        _ = write!(text, "{value}");
        text
    }

    fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl Write for Text {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        const CUT: &str = "…";
        if self.full {
            return Ok(());
        }
        let mut take = s;
        if self.len + s.len() > MAX_TEXT {
            self.full = true;
            let room = (MAX_TEXT - CUT.len()).saturating_sub(self.len);
            take = &s[..s.floor_char_boundary_before(room)];
            // What was written before may itself reach into the room for the mark.
            while self.len > MAX_TEXT - CUT.len() {
                self.len = self.as_str().char_indices().next_back().map_or(0, |(at, _)| at);
            }
        }
        self.bytes[self.len..self.len + take.len()].copy_from_slice(take.as_bytes());
        self.len += take.len();
        if self.full {
            self.bytes[self.len..self.len + CUT.len()].copy_from_slice(CUT.as_bytes());
            self.len += CUT.len();
        }
        Ok(())
    }
}

/// `str::floor_char_boundary`, which is younger than the compilers we support.
trait FloorCharBoundary {
    fn floor_char_boundary_before(&self, index: usize) -> usize;
}

impl FloorCharBoundary for str {
    fn floor_char_boundary_before(&self, index: usize) -> usize {
        (0..=index.min(self.len())).rev().find(|&at| self.is_char_boundary(at)).unwrap_or(0)
    }
}

/// Labels in force for as long as it lives. It belongs to the thread that made it.
#[doc(hidden)]
#[must_use = "dropping it puts the outer labels back at once"]
pub struct Scope<'a> {
    set: &'a Set,
    here: PhantomData<*const ()>,
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        self.set.put_out_of_force();
    }
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}

fn current_set() -> Option<&'static Set> {
    // SAFETY: the pointer is null or what the innermost living `Scope` of this thread put there, whose set is
    // borrowed for as long as the scope lives. Callers copy and return before any scope can end.
    local::with(|local| unsafe { local.labels.load(Relaxed).as_ref() })
}

/// The labels in force on this thread, interned. Not for signal handlers.
pub(crate) fn interned() -> store::Labels {
    current_set().map_or(store::Labels::none(), |set| store::Labels::intern(set.encoded()))
}

/// The same with one more label, which wins over one of its key.
pub(crate) fn interned_with(key: &str, value: &str) -> store::Labels {
    let mut set = Set::inherit();
    set.insert(key, value);
    store::Labels::intern(set.encoded())
}

/// The encoded labels in force. No lock, no allocation: signal handlers on this thread may ask.
pub(crate) fn encoded() -> &'static [u8] {
    current_set().map_or(&[], Set::encoded)
}

/// Runs `f` with these labels added to those in force: every sample taken meanwhile on this thread carries them.
///
/// The outer labels are back when `f` returns or panics. Keys and values are cut at 128 bytes, a whole set holds 384;
/// what does not fit is left out and counted. For values that need formatting there is [`labels!`](crate::labels!).
///
/// ```
/// let sum = profiled::labels::with(&[("route", "/cart")], || (0..100).sum::<u32>());
/// # assert_eq!(sum, 4950);
/// ```
pub fn with<R>(labels: &[(&str, &str)], f: impl FnOnce() -> R) -> R {
    let set = Set::inherit_with(labels);
    let _scope = set.enter();
    f()
}

/// The labels in force on this thread.
pub fn current() -> Labels {
    Labels(Box::new(Set::inherit()))
}

/// A copy of the labels of one moment.
#[derive(Clone)]
pub struct Labels(Box<Set>);

impl Labels {
    /// The pairs, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        store::pairs(self.0.encoded())
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(k, _)| *k == key).map(|(_, value)| value)
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Labels for the rest of the enclosing block: `labels! { "user" => id, "route" => path }`.
///
/// A key is a `&str`, a value anything that is `Display`; both are borrowed. Every sample taken on this thread until
/// the end of the block carries them, on top of those of the outer scopes. The labels are this *thread's*: in an async
/// function that keeps them across an `await` they go on while other tasks run on it. Labels of a future, wherever it is
/// polled, are [`with_labels`](crate::labels::FutureExt::with_labels)'s.
///
/// ```
/// fn handle(user: u64) {
///     profiled::labels! { "user" => user, "route" => "/cart" }
///     // ..
/// }
/// # handle(7);
/// ```
#[macro_export]
macro_rules! labels {
    ($($key:expr => $value:expr),+ $(,)?) => {
        let mut set = $crate::__private::Set::inherit();
        $(set.insert($key, &$value);)+
        let _scope = set.enter();
    };
    ($($other:tt)*) => {
        ::core::compile_error!("`labels!` takes\n    labels! { \"key\" => value, .. }");
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_nest_and_restore() {
        with(&[("b", "1"), ("a", "x")], || {
            crate::labels! { "b" => 2, "c" => format_args!("{}", 3) }
            let inner: Vec<_> = current().iter().map(|(k, v)| format!("{k}={v}")).collect();
            assert_eq!(inner, ["a=x", "b=2", "c=3"]);
            let panicked = std::panic::catch_unwind(|| with(&[("d", "")], || panic!("on purpose")));
            assert!(panicked.is_err());
            assert_eq!(current().get("d"), None);
            assert_eq!(current().get("b"), Some("2"));
        });
        assert_eq!(current().iter().count(), 0);
    }

    /// What was inserted is told from what was inherited, whatever comes before it.
    #[test]
    fn sets_know_which_pairs_are_their_own() {
        let of = |pairs: &[(&str, &str)]| {
            let mut set = Set::empty();
            pairs.iter().for_each(|(key, value)| set.insert(key, value));
            set
        };
        let mut set = of(&[("b", "old"), ("d", "old"), ("f", "old")]).clone();
        assert_eq!(set.own, 0);
        for (key, own) in [("d", 0b010), ("a", 0b0101), ("g", 0b1_0101), ("c", 0b10_1101)] {
            set.insert(key, "own");
            assert_eq!(set.own, own, "{key}: {set:?}");
        }
        let both = set.within(&of(&[("a", "around"), ("b", "around"), ("e", "around")]));
        let both: Vec<_> = store::pairs(both.encoded()).map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(both, ["a=own", "b=around", "c=own", "d=own", "e=around", "f=old", "g=own"]);
        // One that finds no room is taken out, and those behind it move up.
        let long = "x".repeat(128);
        ["w", "x"].iter().for_each(|key| set.insert(key, &long));
        set.insert("c", &long);
        assert_eq!((set.place("c").2, set.own), (2, 0b111_0101), "{set:?}");
    }

    /// Two futures that take turns end in the order they began.
    #[test]
    fn scopes_that_end_out_of_order_leave_nothing_behind() {
        let (mut first, mut second) = (Box::new(Set::empty()), Box::new(Set::empty()));
        first.insert("task", "a");
        let a = first.enter();
        second.insert("task", "b");
        let b = second.enter();
        drop(a);
        drop(first.clone());
        assert_eq!(current().get("task"), Some("b"));
        drop(b);
        assert_eq!(current().iter().count(), 0);
        assert!(local::with(|local| local.labels.load(Relaxed).is_null()));
    }

    #[test]
    fn what_is_too_long_is_cut_visibly_and_what_does_not_fit_is_counted() {
        let before = LEFT_OUT.load(Relaxed);
        let long = "ä".repeat(200);
        let mut set = Set::empty();
        set.insert("k", &long);
        let value = store::pairs(set.encoded()).next().unwrap().1.to_owned();
        assert!(value.ends_with("ä…") && value.len() <= MAX_TEXT, "{value}");
        for key in ["l", "m", "n"] {
            set.insert(key, &long);
        }
        assert_eq!(store::pairs(set.encoded()).count(), 2);
        assert!(LEFT_OUT.load(Relaxed) >= before + 2);
        assert!(losses().next().unwrap().contains("left out"));
        set.insert("k", "short again");
        assert_eq!(store::pairs(set.encoded()).next(), Some(("k", "short again")));
    }
}
