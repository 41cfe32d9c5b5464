#!/usr/bin/env python3
"""Runs the example as a user would, and looks at it through Go's own pprof.

    codesearch_check.py PATH_OF_CODESEARCH [--only once|live|arguments]

Once with --once and its files, once as a server that is asked over HTTP while it works. Each question is a check; the
last line counts them.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.dirname(__file__))
import profile
import validate

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
PPROF = os.environ.get("PROFILED_PPROF", os.path.join(ROOT, "target/tools/pprof"))

# Functions of the example, as they may be called: a method's type may be in angle brackets, and an inlined method has
# none where there are line tables only.
ADD = r"codesearch::index::(Index>?::)?add\b"
TRIGRAMS = r"codesearch::index::trigrams\b"
WORK = r"codesearch::index::(Index>?::)?work\b"
BUILD = r"codesearch::index::(Index>?::)?build\b"
INDEX = r"codesearch::commands::(Commands>?::)?index\b"
SEARCH = r"codesearch::query::search\b"
# pprof leaves small rows out unless told not to.
TOP = ("-top", "-cum", "-nodecount=5000", "-nodefraction=0")


class Checks:
    """Counts; a check that fails is told and the others still run."""

    def __init__(self):
        self.passed = self.failed = 0
        self.failed_last = None

    def __call__(self, name, ask, *args, **kwargs):
        try:
            wrong = ask(*args, **kwargs)
        except Exception as error:  # whatever it was, it is this check that failed
            wrong = f"{type(error).__name__}: {error}"
        self.failed_last = wrong or None
        if wrong:
            self.failed += 1
            print(f"FAILED {name}: {wrong}", flush=True)
        else:
            self.passed += 1
            print(f"ok {name}", flush=True)


def pprof(*args):
    run = subprocess.run([PPROF, *args], cwd=ROOT, capture_output=True, text=True, timeout=90,
                         env={**os.environ, "PPROF_TMPDIR": os.path.join(ROOT, "target/tools/pprof-files")})
    if run.returncode:
        raise RuntimeError(f"pprof {' '.join(args)}: {run.stderr.strip()}")
    return run.stdout


def lacks(text, *patterns):
    """What of `patterns` is not in `text`; nothing if all are."""
    missing = [pattern for pattern in patterns if not re.search(pattern, text, re.M)]
    return f"no {missing} in\n{text[:1500]}" if missing else None


def get(url, **kwargs):
    with urllib.request.urlopen(urllib.request.Request(url, **kwargs), timeout=60) as answer:
        return answer.read()


def strict(data, window):
    found = validate.problems(data, window)
    return "; ".join(f"[{rule}] {sentence}" for rule, sentence in found[:5]) or None


def has(data, kind, *parts, least=1, labels=None):
    """Whether samples with these frames have at least this much of a value."""
    read = profile.Profile(data)
    found = read.find(*parts, labels=labels)
    if kind not in read.types:
        return f"no {kind} among {read.types}"
    total = sum(sample.values[kind] for sample in found)
    if total >= least:
        return None
    leaves = sorted({profile.show(sample.frames[0]) for sample in read.samples if sample.frames})
    return f"{kind} of {parts} {labels or ''} is {total}, below {least}; leaves: {leaves[:20]}"


def has_inlined(data, name, file):
    """Whether a function shows as put into another, with file and line."""
    for sample in profile.Profile(data).samples:
        for frame in sample.frames:
            if frame.inlined and re.search(name, frame.name) and frame.file.endswith(file) and frame.line > 0:
                return None
    return f"no inlined {name} in {file}"


def leaves_are_the_programs(data):
    """Whether stacks begin where the program called, and not in what it called us by."""
    plumbing = re.compile(r"^_*(profiled|__rustc?|alloc::alloc)\b|profiled::(hook|local|stack|store)|__rust_(re)?alloc")
    samples = profile.Profile(data).samples
    bad = {profile.show(sample.frames[0]) for sample in samples
           if sample.frames and plumbing.search(sample.frames[0].name)}
    return f"leaves: {sorted(bad)[:5]}" if bad else None


# ---- files ----------------------------------------------------------------------------------------------------------
def once(check, program):
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "--once", os.path.join(ROOT, "runtime/src"), "--out", folder, "--rounds", "200",
                   "--threads", "4"]
        run = subprocess.run(command, capture_output=True, text=True, timeout=120)
        check("once: ends well", lambda: run.stderr if run.returncode else None)
        check("once: prints a table of functions", lacks, run.stdout, WORK, SEARCH, r"codesearch/scan")
        files = {}
        for name in ("cpu", "heap", "mutex", "block", "functions"):
            path = os.path.join(folder, name + ".pb.gz")
            if os.path.exists(path):
                with open(path, "rb") as file:
                    files[name] = file.read()
            data = files.setdefault(name, b"")
            check(f"once: {name} is valid", strict, data, window=name == "cpu")
            check(f"once: pprof reads {name}", lambda path=path: lacks(pprof("-top", path), r"flat%"))
        check("once: cpu has the indexer", has, files["cpu"], "cpu", TRIGRAMS, WORK, least=50_000_000)
        check("once: cpu is labelled", has, files["cpu"], "cpu", WORK, labels={"phase": "index"}, least=50_000_000)
        check("once: cpu has inlined functions", has_inlined, files["cpu"], r"codesearch::index::", "src/index.rs")
        check("once: heap has the lists", has, files["heap"], "alloc_space", ADD, WORK, least=1 << 20)
        for name in ("heap", "mutex", "block"):
            check(f"once: leaves of {name}", leaves_are_the_programs, files[name])
        check("once: functions has the scopes", has, files["functions"], "calls", WORK, least=200)
        for name in ("cpu", "heap"):
            path = os.path.join(folder, name + ".pb.gz")
            check(f"once: every rule bites on {name}", lambda path=path: validate.selftest(path) or None)


# ---- a program that runs ---------------------------------------------------------------------------------------------
class Running:
    """A program, its output read by a thread of ours. Leaving the block ends it."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, errors="replace", bufsize=1, cwd=ROOT)
        self.lines = []
        threading.Thread(target=self.read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    def wait(self, pattern, seconds=60, begin=0):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for line in self.lines[begin:]:
                found = re.search(pattern, line)
                if found:
                    return found
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        status = self.process.poll()
        raise RuntimeError(f"no {pattern!r} was printed (status {status}): {''.join(self.lines[-20:])}")

    def say(self, text):
        """Types a line and returns where its answer begins."""
        begin = len(self.lines)
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return begin


class Live(Running):
    """codesearch, and its two addresses."""

    def start(self):
        self.profiles = self.wait(r"^profiles +(http://\S+/debug/pprof)/").group(1)
        self.queries = self.wait(r"^queries +(http://[^/]+)/").group(1)
        self.wait(r"^indexed \d+ files")

    def profile(self, path):
        return get(f"{self.profiles}/{path}")


def live(check, program):
    roots = [os.path.join(ROOT, folder) for folder in ("runtime", "examples", "tests")]
    options = ["--http", "127.0.0.1:0", "--pprof", "127.0.0.1:0", "--threads", "4", "--pause", "0", "--load", "20"]
    with Live([program, *options, *roots]) as it:
        check("live: starts", it.start)
        if check.failed_last is None:
            ask(check, it)


def ask(check, it):
    check("live: answers over HTTP", lambda: lacks(
        get(it.queries + "/search?q=global_allocator").decode(), r"codesearch/src/main.rs:\d+: ", r"\d+ lines in \d+ files"))
    check("live: answers the terminal", lambda: it.wait(r"lines in \d+ files", begin=it.say("global_allocator")) and None)
    check("live: refuses a short query", lambda: status(it.queries + "/search?q=ab", 400))
    check("live: refuses no query", lambda: status(it.queries + "/search", 400))
    check("live: refuses a bad number", lambda: status(it.queries + "/search?q=main&n=x", 400))
    check("live: refuses another path", lambda: status(it.queries + "/nowhere", 404))

    names = ["heap", "allocs", "mutex", "block", "functions", "codesearch/shard", "codesearch/indexes",
             "codesearch/queries", "codesearch/scan"]
    check("live: the index page names all", lambda: lacks(it.profile("").decode(), *names))

    # While it works: the real client, over HTTP.
    url = f"{it.profiles}/profile?seconds=5"
    check("pprof: cpu, five seconds", lambda: lacks(pprof(*TOP, url), TRIGRAMS, WORK, r"\(inline\)"))
    expected = {
        "heap": [ADD], "allocs": [ADD, r"codesearch::walk::"], "mutex": [ADD], "block": [ADD], "functions": [WORK, SEARCH],
    }
    for name, patterns in expected.items():
        address = f"{it.profiles}/{name}"
        check(f"pprof: {name}", lambda: lacks(pprof(*TOP, address), *patterns))
    for name, types in {"heap": ("inuse_space", "inuse_objects", "alloc_space", "alloc_objects"),
                        "mutex": ("delay", "contentions"), "block": ("delay", "contentions")}.items():
        for kind in types:
            address = f"{it.profiles}/{name}"
            check(f"pprof: {name}, {kind}", lambda: lacks(
                pprof(*TOP, f"-sample_index={kind}", address), ADD))

    # Lines of the source, with what was spent on them.
    source = r"^ *\S+ +[1-9]\S* +\d+: .*postings\.entry\(trigram\)"
    for name in ("allocs", "profile?seconds=2"):
        address = f"{it.profiles}/{name}"
        check(f"pprof: lines of {name}", lambda: lacks(
            pprof("-list", ADD, address), r"ROUTINE.*::add.* in .*src/index\.rs", source))
    check("pprof: labels", lambda: lacks(
        pprof("-tags", f"{it.profiles}/profile?seconds=2"), r"phase: Total", r"index\b"))
    check("pprof: raw", lambda: lacks(
        pprof("-raw", f"{it.profiles}/heap"), r"inuse_space/bytes", r"\[FN\]\[FL\]\[LN\]\[IN\]"))
    check("pprof: traces", lambda: lacks(pprof("-traces", f"{it.profiles}/heap"), ADD, WORK))

    windows = {"profile?seconds=1": True, "heap?seconds=1": True, "mutex?seconds=1": True, "block?seconds=1": True,
               "functions?seconds=1": True}
    kept = {}
    for path in ("heap", "allocs", "mutex", "block", "functions", "codesearch/shard", "codesearch/indexes", "codesearch/scan",
                 "codesearch::query::search", *windows):
        def fetch(path=path):
            kept[path] = it.profile(path)
            return strict(kept[path], windows.get(path, False))
        check(f"valid: {path}", fetch)
    empty = b""
    check("lines: inlined in the CPU profile", lambda: has_inlined(
        it.profile("profile?seconds=3"), r"codesearch::", ".rs"))
    check("heap: live lists", lambda: has(kept.get("heap", empty), "inuse_space", ADD, least=1 << 16))
    check("block: a wait", lambda: has(kept.get("block", empty), "delay", ADD, WORK, least=1))
    check("mutex: a holder", lambda: has(kept.get("mutex", empty), "delay", ADD, WORK, least=1))
    check("a lock's own profile", lambda: has(kept.get("codesearch/shard", empty), "contentions", least=1))
    check("a function's own profile", lambda: has(kept.get("codesearch::query::search", empty), "calls", least=10))
    check("a profile of the program's own", lambda: has(
        kept.get("codesearch/indexes", empty), "codesearch/indexes", BUILD, INDEX, least=1))
    for path, patterns in {
        "functions?debug=1": [WORK, SEARCH, "codesearch/scan"], "heap?debug=1": [r"heap profile: "],
        "mutex?debug=1": [r"."], "block?debug=1": [r"."], "codesearch/indexes?debug=1": [r"codesearch/indexes"],
    }.items():
        check(f"text: {path}", lambda: lacks(it.profile(path).decode(), *patterns))

    # The live heap falls when the index goes.
    def falls():
        before = live_bytes(it.profile("heap"))
        it.wait("dropped", begin=it.say("drop"))
        # A round that was under way keeps its own until it ends, and so does a query.
        for _ in range(40):
            after = live_bytes(it.profile("heap"))
            if after * 5 < before:
                return None
            time.sleep(0.25)
        return f"live bytes of the index: {before} before, {after} after"
    check("drop: the live heap falls", falls)
    check("drop: no query is answered", lambda: status(it.queries + "/search?q=main", 503))
    check("index: it comes back", lambda: lacks(get(it.queries + "/index").decode(), r"indexed \d+ files"))
    check("drop over HTTP", lambda: lacks(get(it.queries + "/drop").decode(), "dropped"))
    it.say("quit")
    check("quit: ends well", lambda: it.process.wait(20) or None)


def live_bytes(data):
    read = profile.Profile(data)
    return sum(sample.values["inuse_space"] for sample in read.find(ADD))


def status(url, expected):
    try:
        get(url)
        found = 200
    except urllib.error.HTTPError as error:
        found = error.code
    return None if found == expected else f"{url}: {found}, not {expected}"


# ---- what users get wrong --------------------------------------------------------------------------------------------
def arguments(check, program):
    def run(*args):
        return subprocess.run([program, *args], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)

    for args, expected in {
        ("--fast",): "there is no option --fast", ("/no/such/folder",): "/no/such/folder: ",
        ("--threads", "many"): "--threads: many is not a number", ("--once",): "--once needs a directory",
    }.items():
        def refused(args=args, expected=expected):
            done = run(*args)
            return None if done.returncode == 2 and expected in done.stderr else f"{done.returncode}: {done.stderr}"
        check(f"arguments: {' '.join(args)}", refused)
    check("arguments: --help", lambda: lacks(run("--help").stdout, "--once DIR", "--pprof ADDR"))

    def taken():
        done = run("--pprof", "203.0.113.1:1", "--http", "127.0.0.1:0", os.path.join(ROOT, "tests"))
        return None if done.returncode == 1 and "--pprof ADDR" in done.stderr else f"{done.returncode}: {done.stderr}"
    check("arguments: an address that is not ours", taken)

    def unreadable():
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "good.rs"), "wb") as file:
                file.write(b"fn main() {} // caf\xe9\n")
            with open(os.fsencode(folder) + b"/caf\xe9.rs", "wb") as file:
                file.write(b"fn other() {}\n")
            with open(os.path.join(folder, "binary.rs"), "wb") as file:
                file.write(b"\0" * 100)
            os.symlink("nowhere", os.path.join(folder, "link.rs"))
            done = run("--once", folder, "--out", folder)
            return lacks(done.stderr, r"indexed 3 files.*1 were not text") or (done.returncode and done.stderr) or None
    check("files of any name and content", unreadable)


def main():
    parser = argparse.ArgumentParser(description="Checks codesearch through Go's pprof.")
    parser.add_argument("program")
    parser.add_argument("--only", choices=["once", "live", "arguments"])
    args = parser.parse_args()
    check = Checks()
    for part in (arguments, once, live):
        if args.only in (None, part.__name__):
            part(check, os.path.abspath(args.program))
    print(f"test result: {check.passed} passed; {check.failed} failed", flush=True)
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
