#!/usr/bin/env python3
"""Finds a planted leak in the running example as its documents say: the difference of two scrapes, and the old blocks.

    leak_check.py PATH_OF_CODESEARCH [--show]

With --show it prints what pprof said, for the documents.
"""
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
PPROF = os.environ.get("PROFILED_PPROF", os.path.join(ROOT, "target/tools/pprof"))
LEAK = "codesearch::history::remember"


def pprof(*args):
    run = subprocess.run([PPROF, *args], capture_output=True, text=True, timeout=90,
                         env={**os.environ, "PPROF_TMPDIR": os.path.join(ROOT, "target/tools/pprof-files")})
    if run.returncode:
        raise RuntimeError(f"pprof {' '.join(args)}: {run.stderr.strip()}")
    return run.stdout


def first(top):
    """The function that `pprof -top` shows first."""
    rows = [line.split(None, 5) for line in top.splitlines()]
    return next((row[5] for row in rows if len(row) == 6 and re.match(r"-?[\d.]+%", row[1])), "nothing")


def main():
    program, show = sys.argv[1], "--show" in sys.argv[2:]
    command = [program, os.path.join(ROOT, "runtime"), "--leak", "--load", "200", "--rounds", "1",
               "--http", "127.0.0.1:0", "--pprof", "127.0.0.1:0"]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    failed = 0
    try:
        address = server.stdout.readline().split()[1]
        with tempfile.TemporaryDirectory() as folder:
            def scrape(name, query=""):
                path = os.path.join(folder, name)
                url = f"{address}heap?noise=0{query}"
                with urllib.request.urlopen(url, timeout=60) as answer, open(path, "wb") as file:
                    file.write(answer.read())
                return path

            def leaked(path):
                match = re.search(r"([\d.]+)MB\s+[\d.]+%\s+codesearch::history::remember",
                                  pprof("-top", "-cum", "-nodecount=1000", "-nodefraction=0", "-unit=MB",
                                        "-symbolize=none", path))
                return float(match.group(1)) if match else 0.0

            # Until the index is there, and until 30 MB have leaked: some sixty samples.
            deadline = time.monotonic() + 120
            while leaked(scrape("before")) < 4 and time.monotonic() < deadline:
                time.sleep(1)
            begin = time.monotonic()
            while leaked(scrape("after")) < 30 and time.monotonic() < deadline:
                time.sleep(1)
            waited = time.monotonic() - begin
            age = max(1, int(waited / 2))
            old = scrape("old", f"&age={age}")
            top = ["-top", "-nodecount=5", "-symbolize=none"]
            difference = pprof(*top, "-diff_base", os.path.join(folder, "before"), os.path.join(folder, "after"))
            aged = pprof(*top, old)
            for what, text in (("-diff_base of two scrapes", difference), (f"age={age}", aged)):
                if show:
                    print(f"== {what}, {waited:.0f} s apart\n{text}")
                if LEAK not in first(text):
                    failed += 1
                    print(f"FAILED {what}: first is {first(text)}, not {LEAK}, in\n{text}")
                else:
                    print(f"ok {what}")
    finally:
        server.kill()
        server.wait()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
