#!/usr/bin/env python3
"""What annotating costs the compiler.

    compile_time.py [--prepare] [--rounds N] [--functions N] [VARIANT ..]

A thousand small functions, bare and with each attribute, a crate each; `cargo check` and `cargo build --release` of that
crate alone, turn by turn, and of each the least of all rounds: of the processor time, which other work on the machine
disturbs less, and of the clock. Everything they depend on is built first; `--prepare` does only that.
"""
import argparse
import os
import resource
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
WORK = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "compile-time")
CARGO = os.environ.get("CARGO", "cargo")

VARIANTS = {
    "bare": ("", ""),
    "profiled": ("#[profiled::profiled]", f'profiled = {{ path = "{ROOT}/runtime", features = ["enabled"] }}'),
    # What it does by default, to note every argument's `Debug`, the others do not.
    "tracing": ("#[tracing::instrument(skip_all)]", 'tracing = "=0.1.44"'),
    "hotpath": ("#[hotpath::measure]", 'hotpath = { version = "=0.30.3", features = ["hotpath"] }'),
    "fastrace": ("#[fastrace::trace]", 'fastrace = { version = "=0.7.19", features = ["enable"] }'),
}
BODIES = [
    "pub fn f{n}(a: u32, b: u32) -> u32 {{\n    a.wrapping_mul({n}) ^ b\n}}",
    "pub fn f{n}(list: &[u32]) -> Option<u32> {{\n    let first = list.first()?;\n    Some(first + {n})\n}}",
    "pub fn f{n}(text: &str) -> Result<u32, std::num::ParseIntError> {{\n    let n: u32 = text.parse()?;\n    Ok(n ^ {n})\n}}",
    "pub async fn f{n}(a: u32) -> u32 {{\n    std::future::ready(a).await + {n}\n}}",
]

ACTIONS = {"check": ("check",), "release": ("build", "--release")}


def generate(name, functions):
    attribute, dependency = VARIANTS[name]
    folder = os.path.join(WORK, name)
    os.makedirs(os.path.join(folder, "src"), exist_ok=True)
    with open(os.path.join(folder, "Cargo.toml"), "w", encoding="utf-8") as file:
        file.write(f'[package]\nname = "compile-{name.replace("_", "-")}"\nversion = "0.0.0"\nedition = "2024"\n\n[dependencies]\n{dependency}\n')
    with open(os.path.join(folder, "src", "lib.rs"), "w", encoding="utf-8") as file:
        file.write("\n\n".join(f"{attribute}\n{BODIES[n % len(BODIES)].format(n=n)}" for n in range(functions)) + "\n")


def run(*command):
    """Seconds of processor time, and of the clock."""
    environment = dict(os.environ, CARGO_TARGET_DIR=os.path.join(WORK, "target"), CARGO_INCREMENTAL="0")
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run([CARGO, *command, "--quiet"], cwd=WORK, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    after, end = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout[-3000:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, end - begin


def prepare(names, functions):
    for name in names:
        # Of a single function: what it depends on is what takes its time.
        generate(name, 1)
    with open(os.path.join(WORK, "Cargo.toml"), "w", encoding="utf-8") as file:
        members = ", ".join(f'"{name}"' for name in VARIANTS)
        file.write(f"[workspace]\nresolver = \"3\"\nmembers = [{members}]\n")
    for name in VARIANTS.keys() - set(names):
        generate(name, 1)
    for name in names:
        for action in ACTIONS.values():
            run(*action, "-p", f"compile-{name}")
    for name in names:
        generate(name, functions)


def main():
    arguments = argparse.ArgumentParser(description="What annotating costs the compiler.")
    arguments.add_argument("--prepare", action="store_true")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--functions", type=int, default=1000)
    arguments.add_argument("variants", nargs="*", metavar="VARIANT", choices=[[], *VARIANTS])
    arguments = arguments.parse_args()
    names, functions = arguments.variants or list(VARIANTS), arguments.functions
    prepare(names, functions)
    if arguments.prepare:
        return
    least = {}
    for turn in range(arguments.rounds):
        for name in names:
            for action, command in ACTIONS.items():
                os.utime(os.path.join(WORK, name, "src", "lib.rs"))
                times = run(*command, "-p", f"compile-{name}")
                least[name, action] = tuple(map(min, times, least.get((name, action), times)))
                print(f"{turn + 1}: {name:9} {action:8} {times[0]:6.2f} s of the processor, {times[1]:6.2f} s of the clock", flush=True)
    print(f"seconds for {functions} functions, least of {arguments.rounds} rounds, and milliseconds of the processor that a site adds")
    print(f"{'':10}{'check':>8}{'clock':>8}{'a site':>8}{'release':>10}{'clock':>8}{'a site':>8}")
    for name in names:
        line = f"{name:10}"
        for action, width in (("check", 8), ("release", 10)):
            processor, clock = least[name, action]
            line += f"{processor:>{width}.2f}{clock:>8.2f}"
            if "bare" in names:
                line += f"{(processor - least['bare', action][0]) * 1000 / functions:>8.2f}"
        print(line)


if __name__ == "__main__":
    main()
