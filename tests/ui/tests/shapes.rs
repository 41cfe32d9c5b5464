//! The shapes in the edition of 2024.
#![deny(warnings)]
#![allow(clippy::all)] // odd shapes are the point
#![forbid(unsafe_op_in_unsafe_fn)]

/// The edition of the code that includes the shapes.
const EDITION: u32 = 2024;

#[path = "../shapes/mod.rs"]
mod shapes;

#[path = "../shapes/only_2024.rs"]
mod only_2024;
