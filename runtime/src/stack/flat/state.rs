//! What is mapped and how to walk it: built at the first stack, refreshed by ordinary code when the loader's list
//! has changed, published in one piece.
//!
//! Ranks: whoever holds the loader's lock may want to write here (an allocation in a constructor that takes the
//! first stack), so that a writer never calls the loader. A refresh therefore copies what it needs under the
//! loader's lock and builds afterwards.
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use super::known::{Identity, Known, New, overlap, recognise};
use super::publish::Published;
use super::table::{Span, Table};
use crate::module::{Module, ModuleMap, Segment};
use crate::sys::modules::{Changes, Loaded};
use crate::{sys, trap};

/// Gone modules that are remembered.
const MAX_GONE: usize = 1024;

/// How long to wait for another thread that builds: some milliseconds are usual.
const PATIENCE: Duration = Duration::from_secs(2);

/// Stack that building takes, with room to spare in debug builds.
const BUILD_ROOM: u64 = 64 << 10;

pub(super) static STATE: Published<State> = Published::new();

/// Set in a forked child. Another thread of the parent may have held the loader's lock, which then stays locked for
/// ever: from here on only [`meet`] finds new modules.
static FORKED: AtomicBool = AtomicBool::new(false);

/// One version of everything.
pub(super) struct State {
    pub(super) table: Table,
    pub(super) map: Arc<ModuleMap>,
    known: Arc<[Known]>,
    changes: Changes,
}

/// Builds the first version from what was noted at the start. It takes no loader's lock and is fit for the
/// allocation hook. `sp` is the caller's stack pointer: on a small stack nothing happens.
///
/// Nor does it when nothing was noted yet, as in constructors that run before ours: a version without modules would
/// stay, and so would every stack be unknown until somebody refreshes.
#[cold]
pub(super) fn begin(sp: u64) {
    if sys::modules::has_noted() {
        begin_with_noted(sp);
    }
}

fn begin_with_noted(sp: u64) {
    if !sys::stack::has_room(sp, BUILD_ROOM) {
        return;
    }
    let Some(mut writer) = STATE.write(PATIENCE) else { return };
    if writer.current().is_some() {
        return;
    }
    let (modules, changes) = sys::modules::at_start();
    let known: Vec<Known> = modules.map(|module| New::of_start(&module).finish(0)).collect();
    let modules = known.iter().map(|known| known.module.clone()).collect();
    writer.replace(State::new(0, ModuleMap { modules, elsewhere: false }, known, changes));
}

/// Brings the state up to date with the loader. Ordinary code only.
pub(super) fn refresh() {
    trap::not_in_handler(trap::PUBLISHES);
    if STATE.is_empty() {
        // Noted or not: what is missing is added below.
        begin_with_noted(sys::stack::here());
    }
    if FORKED.load(Relaxed) {
        return;
    }
    let Some((before, known)) = STATE.read(|state| state.map(|state| (state.changes, state.known.clone())))
    else {
        return;
    };
    let mut changes = before;
    let mut seen: Vec<Result<Known, New>> = Vec::new();
    sys::modules::visit(|module, now| {
        changes = now;
        if now == before {
            return ControlFlow::Break(());
        }
        seen.push(
            recognise(&module, &known, now.removed == before.removed).ok_or_else(|| New::copied(&module)),
        );
        ControlFlow::Continue(())
    });
    let Some(mut writer) = STATE.write(PATIENCE) else { return };
    let Some(state) = writer.current() else { return };
    // Another thread may have been here with a list as new as ours.
    if state.changes.added >= changes.added && state.changes.removed >= changes.removed {
        writer.sweep();
        return;
    }
    let next = state.next(seen, changes);
    writer.replace(next);
}

/// See [`super::after_fork_in_child`].
pub(super) fn after_fork_in_child() {
    FORKED.store(true, Relaxed);
    STATE.after_fork_in_child();
}

/// Takes in the one module that holds `address`, which the calling thread will return to, if the loader knows it
/// and we do not. No loader's lock, and fit for the allocation hook, as [`begin`]. Says whether anything changed.
#[cold]
pub(super) fn meet(address: u64, sp: u64) -> bool {
    let meet = |module: Loaded<'_>| {
        let inside = module.text().any(|text| (text.start..text.end).contains(&address));
        if !inside || !sys::stack::has_room(sp, BUILD_ROOM) {
            return false;
        }
        let new = New::copied(&module);
        let Some(mut writer) = STATE.write(PATIENCE) else { return false };
        let Some(state) = writer.current() else { return false };
        if state.known.iter().any(|known| known.identity == new.identity) {
            return true; // Another thread was faster.
        }
        // Whatever was there before has gone.
        let apart = |known: &&Known| !overlap(&known.module.text, &new.text);
        let mut seen: Vec<_> = state.known.iter().filter(apart).cloned().map(Ok).collect();
        seen.push(Err(new));
        let next = state.next(seen, state.changes);
        writer.replace(next);
        true
    };
    sys::modules::holding(address, meet).unwrap_or(false)
}

impl State {
    fn new(epoch: u32, map: ModuleMap, known: Vec<Known>, changes: Changes) -> State {
        let spans = known.iter().flat_map(|known| {
            let text = &known.module.text;
            let passing = known.identity.hash != 0;
            let base = text.first().map_or(0, |segment| segment.start);
            text.iter()
                .map(move |segment| Span::new(segment.start..segment.end, base, known.rows.clone(), passing))
        });
        State { table: Table::new(epoch, spans.collect()), map: Arc::new(map), known: known.into(), changes }
    }

    /// The version in which exactly the `seen` modules are loaded.
    fn next(&self, seen: Vec<Result<Known, New>>, changes: Changes) -> State {
        let was = self.table.epoch;
        let old = |identity: &Identity| self.known.iter().find(|known| known.identity == *identity);
        let stays = |known: &Known| {
            seen.iter().any(|seen| match seen {
                Ok(seen) => seen.identity == known.identity,
                Err(new) => new.identity == known.identity,
            })
        };
        let gone: Vec<&Arc<Module>> =
            self.known.iter().filter(|known| !stays(known)).map(|known| &known.module).collect();
        let epoch = if gone.is_empty() { was } else { was.saturating_add(1) };
        // A module that took nobody's place may have been on stacks of the last epoch already.
        let first = |text: &[Segment]| {
            if gone.iter().any(|gone| overlap(&gone.text, text)) { epoch } else { was }
        };

        let mut modules: Vec<Arc<Module>> = Vec::with_capacity(self.map.modules.len() + seen.len());
        for module in &self.map.modules {
            if gone.iter().any(|gone| Arc::ptr_eq(gone, module)) {
                modules.push(Arc::new(Module { last_epoch: was, ..(**module).clone() }));
            } else {
                modules.push(module.clone());
            }
        }
        let mut forget =
            modules.iter().filter(|module| module.last_epoch != u32::MAX).count().saturating_sub(MAX_GONE);
        modules.retain(|module| {
            let forgotten = forget > 0 && module.last_epoch != u32::MAX;
            forget -= usize::from(forgotten);
            !forgotten
        });

        let mut known = Vec::with_capacity(seen.len());
        for module in seen {
            let identity = match &module {
                Ok(known) => &known.identity,
                Err(new) => &new.identity,
            };
            known.push(match (old(identity), module) {
                (Some(known), _) => known.clone(),
                // Another thread saw it go meanwhile: it is back.
                (None, Ok(back)) => {
                    let (first_epoch, last_epoch) = (first(&back.module.text), u32::MAX);
                    let module = Module { first_epoch, last_epoch, ..(*back.module).clone() };
                    modules.push(Arc::new(module));
                    Known { module: modules[modules.len() - 1].clone(), ..back }
                }
                (None, Err(new)) => {
                    let first = first(&new.text);
                    let known = new.finish(first);
                    modules.push(known.module.clone());
                    known
                }
            });
        }
        State::new(epoch, ModuleMap { modules, elsewhere: false }, known, changes)
    }

    /// The first of `addresses` that is not where we believe it is: the frames before it are right. What was
    /// loaded again from the same path to the same place since the last refresh goes unnoticed.
    pub(super) fn doubt(&self, addresses: &[u64]) -> Option<u64> {
        let mut sure: Option<&Span> = None;
        addresses.iter().copied().find(|&address| {
            if sure.is_some_and(|span| span.contains(address)) {
                return false;
            }
            sure = self.table.find(address);
            match sure {
                Some(span) if !span.passing => false,
                Some(_) => !self.vouches(address),
                None => true,
            }
        })
    }

    /// Whether the loader has the same module at `address`, as far as it tells.
    fn vouches(&self, address: u64) -> bool {
        let Some(known) = self.known.iter().find(|known| known.module.contains(address)) else {
            return false;
        };
        let same = |module: Loaded<'_>| {
            module.bias() == known.identity.bias && module.name().to_bytes() == known.identity.name
        };
        sys::modules::holding(address, same).unwrap_or(true)
    }

    /// Bytes of tables.
    pub(super) fn memory(&self) -> usize {
        self.known.iter().map(|known| known.rows.memory()).sum()
    }

    /// Rows of all modules.
    pub(super) fn rows(&self) -> usize {
        self.known.iter().map(|known| known.rows.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(path: &str, start: u64, hash: u64) -> New {
        New {
            identity: Identity { name: path.as_bytes().to_vec(), bias: start, hash },
            build_id: Vec::new(),
            text: vec![Segment { start, end: start + 0x1000, offset: 0 }],
            source: None,
        }
    }

    fn epochs(state: &State) -> Vec<(String, u32, u32)> {
        let span = |module: &Arc<Module>| (module.path.clone(), module.first_epoch, module.last_epoch);
        state.map.modules.iter().map(span).collect()
    }

    #[test]
    fn a_gone_module_keeps_its_addresses_in_its_own_epochs() {
        let changes = |added, removed| Changes { added, removed };
        let main = new("main", 0x1000, 0).finish(0);
        let map = ModuleMap { modules: vec![main.module.clone()], elsewhere: false };
        let state = State::new(0, map, vec![main.clone()], changes(1, 0));

        let state = state.next(vec![Ok(main.clone()), Err(new("a", 0x8000, 1))], changes(2, 0));
        assert_eq!(state.table.epoch, 0, "nothing went away");
        assert!(state.table.find(0x8800).is_some());

        // `b` takes the place of `a`; `c` takes nobody's.
        let seen = vec![Ok(main.clone()), Err(new("b", 0x8000, 3)), Err(new("c", 0x20_000, 5))];
        let state = state.next(seen, changes(4, 1));
        let max = u32::MAX;
        let expected = [("main", 0, max), ("a", 0, 0), ("b", 1, max), ("c", 0, max)];
        assert_eq!(epochs(&state), expected.map(|(path, first, last)| (path.to_owned(), first, last)));
        assert_eq!(state.map.find(0x8800, 0).unwrap().path, "a");
        assert_eq!(state.map.find(0x8800, 1).unwrap().path, "b");
        assert_eq!(state.map.find(0x1800, 7).unwrap().path, "main");

        let state = state.next(vec![Ok(main)], changes(4, 3));
        assert_eq!((state.table.epoch, state.known.len()), (2, 1));
        assert!(state.table.find(0x8800).is_none());
        assert!(state.map.find(0x8800, 2).is_none());
    }

    #[test]
    fn only_so_many_gone_modules_are_remembered() {
        let mut state = State::new(0, ModuleMap::default(), Vec::new(), Changes::default());
        for n in 1..1100 {
            state = state.next(vec![Err(new("x", n << 16, n))], Changes { added: n, removed: n - 1 });
        }
        assert_eq!(state.map.modules.len(), MAX_GONE + 1);
        assert_eq!(state.map.modules.last().unwrap().last_epoch, u32::MAX);
    }

    #[test]
    fn this_program_has_a_sane_number_of_rows() {
        refresh();
        let (rows, bytes, modules) =
            STATE.read(|state| state.map(|s| (s.rows(), s.memory(), s.map.modules.len())).unwrap());
        println!("{rows} rows, {bytes} bytes, {modules} modules");
        assert!((10_000..10_000_000).contains(&rows), "{rows}");
        assert!(bytes >= rows * 8 && bytes < rows * 16, "{bytes}");
    }
}
