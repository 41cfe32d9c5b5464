//! The shapes in the edition of 2024.
#![deny(warnings)]
#![allow(clippy::all)] // odd shapes are the point

/// The edition of the code that includes the shapes.
const EDITION: u32 = 2024;

#[macro_use]
#[path = "../support.rs"]
mod support;

#[path = "../pass/mod.rs"]
mod pass;

#[path = "../pass_2024/mod.rs"]
mod pass_2024;

#[path = "../names.rs"]
mod names;
