#![expect(unsafe_code, reason = "a set in a place of its own, which the thread-local list points to")]
//! Labels that are in force for as long as somebody keeps a value, who need not be a frame.
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::Set;

/// Labels in force on this thread until it is dropped, wherever it is kept.
pub(crate) struct Held {
    /// A box's: others read it while we move.
    set: NonNull<Set>,
    here: PhantomData<*const ()>,
}

impl Held {
    /// `own` on top of those in force.
    pub(crate) fn new(own: &Set) -> Held {
        let mut set = Box::new(Set::inherit());
        set.insert_all(own);
        set.put_in_force();
        Held { set: NonNull::from(Box::leak(set)), here: PhantomData }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: of `new`'s box, which is nobody else's, on the thread that put it in force.
        let set = unsafe { Box::from_raw(self.set.as_ptr()) };
        set.put_out_of_force();
    }
}
