#!/usr/bin/env python3
"""Writes a crate of a thousand annotated functions.

    generate.py FOLDER [EDITION]

They are the shapes of `tests/ui`, and the product of what a function can be, what it can be given and how it can end:
every kind with all arguments and all bodies. Each notes what it drops; the program runs them all and prints that.
Says how many functions it annotated.
"""
import glob
import os
import re
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
UI = os.path.join(HERE, "..", "ui")
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))

# (name, parameters, what is passed, the names that a body may use)
ARGUMENTS = [
    ("plain", "a: Note, b: Note", 'Note("a"), Note("b")', ["a", "b"]),
    ("ignored_first", "_: Note, b: Note", 'Note("a"), Note("b")', ["b"]),
    ("ignored_last", "a: Note, _: Note", 'Note("a"), Note("b")', ["a"]),
    ("ignored_all", "_: Note, _: Note", 'Note("a"), Note("b")', []),
    ("pair", "(a, b): (Note, Note)", '(Note("a"), Note("b"))', ["a", "b"]),
    ("array", "[a, b]: [Note; 2]", '[Note("a"), Note("b")]', ["a", "b"]),
]

# (name, statements); PAUSE waits in what is asynchronous, TOTAL is the sum of what was given, in the order
# of its arguments, REVERSED in the reverse, MOVE drops the first of them.
BODIES = [
    ("value", 'let _local = Note("local"); PAUSE Ok(n)'),
    ("early", 'let _local = Note("local"); if n == 1 { return Err(n); } PAUSE let _later = Note("later"); Ok(n)'),
    ("question", 'let n = check(n)?; PAUSE let _local = Note("local"); Ok(n)'),
    ("panic", 'let _local = Note("local"); if n == 2 { panic!("two") } PAUSE assert!(n != 1, "one"); Ok(n)'),
    ("labelled", "'out: loop { let _turn = Note(\"turn\"); PAUSE if n > 0 { break 'out Ok(n); } return Err(9); }"),
    ("temporary", 'let _local = Note("local"); PAUSE (Note("temporary"), Ok(n)).1'),
    ("used", 'let _local = Note("local"); PAUSE Ok(n + TOTAL)'),
    ("used_in_reverse", 'let _local = Note("local"); PAUSE Ok(n + REVERSED)'),
    ("moved", 'let _local = Note("local"); MOVE PAUSE Ok(n)'),
    ("closure", 'let f = |x: u32| { let _inner = Note("inner"); if x > 1 { return x; } x + 1 }; PAUSE Ok(f(n) + f(9))'),
    ("inner", '#[profiled] fn inner(n: u32) -> u32 { let _inner = Note("inner"); n + 1 } PAUSE Ok(inner(n))'),
    ("match", 'match n { 0 => Ok(1), 1 => { let _arm = Note("arm"); PAUSE Err(2) } _ => return Ok(3) }'),
    ("let_else", 'let Some(n) = n.checked_sub(1) else { return Err(0) }; PAUSE Ok(n)'),
]

# (name, is it waited for, before and after each function, around all, how it is called)
KINDS = [
    ("function", False, "#[profiled]\nfn {f}({p}, n: u32) -> Outcome {{ {b} }}", "{a}", "{f}({v}, n)"),
    ("asynchronous", True, "#[profiled]\nasync fn {f}({p}, n: u32) -> Outcome {{ {b} }}", "{a}", "{f}({v}, n)"),
    ("future", True, "#[profiled]\nfn {f}({p}, n: u32) -> impl Future<Output = Outcome> {{ async move {{ {b} }} }}",
     "{a}", "{f}({v}, n)"),
    ("boxed", True, "#[profiled]\nfn {f}({p}, n: u32) -> Pin<Box<dyn Future<Output = Outcome>>> "
     "{{ Box::pin(async move {{ {b} }}) }}", "{a}", "{f}({v}, n)"),
    ("method", False, "#[profiled]\nfn {f}(&self, {p}, n: u32) -> Outcome {{ let n = n + self.0; {b} }}",
     "impl Cart {{\n{a}\n}}", "Cart(0).{f}({v}, n)"),
    ("by_value", True, "#[profiled(name = \"by_value/{f}\")]\nasync fn {f}(self, {p}, n: u32) -> Outcome {{ {b} }}",
     "impl Cart {{\n{a}\n}}", "Cart(0).{f}({v}, n)"),
    ("block", True, "async fn {f}<T: Into<u32>>({p}, n: T) -> Outcome {{ let n: u32 = n.into(); {b} }}",
     "#[profiled]\nimpl Cart {{\n{a}\n}}", "Cart::{f}({v}, n)"),
    ("generic", False, "#[profiled]\nfn {f}<T>({p}, n: T) -> Outcome where T: Into<u32> {{ let n: u32 = n.into(); {b} }}",
     "{a}", "{f}({v}, n)"),
    ("labelled", True, "#[profiled(labels(n = n))]\nasync fn {f}({p}, n: u32) -> Outcome {{ {b} }}", "{a}",
     "{f}({v}, n)"),
]


def function(kind, waits, template, arguments, body):
    name, parameters, _, names = arguments
    body_name, statements = body
    total = " + ".join(f"{n}.0.len() as u32" for n in names) or "0"
    reverse = " + ".join(f"{n}.0.len() as u32" for n in reversed(names)) or "0"
    move = f"drop({names[0]});" if names else ""
    used = names if "TOTAL" in statements or "REVERSED" in statements else names[:1] if "MOVE" in statements else []
    for unused in set(names) - set(used):
        parameters = re.sub(rf"\b{unused}\b", f"_{unused}", parameters)
    text = statements.replace("PAUSE", "pause().await;" if waits else "").replace("TOTAL", total)
    text = text.replace("REVERSED", reverse).replace("MOVE", move)
    f = f"{name}_{body_name}"
    return f, template.format(f=f, p=parameters, b=text)


def module(kind, waits, template, around, called):
    functions, runs = [], []
    for arguments in ARGUMENTS:
        for body in BODIES:
            f, text = function(kind, waits, template, arguments, body)
            functions.append(text)
            way = "wait" if waits else "call"
            runs.append(f'    {way}("{f}", |n| {called.format(f=f, v=arguments[2])});')
    body = "\n".join(functions)
    imports = [f"use crate::drive::{{Outcome, check, {'wait' if waits else 'call'}}};", "use crate::support::Note;"]
    imports += ["use crate::support::pause;"] if waits else []
    imports += ["use profiled::profiled;"]
    imports += ["use std::future::Future;"] if "Future" in body else []
    imports += ["use std::pin::Pin;"] if "Pin<" in body else []
    cart = f"struct Cart({'u32' if kind == 'method' else '#[allow(dead_code)] u32'});" if "Cart" in around else ""
    allows = "#![allow(unreachable_code, dead_code)]"
    return "\n".join([f"//! {kind}", allows, *imports, cart, around.format(a=body), "", "pub(crate) fn run() {", *runs, "}", ""])


def main():
    folder = sys.argv[1]
    edition = sys.argv[2] if len(sys.argv) > 2 else "2024"
    source = os.path.join(folder, "src")
    shutil.rmtree(source, ignore_errors=True)
    os.makedirs(source)
    modules, lists = ["mod pass;"], ["pass::SHAPES"]
    shutil.copy(os.path.join(UI, "support.rs"), source)
    shutil.copy(os.path.join(HERE, "drive.rs"), source)
    shutil.copytree(os.path.join(UI, "pass"), os.path.join(source, "pass"))
    if edition == "2024":
        shutil.copytree(os.path.join(UI, "pass_2024"), os.path.join(source, "pass_2024"))
        modules.append("mod pass_2024;")
        lists.append("pass_2024::SHAPES")
    kinds = []
    for kind in KINDS:
        with open(os.path.join(source, f"all_{kind[0]}.rs"), "w", encoding="utf-8") as file:
            file.write(module(*kind))
        modules.append(f"mod all_{kind[0]};")
        kinds.append(f'("all_{kind[0]}", all_{kind[0]}::run as fn())')
    lists.append(f"&[{', '.join(kinds)}]")
    with open(os.path.join(HERE, "main.rs"), encoding="utf-8") as file:
        main = file.read()
    main = main.replace("@EDITION@", edition).replace("@MODULES@", "\n".join(modules))
    with open(os.path.join(source, "main.rs"), "w", encoding="utf-8") as file:
        file.write(main.replace("@SHAPES@", ", ".join(lists)))
    with open(os.path.join(folder, "Cargo.toml"), "w", encoding="utf-8") as file:
        file.write(f"""[package]
name = "thousand"
version = "0.0.0"
edition = "{edition}"
publish = false

[features]
default = ["profiling"]
profiling = ["profiled/enabled"]

[dependencies]
async-trait = "0.1.89"
profiled = {{ path = "{ROOT}/runtime", default-features = false }}

[workspace]

[profile.dev]
debug = false
incremental = false
""")
    shutil.copy(os.path.join(ROOT, "Cargo.lock"), folder)
    print(count(source))


def count(source):
    """How many functions are annotated: those in an annotated block one by one."""
    total = 0
    for path in glob.glob(os.path.join(source, "**", "*.rs"), recursive=True):
        with open(path, encoding="utf-8") as file:
            text = re.sub(r"//.*", "", file.read())
        names = ["profiled", *re.findall(r"profiled as (\w+)\s*;", text)]
        attribute = rf"#\s*\[(?:cfg_attr\(all\(\), )?(?:\w*::)*(?:{'|'.join(names)})\b(?!\(skip)[^\]]*\]"
        for match in re.finditer(attribute, text):
            rest = text[match.end():]
            rest = re.sub(r"^(?:\s*#\s*\[[^\]]*\])*\s*", "", rest)
            if re.match(r"(?:unsafe )?impl\b", rest):
                depth, end = 0, 0
                for end, c in enumerate(rest):
                    depth += {"{": 1, "}": -1}.get(c, 0)
                    if c == "}" and depth == 0:
                        break
                block = rest[:end]
                total += len(re.findall(r"(?<!const )\b(?:unsafe |extern \"C\" |async )*fn \w+", block))
                total -= len(re.findall(attribute, block)) + len(re.findall(r"profiled\(skip\)", block))
            elif re.search(r"\bfn\b", rest[:200]):
                total += 1
    return total


if __name__ == "__main__":
    main()
