#!/usr/bin/env python3
"""Proves that `profiled`, switched off, leaves no trace in the machine code.

    compare.py CRATE [--debug] [--keep]

builds the crate in CRATE twice in release mode, as it is with `--no-default-features` and after `strip.py`, and
compares the code of every function of its binaries and of its own objects, with addresses and symbol hashes taken
out. The crate has to turn `profiled` off when its own default features are off. Both builds happen at the same path,
one after the other, so that the compiler sees the same file names: `target/strip/crate`. With --keep they stay, beside
it. Others' crates stay compiled, in `target/strip/target`.
"""
import difflib
import json
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
WORK = os.path.normpath(os.path.join(HERE, "../../target/strip"))


def run(command, **more):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **more).stdout


def absolute_dependencies(manifest, crate):
    """Paths of a manifest that is about to move."""
    def absolute(match):
        return f'path = "{os.path.normpath(os.path.join(crate, match[1]))}"'

    def local(line):
        # `path` of a target is inside of the crate.
        return re.sub(r'path = "([^"]*)"', absolute, line) if "{" in line else line

    return "\n".join(local(line) for line in manifest.split("\n"))


def workspace_values(manifest, crate):
    """What the manifest takes from its workspace, put in its place: the copy stands alone."""
    if "workspace" not in manifest:
        return manifest
    root = crate
    while root != "/":
        root = os.path.dirname(root)
        path = os.path.join(root, "Cargo.toml")
        if os.path.exists(path) and "[workspace]" in open(path, encoding="utf-8").read():
            break
    else:
        return manifest
    text = open(path, encoding="utf-8").read()
    section = lambda name: re.search(rf"(?ms)^\[{re.escape(name)}\]\n(.*?)(?=^\[|\Z)", text)
    package = dict(re.findall(r'(?m)^([\w-]+) = (.*)$', section("workspace.package")[1]))
    dependencies = dict(re.findall(r'(?m)^([\w-]+) = (.*)$', (section("workspace.dependencies") or ["", ""])[1]))
    dependencies = {
        name: re.sub(r'path = "([^"]*)"', lambda m: f'path = "{os.path.join(root, m[1])}"', value)
        for name, value in dependencies.items()
    }
    out = []
    for line in manifest.split("\n"):
        if match := re.fullmatch(r"([\w-]+)\.workspace = true", line.strip()):
            line = f"{match[1]} = {package.get(match[1]) or dependencies[match[1]]}"
        elif match := re.fullmatch(r"([\w-]+) = \{ workspace = true,?\s*(.*)\}", line.strip()):
            value = dependencies[match[1]]
            value = value.strip()[1:-1] if value.startswith("{") else f"version = {value}"
            line = f"{match[1]} = {{ {value.strip()}{', ' + match[2].strip() if match[2] else ''} }}"
        out.append(line)
    manifest = "\n".join(out)
    manifest = re.sub(r"(?m)^\[lints\]\nworkspace = true\n?", "", manifest)
    return manifest


def build(crate, debug, target):
    command = [os.environ.get("CARGO", "cargo"), "build", "--quiet", "--no-default-features", "--message-format=json"]
    environment = dict(os.environ, CARGO_INCREMENTAL="0", RUSTFLAGS="-C codegen-units=1", CARGO_TARGET_DIR=target)
    if not debug:
        command.append("--release")
    output = run(command, cwd=crate, env=environment)
    files = []
    for line in output.splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message["manifest_path"].startswith(crate + os.sep):
            if "custom-build" in message["target"]["kind"]:
                continue
            names = [message["executable"]] if message["executable"] else message["filenames"]
            files += [name for name in names if not name.endswith((".rmeta", ".d"))]
    return sorted(files)


HASH = re.compile(r"17h[0-9a-f]{16}E|\[[0-9a-f]{16}\]|::h[0-9a-f]{16}\b|Cs[0-9A-Za-z]{6,14}_|\.llvm\.\d+|anon\.[0-9a-f]{32}")


def functions(file):
    """Name to normalised code. Functions whose names differ in hashes alone share an entry, sorted."""
    text = run(["objdump", "-d", "-r", "--no-show-raw-insn", "-C", file], stderr=subprocess.DEVNULL)
    found = {}
    name, body = None, []
    for line in text.splitlines() + ["0 <end>:"]:
        if match := re.fullmatch(r"[0-9a-f]+ <(.*)>:", line):
            if name is not None:
                while body and re.fullmatch(r"nop.*|xchg %ax,%ax|int3|cs nopw.*|data16.*", body[-1]):
                    body.pop()
                found.setdefault(name, []).append("\n".join(body))
            name, body = HASH.sub("#", match[1]), []
        elif name is not None and (match := re.match(r"\s*[0-9a-f]+:\s+(.*)", line)):
            code = HASH.sub("#", match[1])
            # `jmp 1234 <f+0x10>` keeps `<f+0x10>`; the place of a constant, and what happens to lie near it, say
            # nothing.
            code = re.sub(r"\b[0-9a-f]+ (<[^>]*>)", r"\1", code)
            if "(%rip)" in code:
                code, _, target = code.partition(" # ")
                code = re.sub(r"-?0x[0-9a-f]+\(%rip\)", "DATA(%rip)", code)
                if code.startswith(("call", "jmp")) and "+0x" not in target:
                    code += " # " + target
            body.append(code.strip())
    return {name: sorted(bodies) for name, bodies in found.items()}


def main():
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    crate = os.path.abspath(arguments[0])
    debug, keep = "--debug" in sys.argv, "--keep" in sys.argv
    place = os.path.join(WORK, "crate")
    shutil.rmtree(place, ignore_errors=True)
    results = {}
    try:
        for variant in ["off", "stripped"]:
            if variant == "off":
                shutil.copytree(crate, place, ignore=shutil.ignore_patterns("target", ".git"))
            else:
                run([sys.executable, os.path.join(HERE, "strip.py"), crate, place])
            manifest = os.path.join(place, "Cargo.toml")
            with open(os.path.join(crate, "Cargo.toml"), encoding="utf-8") as file:
                text = absolute_dependencies(workspace_values(file.read(), crate), crate)
            if "[workspace]" not in text:
                text += "\n[workspace]\n"
            with open(manifest, "w", encoding="utf-8") as file:
                file.write(text)
            lock = os.path.join(crate, "Cargo.lock")
            shutil.copy(lock if os.path.exists(lock) else os.path.join(HERE, "../../Cargo.lock"), place)
            # What lay here before was another crate, or this one in its other shape.
            for folder, _, names in os.walk(place):
                for name in names:
                    os.utime(os.path.join(folder, name))
            results[variant] = {
                os.path.basename(name).split("-")[0]: functions(name)
                for name in build(place, debug, os.path.join(WORK, "target"))
            }
            shutil.rmtree(os.path.join(WORK, variant), ignore_errors=True)
            os.rename(place, os.path.join(WORK, variant))
    finally:
        if not keep:
            for name in ("crate", "off", "stripped"):
                shutil.rmtree(os.path.join(WORK, name), ignore_errors=True)
    off, stripped = results["off"], results["stripped"]
    assert off and off.keys() == stripped.keys(), (off.keys(), stripped.keys())
    different = 0
    for file in off:
        names = off[file].keys() | stripped[file].keys()
        same = 0
        for name in sorted(names):
            ours, bare = off[file].get(name, []), stripped[file].get(name, [])
            if ours == bare:
                same += 1
                continue
            different += 1
            print(f"{file}: {name} differs")
            for line in list(difflib.unified_diff("\n".join(bare).split("\n"), "\n".join(ours).split("\n"), "stripped", "off", lineterm=""))[:20]:
                print("    " + line)
        assert names, f"{file} has no functions"
        print(f"{file}: {same} of {len(names)} functions are the same")
    sys.exit(different > 0)


if __name__ == "__main__":
    main()
