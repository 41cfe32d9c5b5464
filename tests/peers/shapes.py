#!/usr/bin/env python3
"""Which shapes of `tests/ui` other attributes do not compile on.

    shapes.py [PEER ..]

Each shape is a program in which `#[profiled]` is another crate's attribute; prints a table of those on which one fails.
Shapes whose attribute has arguments are ours alone and left out. In an annotated `impl` block
hotpath has `measure_all`; the others have nothing for it. That they compile is all that is asked: what they drop in
another order, or say to a lint, is not seen here.
"""
import glob
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
UI = os.path.join(ROOT, "tests", "ui")
WORK = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "peer-shapes")
CARGO = os.environ.get("CARGO", "cargo")

PEERS = {
    "hotpath": ("hotpath::measure", 'hotpath = { version = "=0.30.3", features = ["hotpath"] }'),
    "tracing": ("tracing::instrument", 'tracing = "=0.1.44"'),
    "fastrace": ("fastrace::trace", 'fastrace = { version = "=0.7.19", features = ["enable"] }'),
    "profiled": ("profiled::profiled", f'profiled = {{ path = "{ROOT}/runtime", features = ["enabled"] }}'),
}


def shapes():
    for path in sorted(glob.glob(os.path.join(UI, "pass*", "*.rs"))):
        name = os.path.basename(path)[:-3]
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if name != "mod" and not re.search(r"profiled\([^)]|as renamed|crate::profiled", text):
            yield name, text


def swapped(text, attribute):
    if attribute.startswith("hotpath"):
        text = re.sub(r"#\[profiled\](?=(?:\s*#\[[^\n]*\])*\s*(?:unsafe )?impl\b)", "#[hotpath::measure_all]", text)
    text = re.sub(r"#\[(?:::)?profiled::profiled\]", f"#[::{attribute}]", text)
    return re.sub(r"use (::)?profiled::profiled\b( as \w+)?;", lambda m: f"use ::{attribute}{m[2] or ' as profiled'};", text)


def check(peer):
    attribute, dependency = PEERS[peer]
    folder = os.path.join(WORK, peer)
    bins = os.path.join(folder, "src", "bin")
    os.makedirs(bins, exist_ok=True)
    for old in glob.glob(os.path.join(bins, "*.rs")):
        os.remove(old)
    names = []
    for name, text in shapes():
        names.append(name)
        os.makedirs(os.path.join(folder, "shapes"), exist_ok=True)
        with open(os.path.join(folder, "shapes", f"{name}.rs"), "w", encoding="utf-8") as file:
            file.write(swapped(text, attribute))
        with open(os.path.join(bins, f"{name}.rs"), "w", encoding="utf-8") as file:
            file.write(f"""#![allow(warnings)]
const EDITION: u32 = 2024;
#[macro_use]
#[path = "{UI}/support.rs"]
mod support;
#[path = "../../shapes/{name}.rs"]
mod shape;
fn main() {{
    shape::run();
}}
""")
    with open(os.path.join(folder, "Cargo.toml"), "w", encoding="utf-8") as file:
        file.write(f'[package]\nname = "shapes-{peer}"\nversion = "0.0.0"\nedition = "2024"\n\n[dependencies]\n'
                   f'async-trait = "0.1.89"\n{dependency}\n\n[workspace]\n')
    environment = dict(os.environ, CARGO_TARGET_DIR=os.path.join(WORK, "target"), CARGO_INCREMENTAL="0")
    command = [CARGO, "check", "--quiet", "--keep-going", "--bins", "--message-format=json"]
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    failed, passed = {}, set()
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact":
            passed.add(message["target"]["name"])
        if message.get("reason") == "compiler-message" and message["message"]["level"] == "error":
            failed.setdefault(message["target"]["name"], message["message"]["message"])
    unknown = set(names) - passed - failed.keys()
    if unknown:
        sys.exit(f"{peer}: neither compiled nor failed: {sorted(unknown)}\n{done.stderr[-2000:]}")
    return names, failed


def main():
    peers = sys.argv[1:] or list(PEERS)
    results = {peer: check(peer) for peer in peers}
    names = next(iter(results.values()))[0]
    print(f"Of {len(names)} shapes fail: " + ", ".join(f"{peer} {len(failed)}" for peer, (_, failed) in results.items()) + ".\n")
    print("| shape | " + " | ".join(peers) + " |\n|---|" + "---|" * len(peers))
    for name in names:
        row = [results[peer][1].get(name) for peer in peers]
        if any(row):
            cells = [re.sub(r"[|\n].*", "", cell)[:60] if cell else "" for cell in row]
            print(f"| `{name}` | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
