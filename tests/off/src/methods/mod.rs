//! Every method of what our locks stand for, called: it is there in both states and does the same.
//!
//! `tests/tools/method_lists.py` compares these files with the originals, so that what one of them gets is missed here: a
//! function for each type, named as the script says.
#[cfg(feature = "parking_lot")]
pub mod parking_lot;
#[cfg(feature = "parking_lot_0_13")]
pub mod parking_lot_0_13;
pub mod standard;
#[cfg(feature = "tokio")]
pub mod tokio;
