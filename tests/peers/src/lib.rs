//! Other profilers and this one, measured in the same run: `cargo bench -p profiled-test-peers`.
//!
//! No figure of anybody's is written down: what counts is a table that one machine prints in one run.
