//! Who has a lock from now on: the thread that got it, unless its guard may be sent to another one.
use std::marker::PhantomData;

use super::super::Marker;
use crate::hook::lock::meter::Meter;

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

macro_rules! counts {
    ($($(#[$about:meta])* $count:ident or $by_any:ident;)*) => {$(
        $(#[$about])*
        #[inline(always)]
        pub(in super::super) fn $count(meter: &Meter) {
            match GUARDS_STAY {
                true => meter.$count(),
                false => meter.$by_any(),
            }
        }
    )*};
}

counts! {
    /// Has it alone, and waited or would have.
    acquired or acquired_by_any;
    /// Has it alone, and would not have waited for ever.
    tried or acquired_by_any;
    /// Has it with others, and waited or would have.
    shared or shared_by_any;
    /// Has it with others, and would not have waited for ever.
    tried_shared or shared_by_any;
}

/// Still has it, but less of it.
pub(in super::super) fn lowered(meter: &Meter) {
    if GUARDS_STAY {
        meter.downgraded();
    }
}
