#!/usr/bin/env python3
"""Whether what our locks stand for has methods that we do not call in `tests/off/src/methods`, which is compiled with
the switch on and off: then one of ours lacks it, or nobody knows that it has it.

What the originals have is read off their sources (`parking_lot`, `lock_api`, `tokio`, as cargo has them) and off the
compiler's documents (the standard library: the component `rust-docs`). What is stable counts, and is no `unsafe fn`.
Without the documents the standard library's methods are not compared, and this says so.
"""
import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
METHODS = HERE / "tests/off/src/methods"

# What we leave out, and why.
ARC = "feature `arc_lock`: a guard that keeps the lock beneath alive, which is inside ours"
RAW = "takes or gives the raw lock, which is ours"
EXCUSED = {
    "from_raw": RAW, "const_new": RAW, "into_inner_with_raw": RAW,
    "lock_arc": ARC, "try_lock_arc": ARC, "try_lock_arc_for": ARC, "try_lock_arc_until": ARC,
}
EXCUSED_PATTERN = re.compile(r"_arc\b|_arc_|^arc_")
NOT_WRAPPED = {
    "parking_lot": {
        "Once": "no lock: `sync::Once` is", "OnceState": "of `Once`",
        "const_mutex": "`new` is constant", "const_fair_mutex": "`new` is constant",
        "const_reentrant_mutex": "`new` is constant", "const_rwlock": "`new` is constant",
    },
    "tokio": {
        name: "waits for what happens, not for what somebody holds: `block::region` times it"
        for name in ("Barrier", "BarrierWaitResult", "OnceCell", "SetError", "SetOnce", "SetOnceError", "broadcast",
                     "oneshot", "watch")
    },
}


def packages():
    """Where cargo has the sources: (name, version) to folder."""
    output = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--all-features"], cwd=HERE, check=True, capture_output=True
    ).stdout
    return {(package["name"], package["version"].rsplit(".", 1)[0]): Path(package["manifest_path"]).parent
            for package in json.loads(output)["packages"]}


def of_sources(*files):
    """The methods of each type: name to set, of files in Rust's usual layout."""
    found = {}
    for file in files:
        text = re.sub(r"(?m)^#\[cfg\(test\)\]\nmod .*", "", file.read_text(), flags=re.S)
        for impl in re.finditer(r"(?m)^impl\b(.*?)\{\n(.*?)^\}", text, re.S):
            head = re.sub(r"\bwhere\b.*", "", impl[1], flags=re.S)
            depth, start = 0, 0
            if head.startswith("<"):
                for start, char in enumerate(head):
                    depth += (char == "<") - (char == ">" and head[start - 1] != "-")
                    if depth == 0:
                        break
                start += 1
            head = head[start:]
            if re.search(r"\bfor\b", head):
                continue
            name = re.match(r"\s*(\w+)", head)[1]
            methods = re.findall(r"(?m)^    pub (?:const )?(?:async )?fn (\w+)", impl[2])
            found.setdefault(name, set()).update(methods)
    return found


def of_documents(folder, *pages):
    """The stable methods of types of the standard library, of its documents."""
    found = {}
    for page in pages:
        text = (folder / page).read_text().split('id="trait-implementations"')[0]
        name = re.search(r"struct\.(\w+)\.html", page)[1]
        prefix = "mpsc::" if page.startswith("mpsc/") else ""
        methods = re.findall(r'<section id="method\.(\w+)" class="method">(.*?)</section>', text, re.S)
        found[prefix + name] = {method for method, about in methods if "Stable since" in about}
    return found


def sections(*files):
    """The text under each heading of types: "/// `Mutex`, `MutexGuard`"."""
    found = {}
    for file in files:
        names = []
        for line in (METHODS / file).read_text().splitlines():
            if re.match(r"\s*/// `[A-Za-z:]+`", line):
                names = re.findall(r"`([\w:]+)`", line)
            for name in names:
                found[name] = found.get(name, "") + line + "\n"
    return found


def missing(what, originals, called):
    """Says what nobody calls."""
    wrong = []
    for name, methods in sorted(originals.items()):
        for method in sorted(methods):
            excused = method in EXCUSED or EXCUSED_PATTERN.search(method)
            there = re.search(rf"(?:\.|::)\s*{method}\b", called.get(name, ""))
            # What is constant is called by another name in each family; `new` is in all of them.
            if not there and not excused:
                wrong.append(f"{what}: nobody calls {name}::{method}")
    count = sum(map(len, originals.values()))
    print(f"{what}: {count} methods of {len(originals)} types")
    if count < 10:
        wrong.append(f"{what}: its methods were not found")
    return wrong


def items(what, text, ours, excused):
    """Says which types of a module we do not pass on."""
    names = set()
    for use in re.findall(r"pub use (?!super)(?:self::)?[\w:]+::(?:\{(.*?)\}|(\w+));", text, re.S):
        names.update(name.strip() for name in (use[0] or use[1]).split(",") if name.strip())
    names.update(re.findall(r"(?m)^    pub mod (\w+);", text))
    names = {name for name in names if not name.startswith("Arc")}
    missed = sorted(name for name in names if not re.search(rf"\b{name}\b", ours) and name not in excused)
    print(f"{what}: {len(names)} items")
    wrong = [] if len(names) > 5 else [f"{what}: its items were not found"]
    return wrong + [f"{what}: {name} is not passed on" for name in missed]


def main():
    found, wrong = packages(), []
    off = (HERE / "runtime/src/off/mod.rs").read_text()

    def module(name):
        text = off.split(f"pub mod {name} {{")[1]
        return text.split("\n}\n")[0]

    for version, api, file in ("0.12", "0.4", "parking_lot"), ("0.13", "0.5", "parking_lot_0_13"):
        source, locks = found["parking_lot", version] / "src", found["lock_api", api] / "src"
        files = [locks / f"{name}.rs" for name in ("mutex", "remutex", "rwlock", "condvar") if (locks / f"{name}.rs").exists()]
        originals = of_sources(*files, source / "condvar.rs")
        originals = {name: methods for name, methods in originals.items()
                     if not name.startswith(("Arc", "RawReentrant", "WaitTimeout"))}
        wrong += missing(f"parking_lot {version}", originals, sections("parking_lot_common.rs", f"{file}.rs"))
        wrong += items(f"parking_lot {version}", (source / "lib.rs").read_text(), module(file), NOT_WRAPPED["parking_lot"])

    source = next(folder for (name, _), folder in found.items() if name == "tokio") / "src/sync"
    guards = [*sorted((source / "rwlock").glob("*.rs"))]
    originals = of_sources(source / "mutex.rs", source / "rwlock.rs", *guards, source / "semaphore.rs")
    originals |= {name if name == "Notify" else f"futures::{name}": methods
                  for name, methods in of_sources(source / "notify.rs").items()
                  if name in ("Notify", "Notified", "OwnedNotified")}
    channels = of_sources(source / "mpsc/bounded.rs", source / "mpsc/unbounded.rs")
    # These two are passed on as they are.
    originals |= {f"mpsc::{name}": methods for name, methods in channels.items() if name not in ("Permit", "PermitIterator")}
    wrong += missing("tokio", originals, sections("tokio.rs"))
    wrong += items("tokio", (source / "mod.rs").read_text(), module("tokio"), NOT_WRAPPED["tokio"])

    sysroot = subprocess.run(["rustc", "--print", "sysroot"], cwd=HERE, check=True, capture_output=True, text=True).stdout
    folder = Path(sysroot.strip()) / "share/doc/rust/html/std/sync"
    if folder.is_dir():
        names = ["Mutex", "RwLock", "RwLockWriteGuard", "Condvar", "Barrier", "Once", "OnceState", "OnceLock", "LazyLock"]
        pages = [f"struct.{name}.html" for name in names]
        pages += [f"mpsc/struct.{name}.html" for name in ("Sender", "SyncSender", "Receiver")]
        wrong += missing("std", of_documents(folder, *pages), sections("standard.rs"))
    else:
        print("std: not compared, for the component rust-docs is not installed")
    print(*wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
