//! The shapes in the edition of 2021.
#![deny(warnings)]
#![allow(clippy::all)] // odd shapes are the point

/// The edition of the code that includes the shapes.
const EDITION: u32 = 2021;

#[macro_use]
#[path = "../../support.rs"]
mod support;

#[path = "../../pass/mod.rs"]
mod pass;

#[path = "../../names.rs"]
mod names;
