//! What the heap's profiles say: rows of the buckets, with the figures and the losses beside them.
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{Ordering::Acquire, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use super::{BIRTH, BUCKETS, LIVE, LOST, birth, peak, peak_file, rate, stats};
use crate::error::Result;
use crate::profile::{Entry, Profile, Source, View};
use crate::rate::allocation_weight;
use crate::record::{Fact, Rate, ValueType};
use crate::site::FunctionSite;
use crate::snapshot::{self, Meta, Places, Row, Shape, Snapshot};
use crate::store::bucket::{Blocks, Bucket, Key};
use crate::store::{Labels, Stack};
use crate::{Format, clock, label, local, stack};

/// Writes the profile `heap` as gzipped protobuf.
///
/// # Errors
/// The writer's, as [`Error::Io`](crate::Error::Io).
pub fn write(w: impl io::Write) -> Result<()> {
    HEAP.snapshot("heap").write(w, Format::Pprof)
}

/// The profile `heap` of those blocks alone that were allocated `age` ago or earlier and are still alive: what a leak
/// looks like, after a while. The age of a block is known to about 0.1 seconds.
///
/// All four values are those blocks': there is no telling what else was allocated back then.
pub fn older_than(age: Duration) -> Snapshot {
    HEAP.older_than("heap", age)
}

struct Heap {
    /// `allocs` differs in nothing but what tools show first.
    default_type: Option<usize>,
}

static HEAP: Heap = Heap { default_type: None };
static ALLOCS: Heap = Heap { default_type: Some(1) };

impl Source for Heap {
    fn count(&self) -> usize {
        BUCKETS.count()
    }

    fn snapshot(&self, name: &'static str) -> Snapshot {
        let modules = stack::modules();
        let rows = BUCKETS.iter().map(now).collect();
        let footer = stats::stats().lines();
        Snapshot::new(Meta { footer, ..self.meta(name) }, rows, modules)
    }

    fn view(&self, name: &'static str, view: View) -> Option<Snapshot> {
        match view {
            View::OlderThan(age) => Some(self.older_than(name, age)),
            View::Peak => {
                Some(peak().unwrap_or_else(|| Snapshot::new(self.meta(name), Vec::new(), stack::modules())))
            }
            View::Waiting | View::Alive(_) => None,
        }
    }

    fn has_view(&self, view: View) -> bool {
        matches!(view, View::OlderThan(_) | View::Peak)
    }

    fn rate_now(&self) -> Option<Rate> {
        // One rate, by one name.
        let rate = Rate { value: rate(), unit: "mean bytes between two samples" };
        self.default_type.is_none().then_some(rate)
    }

    /// Of the two profiles one speaks for the heap, the other for what all have in common.
    fn facts(&self) -> Vec<Fact> {
        if self.default_type.is_some() {
            return label::facts();
        }
        let stats = stats::stats();
        let installed = local::metered().bytes > 0 || stats.samples > 0;
        vec![
            Fact::now(
                "allocator_installed",
                "1 if the program's allocator is profiled::Allocator",
                installed,
            ),
            Fact::now(
                "table_bytes",
                "memory of the profiler's own tables, reserved or used",
                stats.table_bytes as f64,
            ),
            Fact::now("heap_samples", "sampled blocks that are alive", stats.samples as f64),
            Fact::so_far(
                "heap_samples_lost_total",
                "samples lost: no room in the table of live blocks",
                stats.lost_samples,
            ),
            Fact::so_far(
                "heap_samples_folded_total",
                "samples folded into [other]: too many different rows",
                BUCKETS.folded() as u64,
            ),
            Fact::so_far(
                "stacks_folded_total",
                "stacks folded into [other] in all profiles: too many different ones",
                Stack::folded() as u64,
            ),
        ]
    }

    fn set_rate(&self, rate: u64) -> crate::error::Result<()> {
        super::set_rate(rate);
        Ok(())
    }

    fn rate(&self) -> Option<String> {
        Some(match rate() {
            0 => "off".to_owned(),
            1 => "every allocation".to_owned(),
            rate => format!("1 sample in {rate} bytes"),
        })
    }
}

impl Heap {
    fn meta(&self, name: &'static str) -> Meta {
        Meta { default_type: self.default_type, ..meta(name) }
    }

    fn older_than(&self, name: &'static str, age: Duration) -> Snapshot {
        let modules = stack::modules();
        let now = clock::ticks();
        let mut old: HashMap<*const Bucket<Blocks>, u64> = HashMap::new();
        for block in LIVE.iter() {
            let since = match birth(now).wrapping_sub(block.birth) {
                since @ ..0x8000_0000 => u64::from(since) << BIRTH,
                // A birth that is a moment ahead, on another processor.
                _ => 0,
            };
            if Duration::from_nanos(clock::elapsed(0, since)) >= age {
                *old.entry(std::ptr::from_ref(block.bucket)).or_default() += 1;
            }
        }
        let rows = BUCKETS.iter().filter_map(|bucket| {
            let blocks = *old.get(&std::ptr::from_ref(bucket))?;
            Some(row(bucket, blocks, 0))
        });
        let rows = rows.collect();
        let mut meta = Meta { cumulative: false, ..self.meta(name) };
        meta.comments.push(format!("only blocks that were allocated {} s ago or earlier", age.as_secs_f64()));
        Snapshot::new(meta, rows, modules)
    }
}

/// What all profiles of the heap have in common.
pub(super) fn meta(name: &'static str) -> Meta {
    let rate = rate();
    let mut comments = Vec::new();
    if rate == 0 {
        comments.push("heap sampling is off; what is shown was recorded before".to_owned());
    }
    for (count, what) in [
        (LOST.load(Relaxed), "samples lost: no room in the table of live blocks"),
        (BUCKETS.folded() as u64, "samples folded into [other]: too many different rows"),
        (Stack::folded() as u64, "stacks folded into [other] in all profiles: too many different ones"),
    ] {
        if count > 0 {
            comments.push(format!("{count} {what}"));
        }
    }
    comments.extend(label::losses());
    match peak_file::FAILED.load(Relaxed) {
        0 => {}
        count => comments.push(format!("{count} times the peak could not be written to its file")),
    }
    Meta {
        profile: name,
        value_types: vec![
            ValueType::new("alloc_objects", "count"),
            ValueType::new("alloc_space", "bytes"),
            ValueType::new("inuse_objects", "count"),
            ValueType::new("inuse_space", "bytes"),
        ],
        period: (ValueType::new("space", "bytes"), i64::try_from(rate).unwrap_or(i64::MAX)),
        places: Places::Hooked,
        shape: Shape::Heap,
        time: SystemTime::now(),
        comments,
        cumulative: true,
        ..Meta::default()
    }
}

/// What a bucket says now.
fn now(bucket: &'static Bucket<Blocks>) -> Row {
    // Freed first: what is freed was allocated before, so that live is never negative.
    let freed = bucket.value().freed.load(Acquire);
    let allocated = bucket.value().allocated.load(Acquire);
    row(bucket, allocated, freed)
}

/// One size at one place, unbiased with the rate its samples were taken at.
pub(super) fn row(bucket: &'static Bucket<Blocks>, allocated: u64, freed: u64) -> Row {
    let Key { stack, labels, what: size, rate, scope } = bucket.key();
    let scope = crate::hook::function::name_of(scope);
    scaled(Values { stack, labels, size, rate, scope }, allocated, freed)
}

/// What blocks have in common that are one row.
pub(super) struct Values {
    pub(super) stack: Stack,
    pub(super) labels: Labels,
    pub(super) size: u64,
    pub(super) rate: u64,
    pub(super) scope: Option<&'static str>,
}

/// A row of so many samples.
pub(super) fn scaled(of: Values, allocated: u64, freed: u64) -> Row {
    let Values { stack, labels, size, rate, scope } = of;
    let live = allocated.saturating_sub(freed);
    let weight = allocation_weight(size, rate);
    let scaled = |count: u64| (count as f64 * weight) as i64;
    Row {
        key: snapshot::Key { labels, bytes: Some(size as i64), scope, ..snapshot::Key::of(stack) },
        values: [
            scaled(allocated),
            scaled(allocated.saturating_mul(size)),
            scaled(live),
            scaled(live.saturating_mul(size)),
        ],
    }
}

/// Bytes allocated since the start by the innermost scope, estimated from the samples.
pub(crate) fn allocated_by_scope() -> HashMap<*const FunctionSite, f64> {
    let mut allocated = HashMap::new();
    for bucket in BUCKETS.iter() {
        let key = bucket.key();
        if let Some(site) = key.scope {
            let bytes = bucket.value().allocated.load(Relaxed) as f64 * key.what as f64;
            *allocated.entry(std::ptr::from_ref(site)).or_default() +=
                bytes * allocation_weight(key.what, key.rate);
        }
    }
    allocated
}

static HEAP_PROFILE: Profile = Profile::predefined(
    "heap",
    "Live heap: sampled allocations that are not freed yet, as of now, and all allocations since the start",
    &HEAP,
);
static ALLOCS_PROFILE: Profile = Profile::predefined(
    "allocs",
    "All sampled allocations since the start; the same data as heap, shown as alloc_space",
    &ALLOCS,
);
inventory::submit! { Entry::Profile(&HEAP_PROFILE) }
inventory::submit! { Entry::Profile(&ALLOCS_PROFILE) }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::bucket::Buckets;

    /// The vectors of Go's own suite, from the counters of a bucket to the row that is written.
    #[test]
    fn rows_are_gos() {
        static BUCKETS: Buckets<Blocks> = Buckets::new();
        let values = |what: u64, allocated: u64, freed: u64| {
            let rate = 512 * 1024;
            let key = Key { stack: Stack::other(), labels: Labels::none(), scope: None, what, rate };
            let bucket = BUCKETS.get(key).expect("memory");
            bucket.value().allocated.store(allocated, Relaxed);
            bucket.value().freed.store(freed, Relaxed);
            now(bucket).values
        };
        assert_eq!(values(1024, 4, 1), [2050, 2_099_200, 1537, 1_574_400]);
        assert_eq!(values(524_288, 1, 0), [1, 829_411, 1, 829_411]);
        assert_eq!(values(524_288, 1, 1), [1, 829_411, 0, 0]);
    }
}
