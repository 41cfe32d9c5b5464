#!/usr/bin/env python3
"""What annotating costs the compiler.

    compile_time.py [ROUNDS] [FUNCTIONS]

A thousand small functions, bare and with each attribute, a crate each; `cargo check` and `cargo build --release` of that
crate alone, turn by turn, and of each the least processor time of all rounds, which other work on the machine disturbs
less than it does a clock. Everything they depend on is built before.
"""
import os
import resource
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
WORK = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "compile-time")
CARGO = os.environ.get("CARGO", "cargo")

VARIANTS = {
    "bare": ("", ""),
    "profiled": ("#[profiled::profiled]", f'profiled = {{ path = "{ROOT}/runtime", features = ["enabled"] }}'),
    "tracing": ("#[tracing::instrument]", 'tracing = "=0.1.44"'),
    "tracing_skip": ("#[tracing::instrument(skip_all)]", 'tracing = "=0.1.44"'),
    "hotpath": ("#[hotpath::measure]", 'hotpath = { version = "=0.30.3", features = ["hotpath"] }'),
    "fastrace": ("#[fastrace::trace]", 'fastrace = { version = "=0.7.19", features = ["enable"] }'),
}
BODIES = [
    "pub fn f{n}(a: u32, b: u32) -> u32 {{\n    a.wrapping_mul({n}) ^ b\n}}",
    "pub fn f{n}(list: &[u32]) -> Option<u32> {{\n    let first = list.first()?;\n    Some(first + {n})\n}}",
    "pub fn f{n}(text: &str) -> Result<u32, std::num::ParseIntError> {{\n    let n: u32 = text.parse()?;\n    Ok(n ^ {n})\n}}",
    "pub async fn f{n}(a: u32) -> u32 {{\n    std::future::ready(a).await + {n}\n}}",
]


def generate(name, functions):
    attribute, dependency = VARIANTS[name]
    folder = os.path.join(WORK, name)
    os.makedirs(os.path.join(folder, "src"), exist_ok=True)
    with open(os.path.join(folder, "Cargo.toml"), "w", encoding="utf-8") as file:
        file.write(f'[package]\nname = "compile-{name.replace("_", "-")}"\nversion = "0.0.0"\nedition = "2024"\n\n[dependencies]\n{dependency}\n')
    with open(os.path.join(folder, "src", "lib.rs"), "w", encoding="utf-8") as file:
        file.write("\n\n".join(f"{attribute}\n{BODIES[n % len(BODIES)].format(n=n)}" for n in range(functions)) + "\n")


def run(*command):
    environment = dict(os.environ, CARGO_TARGET_DIR=os.path.join(WORK, "target"), CARGO_INCREMENTAL="0")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([CARGO, *command, "--quiet"], cwd=WORK, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout[-3000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    functions = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    for name in VARIANTS:
        generate(name, functions)
    with open(os.path.join(WORK, "Cargo.toml"), "w", encoding="utf-8") as file:
        members = ", ".join(f'"{name}"' for name in VARIANTS)
        file.write(f"[workspace]\nresolver = \"3\"\nmembers = [{members}]\n")
    actions = {"check": ("check",), "release": ("build", "--release")}
    for action in actions.values():
        run(*action, "--workspace")
    least = {}
    for _ in range(rounds):
        for name in VARIANTS:
            for action, command in actions.items():
                os.utime(os.path.join(WORK, name, "src", "lib.rs"))
                time = run(*command, "-p", f"compile-{name.replace('_', '-')}")
                least[name, action] = min(time, least.get((name, action), time))
    print(f"seconds of processor time for {functions} functions, least of {rounds} rounds; milliseconds that a site adds")
    print(f"{'':14}{'check':>9}{'a site':>9}{'release':>10}{'a site':>9}")
    for name in VARIANTS:
        line = f"{name:14}"
        for action, width in (("check", 9), ("release", 10)):
            time = least[name, action]
            line += f"{time:>{width}.2f}{(time - least['bare', action]) * 1000 / functions:>9.2f}"
        print(line)


if __name__ == "__main__":
    main()
