//! What locks tell when they are asked: the profiles `block` and `mutex`, and one a lock site.
use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use super::book::{self, BLOCK, BLOCK_RATE, COUNT_SCALE, MUTEX, MUTEX_FRACTION};
use super::meter::Stats;
use super::waiting;
use crate::hook::interpose;
use crate::profile::{Entry, Profile, Source, View};
use crate::record::{Fact, Kind, Rate, ValueType, pseudo};
use crate::site::LockSite;
use crate::snapshot::{self, Column, MAX_VALUES, Meta, Places, Row, Shape, Snapshot, Table, Unit};
use crate::store::bucket::{Bucket, Buckets};
use crate::store::{Labels, Stack};
use crate::{clock, label, local, stack};

struct Block;
struct Mutexes;

/// One lock's holders.
struct Holders {
    site: &'static LockSite,
}

pub(crate) fn profile_of(site: &'static LockSite) -> Profile {
    let place = site.place;
    let help = format!(
        "Holders of the lock made at {}:{}, and how long they delayed others",
        place.file, place.line
    );
    let source = Box::leak(Box::new(Holders { site }));
    Profile::of_site(Kind::Lock, site.name.to_owned(), help, place, source)
}

const VALUES: [ValueType; 2] =
    [ValueType::new("contentions", "count"), ValueType::new("delay", "nanoseconds")];

/// The rates of `block` and `mutex`, for all who book there.
pub(crate) fn rates() -> (u64, u64) {
    (BLOCK_RATE.load(Relaxed), MUTEX_FRACTION.load(Relaxed))
}

impl Source for Block {
    fn count(&self) -> usize {
        BLOCK.count() + interpose::count_of_waits()
    }

    fn snapshot(&self, name: &'static str) -> Snapshot {
        self.all(name, false)
    }

    fn view(&self, name: &'static str, view: View) -> Option<Snapshot> {
        (view == View::Waiting).then(|| self.all(name, true))
    }

    fn has_view(&self, view: View) -> bool {
        view == View::Waiting
    }

    fn rate_now(&self) -> Option<Rate> {
        Some(Rate { value: BLOCK_RATE.load(Relaxed), unit: "mean nanoseconds waited between two samples" })
    }

    fn facts(&self) -> Vec<Fact> {
        vec![
            Fact::now("interpose_active", "1 if waits of the whole process are seen", interpose::is_active()),
            Fact::so_far(
                "waits_unseen_total",
                "waits not shown while they lasted: too many at once",
                waiting::unseen(),
            ),
        ]
    }

    fn set_rate(&self, rate: u64) -> crate::error::Result<()> {
        book::set_block_rate(rate);
        Ok(())
    }

    fn rate(&self) -> Option<String> {
        Some(with_status(match BLOCK_RATE.load(Relaxed) {
            0 => "off".to_owned(),
            1 => "every wait".to_owned(),
            rate => format!("1 sample in {rate} ns waited"),
        }))
    }
}

impl Block {
    fn all(&self, name: &'static str, apart: bool) -> Snapshot {
        let sites = sites();
        let mut rows = rows(&sites, apart);
        rows.extend(interpose::waits(apart));
        let shape = Shape::Contention { mutex: false };
        let mut comments = vec![match BLOCK_RATE.load(Relaxed) {
            0 => "block sampling is off; what is shown was recorded before".to_owned(),
            1 => "every wait is recorded".to_owned(),
            rate => format!("waits are sampled at 1 in {rate} ns waited; values are unbiased"),
        }];
        if waiting::unseen() > 0 {
            let unseen = waiting::unseen();
            comments.push(format!("{unseen} waits were not shown while they lasted: too many at once"));
        }
        comments.extend(folded(&BLOCK));
        comments.extend(interpose::comments());
        comments.extend(label::losses());
        finish(name, rows, shape, comments, None)
    }
}

/// A rate, and whether waits of the whole process are seen.
fn with_status(rate: String) -> String {
    match interpose::status() {
        Some(status) => format!("{rate}; {status}"),
        None => rate,
    }
}

fn mutex_rate() -> String {
    match MUTEX_FRACTION.load(Relaxed) {
        0 => "off".to_owned(),
        1 => "every contention".to_owned(),
        n => format!("1 contention in {n}, and all of 1 ms or more"),
    }
}

impl Source for Mutexes {
    fn count(&self) -> usize {
        MUTEX.count() + interpose::count_of_charges()
    }

    fn snapshot(&self, name: &'static str) -> Snapshot {
        let sites = sites();
        let mut rows: Vec<Row> = MUTEX.iter().map(|bucket| charged(bucket, &sites)).collect();
        rows.extend(sites.values().filter_map(|site| wake_up(site)));
        rows.extend(interpose::charges());
        let mut comments = vec![match MUTEX_FRACTION.load(Relaxed) {
            0 => "mutex sampling is off; what is shown was recorded before".to_owned(),
            _ => format!("holders are sampled: {}; values are unbiased", mutex_rate()),
        }];
        comments.extend(folded(&MUTEX));
        comments.extend(interpose::comments());
        comments.extend(label::losses());
        finish(name, rows, Shape::Contention { mutex: true }, comments, None)
    }

    fn rate_now(&self) -> Option<Rate> {
        Some(Rate { value: MUTEX_FRACTION.load(Relaxed), unit: "contentions, of which one is sampled" })
    }

    fn set_rate(&self, rate: u64) -> crate::error::Result<()> {
        book::set_mutex_fraction(rate);
        Ok(())
    }

    fn rate(&self) -> Option<String> {
        Some(with_status(mutex_rate()))
    }
}

impl Source for Holders {
    fn count(&self) -> usize {
        local::total(self.site.contended.load(Relaxed)) as usize
    }

    fn snapshot(&self, name: &'static str) -> Snapshot {
        let id = u64::from(self.site.id.load(Relaxed));
        let sites = HashMap::from([(id, self.site)]);
        let ours = MUTEX.iter().filter(|bucket| id != 0 && bucket.key().what == id);
        let mut rows: Vec<Row> = ours.map(|bucket| charged(bucket, &sites)).collect();
        rows.extend(wake_up(self.site));
        finish(name, rows, Shape::Table, folded(&MUTEX).into_iter().collect(), Some(figures(self.site)))
    }
}

fn finish(
    name: &'static str,
    rows: Vec<Row>,
    shape: Shape,
    comments: Vec<String>,
    table: Option<Table>,
) -> Snapshot {
    let meta = Meta {
        profile: name,
        value_types: VALUES.to_vec(),
        // Go's, whatever the rate: the series that a server keeps are named by it.
        period: (VALUES[0], 1),
        places: Places::Hooked,
        shape,
        time: SystemTime::now(),
        comments,
        cumulative: true,
        table,
        ..Meta::default()
    };
    Snapshot::new(meta, rows, stack::modules())
}

fn folded(buckets: &Buckets) -> Option<String> {
    match buckets.folded() {
        0 => None,
        n => Some(format!("{n} samples folded into [other]: too many different rows")),
    }
}

/// Lock sites that were used, by id.
pub(super) fn sites() -> HashMap<u64, &'static LockSite> {
    let used = |site: &&LockSite| site.id.load(Relaxed) != 0;
    crate::site::locks().filter(used).map(|site| (u64::from(site.id.load(Relaxed)), site)).collect()
}

/// The rows of `block`. Who waits right now is in its row with the time so far, or, if they are to be told `apart`, in
/// a row of its own with `state=waiting`.
fn rows(sites: &HashMap<u64, &'static LockSite>, apart: bool) -> Vec<Row> {
    let waits = waiting::all();
    let by_bucket = waiting::by_bucket(&waits);
    let mut rows = Vec::new();
    for bucket in BLOCK.iter() {
        let waits = by_bucket.get(&std::ptr::from_ref(bucket).addr());
        let ([count, delay], [waits, so_far]) = waiting::values(bucket, waits.map_or(&[], Vec::as_slice));
        let booked = row(bucket, [count, delay], sites);
        rows.extend(with_waiting(booked, [waits, so_far], apart));
    }
    rows
}

/// A row with those of it that still wait, in a row of their own if they are to be told `apart`.
pub(crate) fn with_waiting(booked: Row, [waits, so_far]: [u64; 2], apart: bool) -> impl Iterator<Item = Row> {
    let mut row = booked;
    if apart {
        row.key.tags = Labels::of(&[("state", "waiting")]);
        row.values = [0; MAX_VALUES];
    }
    row.values[0] += waits as i64;
    row.values[1] += so_far as i64;
    apart.then_some(booked).into_iter().chain([row])
}

/// A bucket's row, of the values that were read.
fn row(bucket: &'static Bucket, [count, delay]: [u64; 2], sites: &HashMap<u64, &'static LockSite>) -> Row {
    let key = bucket.key();
    Row {
        key: snapshot::Key {
            labels: key.labels,
            lock: sites.get(&key.what).map(|site| site.unique_name()),
            scope: crate::hook::function::name_of(key.scope),
            ..snapshot::Key::of(key.stack)
        },
        values: [(count as f64 / COUNT_SCALE).round() as i64, delay as i64, 0, 0],
    }
}

fn charged(bucket: &'static Bucket, sites: &HashMap<u64, &'static LockSite>) -> Row {
    row(bucket, [bucket.value().first.load(Relaxed), bucket.value().second.load(Relaxed)], sites)
}

/// What was waited for a site's locks while nobody held them.
fn wake_up(site: &'static LockSite) -> Option<Row> {
    let stats = site.stats.get()?;
    let key = snapshot::Key {
        labels: Labels::none(),
        lock: Some(site.unique_name()),
        ..snapshot::Key::of(Stack::pseudo(pseudo::WAKE_UP))
    };
    let values = [stats.wake_ups.load(Relaxed) as i64, (stats.wake_up.load(Relaxed) as i64).max(0), 0, 0];
    Some(Row { key, values })
}

const COLUMNS: &[Column] = &[
    Column { title: "acquired", unit: Unit::Count },
    Column { title: "contended", unit: Unit::Count },
    Column { title: "share", unit: Unit::Percent },
    Column { title: "waited", unit: Unit::Nanoseconds },
    Column { title: "wait p50", unit: Unit::Nanoseconds },
    Column { title: "wait p99", unit: Unit::Nanoseconds },
    Column { title: "wait max", unit: Unit::Nanoseconds },
    Column { title: "hold p50", unit: Unit::Nanoseconds },
    Column { title: "hold p99", unit: Unit::Nanoseconds },
    Column { title: "hold max", unit: Unit::Nanoseconds },
];

fn figures(site: &'static LockSite) -> Table {
    let acquired = local::total(site.id.load(Relaxed)) as f64;
    let stats = site.stats.get();
    let figure = |of: fn(&Stats) -> u64| Some(stats.map_or(0, of) as f64);
    let contended = Some(local::total(site.contended.load(Relaxed)) as f64);
    // What threads counted for themselves, and what is booked of each wait.
    let waited = clock::elapsed(0, local::total(site.waited.load(Relaxed))) as f64
        + stats.map_or(0, |stats| stats.waited.load(Relaxed)) as f64;
    let quantiles = stats.and_then(|stats| stats.waits.quantiles([0.5, 0.99]));
    let holds = stats.and_then(|stats| stats.holds.quantiles([0.5, 0.99]));
    let cells = vec![
        Some(acquired),
        contended,
        contended.filter(|_| acquired > 0.0).map(|contended| contended / acquired * 100.0),
        Some(waited),
        quantiles.map(|all| all[0] as f64),
        quantiles.map(|all| all[1] as f64),
        figure(|stats| stats.waits.max()),
        holds.map(|all| all[0] as f64),
        holds.map(|all| all[1] as f64),
        // Of a sample, and of those who held it alone.
        holds.and(stats).map(|stats| stats.holds.max() as f64),
    ];
    Table { columns: COLUMNS, rows: vec![(site.unique_name().to_owned(), cells)] }
}

static BLOCK_PROFILE: Profile =
    Profile::predefined("block", "Stacks that waited for a lock, and how long", &Block);
static MUTEX_PROFILE: Profile = Profile::predefined(
    "mutex",
    "Stacks that held a lock, charged at the unlock for all the time that others waited for them",
    &Mutexes,
);
inventory::submit! { Entry::Profile(&BLOCK_PROFILE) }
inventory::submit! { Entry::Profile(&MUTEX_PROFILE) }
