//! Which rows are shown when a profile has more of them than clients take. The others are one row, `[other]`, so that
//! the sums stay.
//!
//! Of a window, of a state, and of what people read, the largest are shown.
//!
//! Protobuf of what only grows is scraped, and scrapers subtract: there a row that has been shown must never make way for
//! another, for it would come back as less than it was, or take from `[other]` what that had. So rows have ranks, given
//! out as rows are first met, the larger first, and kept as long as the process lives: a limit of n shows the first n - 1
//! ranks, whoever asks and whatever they have grown to, and `[other]` has all that came later. It only grows, too.
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher as _;

use crate::encode::Format;
use crate::fork::Lock;
use crate::snapshot::{Key, Row, Snapshot};

/// The most ranks of a profile, which has no more rows of its own. They are given out up to the limits that were asked
/// for: half a megabyte a profile for the usual one, 8 MB if somebody asks for as many rows as there can be.
const MAX_RANKS: usize = 1 << 18;

static RANKS: Lock<BTreeMap<&'static str, Ranks>> = Lock::new(BTreeMap::new());

/// By the hash of the row's key: of 16 000 rows two have the same once in 10^11 programs, and then they share a rank.
#[derive(Default)]
struct Ranks(HashMap<u64, usize>);

impl Ranks {
    /// The rank of `key`; a new one if there are fewer than `most` so far.
    fn of(&mut self, key: &Key, most: usize) -> Option<usize> {
        let hash = self.0.hasher().hash_one(key);
        let next = self.0.len();
        match self.0.get(&hash) {
            Some(&rank) => Some(rank),
            None if next < most => {
                self.0.insert(hash, next);
                Some(next)
            }
            None => None,
        }
    }
}

/// Folds what is too much for `rows` rows (0: nothing is). An `[other]` in a protobuf is its last row.
pub(super) fn limit(snapshot: &mut Snapshot, format: Format, rows: usize) {
    if rows == 0 {
        return;
    }
    let subtracted = format == Format::Pprof && snapshot.meta.cumulative && snapshot.meta.duration.is_none();
    // What the profile itself had no room for is one with what is folded here.
    let key = Key::other();
    let (mut other, mut shown): (Vec<Row>, Vec<Row>) =
        snapshot.rows.drain(..).partition(|row| row.key == key);
    let most = if subtracted { rows.min(MAX_RANKS) - 1 } else { rows - 1 };
    let kept = match subtracted {
        true => rank(snapshot.meta.profile, &mut shown, most),
        false if shown.len() + other.len() > rows => most,
        false => shown.len(),
    };
    let folded = shown.len() - kept;
    other.extend(shown.drain(kept..));
    if folded > 0 {
        snapshot.meta.comments.push(match subtracted {
            true => format!(
                "{folded} rows that came after the first {kept} are folded into [other]; rows=0 has all"
            ),
            false => format!("{folded} of the smallest rows are folded into [other]"),
        });
    }
    if !other.is_empty() {
        shown.push(Row::other(&other));
    }
    snapshot.rows = shown;
    if format != Format::Pprof {
        snapshot.settle();
    }
}

/// Puts `rows`, which come the largest first, into the order of their ranks, and says how many are among the first `most`.
fn rank(profile: &'static str, rows: &mut [Row], most: usize) -> usize {
    let mut all = RANKS.lock();
    let ranks = all.entry(profile).or_default();
    let mut ranked = Vec::with_capacity(rows.len());
    for row in &*rows {
        ranked.push((ranks.of(&row.key, most).filter(|&rank| rank < most).unwrap_or(usize::MAX), *row));
    }
    drop(all);
    ranked.sort_by_key(|(rank, _)| *rank);
    for (row, (_, next)) in rows.iter_mut().zip(&ranked) {
        *row = *next;
    }
    ranked.partition_point(|(rank, _)| *rank < most)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::record::{ValueType, pseudo};
    use crate::snapshot::Meta;
    use crate::store::Stack;

    fn snapshot(profile: &'static str, rows: &[(u64, i64)], cumulative: bool) -> Snapshot {
        let value_types = vec![ValueType::new("fakes", "count")];
        let meta = Meta { profile, value_types, cumulative, ..Meta::default() };
        let stack = |address| match address {
            OTHER => Stack::other(),
            address => Stack::intern(&[address], 0),
        };
        let row = |&(address, value)| Row { key: Key::of(stack(address)), values: [value, 0, 0, 0] };
        Snapshot::new(meta, rows.iter().map(row).collect(), Arc::default())
    }

    fn shown(mut snapshot: Snapshot, format: Format, rows: usize) -> Vec<(u64, i64)> {
        limit(&mut snapshot, format, rows);
        snapshot.samples().map(|sample| (sample.addresses()[0], sample.values()[0])).collect()
    }

    const OTHER: u64 = pseudo::OTHER;

    #[test]
    fn the_largest_are_shown_and_the_sums_stay() {
        let rows = [(0x7000, 5), (0x8000, 50), (0x9000, 7), (0xa000, 1)];
        let ask = |format, rows_asked| shown(snapshot("test/state", &rows, false), format, rows_asked);
        assert_eq!(ask(Format::Pprof, 2), [(0x8000, 50), (OTHER, 13)]);
        assert_eq!(ask(Format::Pprof, 3), [(0x8000, 50), (0x9000, 7), (OTHER, 6)]);
        assert_eq!(ask(Format::Pprof, 1), [(OTHER, 63)]);
        assert_eq!(ask(Format::Pprof, 4).len(), 4);
        assert_eq!(ask(Format::Pprof, 0).len(), 4);
        assert_eq!(ask(Format::Text, 2), [(0x8000, 50), (OTHER, 13)]);
        // One that was there before is the same one, the last in a protobuf, and not the largest's neighbour in a text.
        let rows = [(OTHER, 9), (0x8000, 5), (0x9000, 4)];
        let ask = |format, rows_asked| shown(snapshot("test/state", &rows, false), format, rows_asked);
        assert_eq!(ask(Format::Pprof, 3), [(0x8000, 5), (0x9000, 4), (OTHER, 9)]);
        assert_eq!(ask(Format::Pprof, 2), [(0x8000, 5), (OTHER, 13)]);
        assert_eq!(ask(Format::Text, 2), [(OTHER, 13), (0x8000, 5)]);
    }

    #[test]
    fn what_was_shown_stays_shown_where_scrapers_subtract() {
        let name = "test/ranks";
        let first = [(0x1000, 5), (0x2000, 50)];
        assert_eq!(shown(snapshot(name, &first, true), Format::Pprof, 4), [(0x2000, 50), (0x1000, 5)]);
        // Two more, each larger than what was there: one is let in.
        let second = [(0x1000, 6), (0x2000, 51), (0x3000, 70), (0x4000, 80)];
        let told = shown(snapshot(name, &second, true), Format::Pprof, 4);
        assert_eq!(told, [(0x2000, 51), (0x1000, 6), (0x4000, 80), (OTHER, 70)]);
        // One that has outgrown them all is no reason.
        let third = [(0x1000, 6), (0x2000, 51), (0x3000, 999), (0x4000, 80), (0x5000, 1)];
        let told = shown(snapshot(name, &third, true), Format::Pprof, 4);
        assert_eq!(told, [(0x2000, 51), (0x1000, 6), (0x4000, 80), (OTHER, 1000)]);
        // Of fewer rows the first ones, of more the next.
        assert_eq!(shown(snapshot(name, &third, true), Format::Pprof, 2), [(0x2000, 51), (OTHER, 1086)]);
        let more = shown(snapshot(name, &third, true), Format::Pprof, 5);
        assert_eq!(more, [(0x2000, 51), (0x1000, 6), (0x4000, 80), (0x3000, 999), (OTHER, 1)]);
        // People see the largest, and so does another profile's scraper.
        assert_eq!(shown(snapshot(name, &third, true), Format::Text, 2), [(0x3000, 999), (OTHER, 138)]);
        let other = snapshot("test/others", &third, true);
        assert_eq!(shown(other, Format::Pprof, 2), [(0x3000, 999), (OTHER, 138)]);
    }
}
