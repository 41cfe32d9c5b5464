//! How a raw lock is got, whatever a try comes to: in 0.12 a `bool`, in 0.13 what its holder has to give back.
use crate::hook::lock::meter::Meter;
use crate::local::blocked::Manner;

/// What a try came to.
pub(in super::super) trait Tried {
    /// What its holder has.
    type Held;

    /// That, if there is a holder.
    fn held(self) -> Option<Self::Held>;
    /// Whether there is one.
    fn has(&self) -> bool;
}

impl Tried for bool {
    type Held = ();

    #[inline(always)]
    fn held(self) -> Option<()> {
        self.then_some(())
    }

    #[inline(always)]
    fn has(&self) -> bool {
        *self
    }
}

impl<G> Tried for Option<G> {
    type Held = G;

    #[inline(always)]
    fn held(self) -> Option<G> {
        self
    }

    #[inline(always)]
    fn has(&self) -> bool {
        self.is_some()
    }
}

/// Has more, or still has what it had.
impl<G, H> Tried for Result<G, H> {
    type Held = G;

    #[inline(always)]
    fn held(self) -> Option<G> {
        self.ok()
    }

    #[inline(always)]
    fn has(&self) -> bool {
        self.is_ok()
    }
}

/// Counts, if there is a holder.
#[inline(always)]
pub(in super::super) fn counted<R: Tried>(tried: R, count: impl FnOnce()) -> R {
    if tried.has() {
        count();
    }
    tried
}

/// Tries, and waits by `block` if that does not do.
#[inline(always)]
pub(in super::super) fn get<R: Tried>(
    meter: &Meter,
    manner: Manner,
    again: impl Fn() -> R,
    block: impl FnOnce() -> R::Held,
) -> R::Held {
    match again().held() {
        Some(held) => held,
        None => slow(meter, manner, again, block),
    }
}

#[cold]
#[inline(never)]
fn slow<R: Tried>(
    meter: &Meter,
    manner: Manner,
    again: impl Fn() -> R,
    block: impl FnOnce() -> R::Held,
) -> R::Held {
    meter.wait(manner, || again().held(), block, |_| true)
}

/// The same, where `block` may give up.
#[inline]
pub(in super::super) fn get_in_time<R: Tried>(
    meter: &Meter,
    manner: Manner,
    again: impl Fn() -> R,
    block: impl FnOnce() -> R,
) -> R {
    let tried = again();
    if tried.has() {
        return tried;
    }
    meter.wait(Manner { in_time: true, ..manner }, || Some(again()).filter(R::has), block, R::has)
}
