#!/usr/bin/env python3
"""Spans of this crate, of its layer for tracing, of fastrace and of tracing-chrome, and Go's regions, in one table.

    python3 tests/peers/traces.py

Go comes as in locks.py.
"""
import subprocess

import locks


def main() -> None:
    locks.TOOLS.mkdir(parents=True, exist_ok=True)
    program = locks.build_go("traces")
    bench = ["cargo", "bench", "-q", "-p", "profiled-test-peers", "--bench", "trace"]
    subprocess.run(bench, check=True, cwd=locks.ROOT)
    subprocess.run([program], check=True)


if __name__ == "__main__":
    main()
