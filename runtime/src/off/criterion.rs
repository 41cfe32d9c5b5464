//! A profiler for [criterion](::criterion) that profiles nothing.
use std::path::Path;

/// Switched off: benchmarks run as they would without it, and nothing is written.
#[derive(Debug, Default)]
pub struct Profiler(());

impl Profiler {
    /// Samples a second of CPU time: none are taken.
    pub const fn new(_hz: u32) -> Profiler {
        Profiler(())
    }
}

impl ::criterion::profiler::Profiler for Profiler {
    fn start_profiling(&mut self, _benchmark_id: &str, _benchmark_dir: &Path) {}
    fn stop_profiling(&mut self, _benchmark_id: &str, _benchmark_dir: &Path) {}
}
