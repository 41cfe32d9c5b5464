#!/usr/bin/env python3
"""Runs the programs of examples/chapter, the Go chapter's demos in Rust, and reads what they leave with Go's pprof.

    chapter_check.py FOLDER_OF_PROGRAMS
"""
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
import validate
from codesearch_check import TOP, Checks, Running, has, lacks, pprof
from fleet_check import fetch

# One round of a twentieth of the book's load.
SMALL = {**os.environ, "CHAPTER_ROUNDS": "1", "CHAPTER_PERCENT": "5"}
NAMES = ("goroutine", "threadcreate", "heap", "allocs", "block", "mutex")


def run(programs, name, folder, **more):
    done = subprocess.run([os.path.join(programs, name)], cwd=folder, env={**SMALL, **more}, capture_output=True, text=True,
                          timeout=120)
    if done.returncode:
        return f"status {done.returncode}: {done.stderr}"
    return lacks(done.stdout, r"^\(elapsed time: [0-9.]+.?s\)$")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def strict(path, window):
    found = validate.problems(read(path), window)
    return "; ".join(f"[{rule}] {sentence}" for rule, sentence in found[:5]) or None


def files(check, programs, folder):
    path = lambda name: os.path.join(folder, name)
    check("demo96 runs", run, programs, "demo96", folder, CHAPTER_PERCENT="30")
    check("demo96: its profile is valid", strict, path("cpuprofile.out"), True)
    check("demo96: the CPU was at the numbers", lambda: lacks(
        pprof(*TOP, path("cpuprofile.out")), r"^Type: cpu", r"chapter::op::cpu_profile"))
    check("demo97 runs", run, programs, "demo97", folder)
    check("demo97: its profile is valid", strict, path("memprofile.out"), False)
    # 2 500 boxes of 632 bytes in the mean, whose vectors grow to them by doubling, and the text of twice that, in steps.
    check("demo97: the boxes were allocated", lambda: has(
        read(path("memprofile.out")), "alloc_space", r"op::new", r"chapter::op::mem_profile", "demo97::main", least=2_500_000))
    check("demo97: pprof has the text", lambda: lacks(
        pprof(*TOP, "-sample_index=alloc_space", path("memprofile.out")), r"chapter::op::mem_profile$", r"op::to_json"))
    check("demo98 runs", run, programs, "demo98", folder)
    check("demo98: its profile is valid", strict, path("blockprofile.out"), False)
    check("demo98: both sides waited", lambda: lacks(
        pprof(*TOP, path("blockprofile.out")), r"^Type: delay", r"chapter::op::sends", r"chapter::op::receives"))
    check("demo99 runs", run, programs, "demo99", folder, CHAPTER_PERCENT="1")
    expected = {f"{name}_{debug}.out" for name in NAMES for debug in range(3)}
    check("demo99: every name at every level", lambda: expected ^ set(os.listdir(path("profiles"))) or None)
    for name in NAMES:
        check(f"demo99: {name}, debug=0", strict, path(f"profiles/{name}_0.out"), False)
        for debug in (1, 2):
            text = read(path(f"profiles/{name}_{debug}.out")).decode()
            begin = {"heap": "heap profile: ", "allocs": "heap profile: ", "block": "--- contention:\n",
                     "mutex": "--- mutex:\n", "threadcreate": "threadcreate profile: total "}.get(name)
            if name == "goroutine":
                begin = "goroutine profile: total " if debug == 1 else "thread "
            check(f"demo99: {name}, debug={debug}", lambda: None if begin in text[:400] else f"no {begin!r} in {text[:400]}")
    check("demo99: contention has its holders", lambda: lacks(
        pprof(*TOP, path("profiles/mutex_0.out")), r"chapter::op::receives"))
    check("no rounds are refused", lambda: None if "no times" in (
        run(programs, "demo96", folder, CHAPTER_ROUNDS="0") or "") else "it ran")


def servers(check, programs):
    os.environ.update(SMALL)
    with Running([os.path.join(programs, "demo100"), "127.0.0.1:0"]) as it:
        url = it.wait(r"^(http://\S+)/$").group(1)
        it.wait(r"^\(elapsed time")
        check("demo100: the index", lambda: lacks(fetch(f"{url}/", {}).body.decode(), "Types of profiles available:"))
        check("demo100: pprof", lambda: lacks(pprof(*TOP, f"{url}/allocs"), r"chapter::op::mem_profile"))
    with Running([os.path.join(programs, "demo101"), "127.0.0.1:0"]) as it:
        url = it.wait(r"^(http://\S+)/$").group(1)
        host = re.match(r"http://[^/]+", url).group(0)
        check("demo101: the index under its own path", lambda: lacks(
            fetch(f"{url}/", {}).body.decode(), "Types of profiles available:", f"{re.escape(url)}/heap"))
        check("demo101: not under Go's", lambda: None if fetch(f"{host}/debug/pprof/", {}).status == 404 else "it is there")
        check("demo101: every name", lambda: "; ".join(
            name for name in NAMES if "flat%" not in pprof("-top", f"{url}/{name}")) or None)
        for page in ("cmdline", "symbol", "profile?seconds=0.2"):
            check(f"demo101: {page}", lambda page=page: None if fetch(f"{url}/{page}", {}).status == 200 else "not there")
        posted = subprocess.run(["curl", "-sS", "-X", "POST", "-d", "0x0", f"{url}/symbol"], capture_output=True, text=True)
        check("demo101: symbol by POST", lambda: lacks(posted.stdout, r"^num_symbols: 1$"))


def main():
    check = Checks()
    programs = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        files(check, programs, folder)
    servers(check, programs)
    print(f"test result: {check.passed} passed; {check.failed} failed", flush=True)
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
