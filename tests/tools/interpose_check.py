#!/usr/bin/env python3
"""The example without a single macro of ours, built with `interpose`: its contention and its dependencies' waits.

    interpose_check.py EXAMPLE [--debug]

copies the example's crate without the profiler's macros (`tests/strip/strip.py`), builds it with
`--features profiled/interpose`, has it index what is in this repository while it answers over HTTP, and reads its
profiles as a user would. Each question is a check; the last line counts them.
"""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "../.."))
sys.path[:0] = [HERE, os.path.join(ROOT, "tests/strip")]
import compare
import profile

# As an example its program is not in the place of the real one, whose target directory it shares.
TAIL = """
[lints.rust]
warnings = "allow"
[workspace]
[[example]]
name = "codesearch"
path = "src/main.rs"
[profile.release]
debug = "line-tables-only"
[profile.release.package.clap_builder]
opt-level = 0
[profile.release.package.criterion]
opt-level = 0
"""
WORK = r"codesearch::index::(Index>?::)?(work|add)\b"


def copy(crate, place):
    subprocess.run([sys.executable, os.path.join(ROOT, "tests/strip/strip.py"), crate, place], check=True)
    with open(os.path.join(crate, "Cargo.toml"), encoding="utf-8") as file:
        manifest = compare.absolute_dependencies(compare.workspace_values(file.read(), crate), crate)
    # What is beneath is compiled as for other tests.
    others = os.path.join(ROOT, "tests/dependencies")
    manifest = manifest.replace(
        "\n[dependencies]\n",
        f'\n[dependencies]\nprofiled-test-dependencies = {{ path = "{others}", features = ["whole"] }}\n')
    with open(os.path.join(place, "Cargo.toml"), "w", encoding="utf-8") as file:
        file.write(manifest + TAIL)
    shutil.copy(os.path.join(ROOT, "Cargo.lock"), place)
    # The locks are plain now, and so is their type.
    index = os.path.join(place, "src/index.rs")
    with open(index, encoding="utf-8") as file:
        text = file.read()
    with open(index, "w", encoding="utf-8") as file:
        file.write(text.replace("profiled::sync::Mutex<", "Mutex<"))


def build(place, debug):
    target = os.path.join(ROOT, "target")
    command = [os.environ.get("CARGO", "cargo"), "build", "--quiet", "--example", "codesearch"]
    command += ["--features", "profiled/interpose"]
    environment = dict(os.environ, CARGO_TARGET_DIR=target)
    subprocess.run(command + ([] if debug else ["--release"]), cwd=place, env=environment, check=True)
    return os.path.join(target, "debug" if debug else "release", "examples", "codesearch")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    def __init__(self, program):
        self.port, queries = free_port(), free_port()
        folder = os.path.join(ROOT, "runtime/src")
        arguments = [folder, os.path.join(ROOT, "tests"), "--threads", "8", "--pause", "0", "--load", "50"]
        places = ["--http", f"127.0.0.1:{queries}", "--pprof", f"127.0.0.1:{self.port}"]
        self.process = subprocess.Popen(
            [program, *arguments, *places], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=dict(os.environ, PROFILED_BLOCK_RATE="1", PROFILED_MUTEX_FRACTION="1"),
        )
        self.queries = queries

    def get(self, path, port=None):
        url = f"http://127.0.0.1:{port or self.port}{path}"
        for _ in range(100):
            try:
                return urllib.request.urlopen(url, timeout=60).read()
            except OSError:
                time.sleep(0.2)
        raise RuntimeError(f"no answer from {url}")


def of(found, **labels):
    return [s for s in found.samples if all(s.labels.get(key) == value for key, value in labels.items())]


def main():
    crate, debug = os.path.abspath(sys.argv[1]), "--debug" in sys.argv
    place = tempfile.mkdtemp(prefix="profiled-interposed-")
    passed = failed = 0

    def check(name, good, told=""):
        nonlocal passed, failed
        passed, failed = passed + bool(good), failed + (not good)
        print(f"ok {name}" if good else f"FAILED {name}: {told}", flush=True)

    server = None
    try:
        crate_copy = os.path.join(place, "crate")
        copy(crate, crate_copy)
        leftovers = subprocess.run(["grep", "-rnE", r"(profile_mutex|labels|profile)! *[({]", crate_copy + "/src"],
                                   capture_output=True, text=True).stdout
        check("no macro of ours is left", not leftovers, leftovers)
        server = Server(build(crate_copy, debug))
        # Until the pool has met at its locks often enough.
        deadline = time.time() + 60
        while True:
            server.get("/search?q=Mutex", server.queries)
            block = profile.Profile(server.get("/debug/pprof/block"))
            locks = [s for s in block.find(WORK, labels={"wait": "mutex"})]
            if sum(s.values["contentions"] for s in locks) > 20 or time.time() > deadline:
                break
            time.sleep(0.5)
        check("threads of the pool wait for plain locks", locks, [s.labels for s in block.samples])
        mutex = profile.Profile(server.get("/debug/pprof/mutex"))
        held = mutex.find(WORK, labels={"wait": "mutex"})
        check("those who held them are charged", sum(s.values["delay"] for s in held) > 0, len(mutex.samples))
        tokio = block.find(r"\btokio::runtime::")
        check("waits of a dependency are under its own functions", tokio, len(block.samples))
        channel = [s for s in block.find(r"\bcrossbeam_channel::") if s.labels.get("wait") == "channel"]
        check("a channel's waits are under that dependency's functions, and called so", channel,
              [s.labels for s in block.find(r"\bcrossbeam_channel::")])
        idle = of(block, idle="tokio")
        check("its idle threads are labelled", idle, [s.labels for s in tokio])
        apart = profile.Profile(server.get("/debug/pprof/block?tags=waiting"))
        still = of(apart, state="waiting", idle="tokio")
        check("who waits right now is told apart", still, [s.labels for s in apart.samples])
        index = server.get("/debug/pprof/").decode()
        check("the index says that it is active", index.count("interpose: active") == 2, index[:500])
        joins = [s for s in block.samples if s.labels.get("wait") in ("join", "park", "channel")]
        check("other waits have their class", joins)
        text = server.get("/debug/pprof/block?debug=1").decode()
        check("text says that it is active", "# interpose: active" in text, text[:500])
        check("text leaves idle threads out, and says so",
              '"idle":' not in text and "rows of idle pool threads are left out" in text, text[:500])
        check("unless it is asked for them", '"idle":"tokio"' in server.get("/debug/pprof/block?debug=1&idle=1").decode())
        without = profile.Profile(server.get("/debug/pprof/block?idle=0"))
        check("the protobuf has them, unless not", not of(without, idle="tokio") and without.samples)
    finally:
        if server:
            server.process.kill()
            server.process.wait()
        shutil.rmtree(place)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
