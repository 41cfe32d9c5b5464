#!/usr/bin/env python3
"""Builds the program that README shows, in a crate of its own, runs it, and asks it what README asks it."""
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(__file__))
from codesearch_check import ROOT, TOP, Checks, Running, lacks, pprof

CRATE = os.path.join(ROOT, "target/readme")


def blocks(text, language):
    return re.findall(rf"^```{language}[^\n]*\n(.*?)^```", text, re.M | re.S)


def build():
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        text = file.read()
    manifest = blocks(text, "toml")[0].replace('profiled = "0.1"', f'profiled = {{ path = "{ROOT}/runtime" }}')
    program = next(block for block in blocks(text, "rust") if "fn main" in block)
    # The port that README shows may be taken.
    program = program.replace("127.0.0.1:6060", "127.0.0.1:0")
    os.makedirs(os.path.join(CRATE, "src"), exist_ok=True)
    with open(os.path.join(CRATE, "Cargo.toml"), "w", encoding="utf-8") as file:
        file.write('[package]\nname = "scratch"\nversion = "0.1.0"\nedition = "2024"\n[workspace]\n' + manifest)
    with open(os.path.join(CRATE, "src/main.rs"), "w", encoding="utf-8") as file:
        file.write(program)
    shutil.copy(os.path.join(ROOT, "Cargo.lock"), CRATE)
    target = os.path.join(ROOT, "target")
    run = subprocess.run(["cargo", "-q", "build", "--release"], cwd=CRATE, capture_output=True, text=True,
                         env={**os.environ, "CARGO_TARGET_DIR": target})
    return os.path.join(target, "release/scratch"), run.stderr.strip()


def main():
    check = Checks()
    program, complaint = build()
    check("README: the program compiles, without a warning", lambda: complaint or None)
    if os.path.exists(program):
        with Running([program]) as it:
            url = it.wait(r"^(http://\S+/debug/pprof)/").group(1)
            it.wait(r"checkout", seconds=30)
            table = "".join(it.lines)
            check("README: it prints its table", lambda: lacks(table, r"\b100000\b.*checkout|checkout.*\b100000\b"))
            check("README: heap", lambda: lacks(pprof(*TOP, f"{url}/heap"), r"scratch::checkout"))
            check("README: lines of the source", lambda: lacks(
                pprof("-list", "scratch::checkout", f"{url}/heap"), r"^ *\S+ +[1-9]\S* +\d+: .*\.push\(format!"))
            check("README: functions", lambda: lacks(
                pprof(*TOP, "-sample_index=calls", f"{url}/functions"), r"100000 .*scratch::checkout"))
            check("README: a CPU profile", lambda: lacks(pprof("-top", f"{url}/profile?seconds=1"), "flat%"))
    print(f"test result: {check.passed} passed; {check.failed} failed", flush=True)
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
