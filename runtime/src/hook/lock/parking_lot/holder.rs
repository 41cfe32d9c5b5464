//! Who has a lock from now on: the thread that got it, unless its guard may be sent to another one.
use std::marker::PhantomData;

use super::super::Marker;
use crate::hook::lock::deadlock::Taken;
use crate::hook::lock::meter::{Meter, Ready};
use crate::local::held::Access;

/// Whether guards stay on the thread that got them. They do not if somebody turned on `parking_lot`'s feature `send_guard`.
const GUARDS_STAY: bool = !Probe::<Marker>::IS_SEND;

/// Knows of a type whether it is `Send`: what is its own goes before what is a trait's.
struct Probe<T>(PhantomData<T>);

impl<T: Send> Probe<T> {
    #[allow(dead_code)] // the one or the other
    const IS_SEND: bool = true;
}

trait Otherwise {
    const IS_SEND: bool = false;
}

impl<T> Otherwise for Probe<T> {}

/// Counts that somebody has it.
#[inline(always)]
pub(in super::super) fn count(meter: &Meter, ready: Ready, how: Taken) {
    let how_here = GUARDS_STAY.then_some(how);
    match how.access {
        Access::Alone => meter.alone(ready, how_here),
        Access::Upgradable | Access::Shared => meter.with_others(ready, how_here),
    }
}

/// Still has it, but less of it.
pub(in super::super) fn lowered(meter: &Meter, to: Access) {
    if GUARDS_STAY {
        meter.downgraded(to);
    }
}
