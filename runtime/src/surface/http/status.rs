//! `/status`: how the profiler itself is, for people and for Prometheus.
use std::fmt::{self, Write as _};
use std::sync::OnceLock;

use crate::profile::{Profile, profiles};
use crate::record::{Fact, Kind};
use crate::sys;

/// The page: `NAME VALUE # what it is`, or what Prometheus reads.
pub(super) fn page(prometheus: bool) -> String {
    let facts = facts();
    let rates: Vec<_> = profiles().into_iter().filter_map(|p| Some((p, p.source()?.rate_now()?))).collect();
    let counts = profiles().into_iter().filter(|profile| profile.kind() == Kind::Predefined);
    let mut page = String::new();
    // Writing to a string cannot fail.
    _ = if prometheus {
        let rates = rates.iter().map(|(profile, rate)| (*profile, rate.value as f64));
        metrics(&mut page, &facts, rates, counts)
    } else {
        let rates = rates.into_iter().map(|(profile, rate)| (profile, rate.value, rate.unit));
        text(&mut page, &facts, rates)
    };
    page
}

/// What the rooms that fill profiles have to say, what the system allows, and what we take.
fn facts() -> Vec<Fact> {
    let mut facts: Vec<Fact> = profiles().iter().filter_map(|p| p.source()).flat_map(|s| s.facts()).collect();
    facts.push(Fact::now(
        "debug_information_found",
        "1 if lines of this program's source are known",
        has_debug_information(),
    ));
    if let Some(own) = sys::thread::own_cpu_time() {
        let help = "CPU time of the profiler's own threads that are alive";
        facts.push(Fact::now("own_threads_cpu_seconds", help, own as f64 / 1e9));
    }
    if let Some((resident, _)) = sys::process::resident_memory() {
        facts.push(Fact::now("process_resident_bytes", "memory of the whole process", resident as f64));
    }
    let running = super::collect::running();
    facts.push(Fact::now("collections", "profiles that are being collected over HTTP", running as u32));
    facts.extend(sys::process::limits());
    facts.extend(crate::trace::flight::facts());
    facts.sort_by_key(|fact| fact.name);
    facts
}

/// Asked of a function of our own. To find out takes time, and it does not change.
fn has_debug_information() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| crate::symbol::has_line(page as fn(bool) -> String as usize as u64))
}

fn text(
    page: &mut String,
    facts: &[Fact],
    rates: impl Iterator<Item = (&'static Profile, u64, &'static str)>,
) -> fmt::Result {
    let program = std::env::current_exe().ok();
    let program = program.as_deref().and_then(|path| path.file_name()).unwrap_or_default().to_string_lossy();
    writeln!(page, "# {program}, process {}", std::process::id())?;
    writeln!(page, "# profiled {}{}", env!("CARGO_PKG_VERSION"), kernel(" on kernel "))?;
    for Fact { name, help, value, .. } in facts {
        writeln!(page, "{name} {value} # {help}")?;
    }
    for (profile, rate, unit) in rates {
        writeln!(page, "rate of {} {rate} # {unit}; 0 is off", profile.name())?;
    }
    Ok(())
}

fn metrics(
    page: &mut String,
    facts: &[Fact],
    rates: impl Iterator<Item = (&'static Profile, f64)>,
    counts: impl Iterator<Item = &'static Profile>,
) -> fmt::Result {
    let head = |page: &mut String, name: &str, help: &str, kind: &str| {
        writeln!(page, "# HELP profiled_{name} {help}\n# TYPE profiled_{name} {kind}")
    };
    head(page, "info", "the profiler's version", "gauge")?;
    let (version, kernel) = (env!("CARGO_PKG_VERSION"), kernel(""));
    writeln!(page, "profiled_info{{version=\"{version}\",kernel=\"{}\"}} 1", Label(&kernel))?;
    for Fact { name, help, value, grows } in facts {
        head(page, name, help, if *grows { "counter" } else { "gauge" })?;
        writeln!(page, "profiled_{name} {value}")?;
    }
    head(page, "rate", "the rate of a profile, in its own unit; 0 is off", "gauge")?;
    for (profile, rate) in rates {
        writeln!(page, "profiled_rate{{profile=\"{}\"}} {rate}", Label(profile.name()))?;
    }
    head(page, "profile_count", "what the index shows as a profile's count", "gauge")?;
    for profile in counts {
        let name = Label(profile.name());
        writeln!(page, "profiled_profile_count{{profile=\"{name}\"}} {}", profile.count())?;
    }
    Ok(())
}

fn kernel(before: &str) -> String {
    sys::process::kernel_release().map_or_else(String::new, |release| format!("{before}{release}"))
}

/// Text in the quotes of a label's value.
struct Label<'a>(&'a str);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '"' => f.write_str("\\\""),
            '\\' => f.write_str("\\\\"),
            '\n' => f.write_str("\\n"),
            c => f.write_char(c),
        })
    }
}
