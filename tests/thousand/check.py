#!/usr/bin/env python3
"""A crate of a thousand annotated functions, and what may not differ.

    check.py [behaviour] [2021] [lints] [code]

(all, if none is named). The crate that `generate.py` writes is built as it is, with `profiled` switched off, and after
`strip.py`, its unannotated twin:

behaviour   both and the twin compile, the former two under `deny(warnings)`, and print the same: the same results, drops in
            the same order, panics with the same words at the same places
2021        so they do in the edition of 2021, but for the twin
lints       every lint of the compiler and of clippy's `all`, `pedantic` and `nursery` says of the annotated crate what it
            says of the one that is switched off, but for those in `LOST`
code        the machine code of the one that is switched off, optimised, is that of the twin
"""
import collections
import difflib
import filecmp
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
WORK = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "thousand")
CARGO = os.environ.get("CARGO", "cargo")
AT_LEAST = 1000

# What lints no longer say of an annotated function, and why not. Whatever else they said, they say.
LOST = {
    "clippy::missing_const_for_fn": "with a scope it cannot be `const`",
    "clippy::unused_async": "it waits, for its own body",
    "clippy::manual_async_fn": "it returns more than the `async` block that the user wrote",
}


def run(command, **more):
    # The compiler's own settings, not those of whoever runs the tests.
    environment = {key: value for key, value in os.environ.items() if key not in ("RUSTFLAGS", "CARGO_BUILD_TARGET")}
    environment["CARGO_TARGET_DIR"] = os.path.join(WORK, "target")
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: status {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-8000:]}")
    return done.stdout


def generate(name, edition, change=lambda text: text):
    """The crate in a folder of its name, its `main.rs` changed, and how many functions it has."""
    fresh = os.path.join(WORK, "fresh")
    shutil.rmtree(fresh, ignore_errors=True)
    functions = int(run([sys.executable, os.path.join(HERE, "generate.py"), fresh, edition]))
    rewrite(os.path.join(fresh, "src", "main.rs"), change)
    return settled(fresh, name), functions


def rewrite(path, change):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(change(text))


def settled(fresh, name):
    """Names a crate and puts it in its place. Two of one name would be taken for one another in a target directory that
    they share. Files that are as they were keep their time, or cargo would build them again."""
    rewrite(os.path.join(fresh, "Cargo.toml"), lambda text: text.replace('name = "thousand"', f'name = "{name}"'))
    folder = os.path.join(WORK, name)
    for parent, _, files in os.walk(fresh):
        for file in files:
            new = os.path.join(parent, file)
            old = os.path.join(folder, os.path.relpath(new, fresh))
            if os.path.exists(old) and filecmp.cmp(new, old, shallow=False):
                shutil.copystat(old, new)
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(fresh, folder)
    return folder


def output(folder, name, *features):
    run([CARGO, "build", "--quiet", "--offline", *features], cwd=folder)
    return run([os.path.join(WORK, "target", "debug", name)])


def same(what, one, other):
    if one == other:
        return
    differences = list(difflib.unified_diff(other.splitlines(), one.splitlines(), "bare", what, lineterm="", n=8))
    sys.exit(f"{what} behaves differently:\n" + "\n".join(differences[:60]))


def behaviour():
    folder, functions = generate("thousand", "2024")
    assert functions >= AT_LEAST, functions
    stripped = os.path.join(WORK, "fresh")
    run([sys.executable, os.path.join(ROOT, "tests", "strip", "strip.py"), folder, stripped])
    twin = settled(stripped, "twin")
    bare = output(twin, "twin", "--no-default-features")
    same("annotated", output(folder, "thousand"), bare)
    same("switched off", output(folder, "thousand", "--no-default-features"), bare)
    print(f"{functions} functions behave alike: {len(bare.splitlines())} lines")


def edition_2021():
    folder, functions = generate("thousand2021", "2021")
    same("annotated", output(folder, "thousand2021"), output(folder, "thousand2021", "--no-default-features"))
    print(f"{functions} functions behave alike in the edition of 2021")


def lints_of(folder, *features):
    out = run([CARGO, "clippy", "--quiet", "--offline", "--message-format=json", *features, "--", "--cap-lints=warn"],
              cwd=folder)
    found = collections.Counter()
    for line in out.splitlines():
        message = json.loads(line)
        if message.get("reason") != "compiler-message" or not (message := message["message"])["code"]:
            continue
        for span in message["spans"]:
            if span["is_primary"]:
                found[message["code"]["code"], span["file_name"], span["line_start"]] += 1
    return found


def lints():
    groups = "unused, let_underscore, nonstandard_style, clippy::all, clippy::pedantic, clippy::nursery"
    folder, _ = generate("lints", "2024", lambda text: text.replace("#![deny(warnings)]", "").replace(
        "#![allow(clippy::all)]", f"#![warn({groups})]"))
    # The shapes allow what would be said of them: here everything is to be said.
    on, off = lints_of(folder), lints_of(folder, "--no-default-features")
    assert sum(off.values()) > 500, "lints are not on"
    assert any(code == "clippy::unused_self" for code, _, _ in off), "clippy's are not on"
    new, lost = on - off, off - on
    # One that is said at another place of its file is the same one: it speaks of tokens out of a macro.
    for key in list(new):
        moved = next((other for other in lost if other[:2] == key[:2] and "macro_" in key[1]), None)
        if moved:
            del new[key], lost[moved]
    excused = collections.Counter()
    for key in list(lost):
        if key[0] in LOST:
            excused[key[0]] += lost.pop(key)
    problems = [f"new: {key}" for key in new] + [f"lost: {key}" for key in lost]
    if problems:
        sys.exit(f"{len(problems)} lints differ:\n" + "\n".join(sorted(problems)[:40]))
    for code, count in sorted(excused.items()):
        print(f"{code}: {count} fewer: {LOST[code]}")
    print(f"{sum(on.values())} warnings are the same")


def code():
    folder, _ = generate("thousand", "2024")
    compare = os.path.join(ROOT, "tests", "strip", "compare.py")
    print(run([sys.executable, compare, folder]), end="")


def main():
    parts = {"behaviour": behaviour, "2021": edition_2021, "lints": lints, "code": code}
    for part in sys.argv[1:] or parts:
        parts[part]()


if __name__ == "__main__":
    main()
