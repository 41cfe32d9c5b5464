#!/usr/bin/env python3
"""Takes `profiled` out of a Rust source tree.

    strip.py SOURCE TARGET

copies SOURCE (a crate's directory) to TARGET, where in every `.rs` file

    #[profiled]  #[profiled(..)]  #[profiled::profiled(..)]     are gone,
    #[cfg_attr(.., profiled)]  and other names of its           too,
    use profiled::profiled;  use profiled::profiled as other;   too,
    profile_mutex!("name", LOCK)  profile_mutex!(LOCK)          are LOCK,
    profile_mutex! { static ID: Type = LOCK; }                  is what is in the braces,
    labels! { .. }                                              is gone,
    profile! { static ID = "name"; }                            is gone, and so are
    let x = ID.track();  ID.add(..);  ID.remove(..);            the statements that use it,
    static A: profiled::Allocator = Allocator::system();        is std::alloc::System,
    static A: profiled::Allocator<T> = Allocator::new(t);       is T.

Other imports stay, and so do calls of the crate's functions (`http::serve`, `lookup`), which a program makes in both
versions. Should one of the macros be left over, it is reported, and the exit status is 1.
What is taken out leaves its line breaks behind, so that the panics of both programs name the same lines.
"""
import os
import re
import shutil
import sys

ALLOCATOR = ": std::alloc::System = std::alloc::System"
OPEN = {"(": ")", "[": "]", "{": "}"}


def skip(text, at):
    """The index after the string, character, comment or lifetime at `at`, or `at` if there is none."""
    if text.startswith("//", at):
        end = text.find("\n", at)
        return len(text) if end < 0 else end
    if text.startswith("/*", at):
        depth, at = 1, at + 2
        while depth and at < len(text):
            if text.startswith("/*", at):
                depth, at = depth + 1, at + 2
            elif text.startswith("*/", at):
                depth, at = depth - 1, at + 2
            else:
                at += 1
        return at
    if raw := re.compile(r'(?:br|cr|r)(#*)"').match(text, at):
        if at == 0 or not (text[at - 1].isalnum() or text[at - 1] == "_"):
            end = text.index('"' + raw[1], raw.end())
            return end + 1 + len(raw[1])
    if text[at] == '"':
        at += 1
        while text[at] != '"':
            at += 2 if text[at] == "\\" else 1
        return at + 1
    if character := re.compile(r"'(?:\\(?:x..|u\{[^}]*\}|.)|[^'\\])'").match(text, at):
        return character.end()
    return at


def closing(text, at):
    """The index after the bracket that closes the one at `at`."""
    stack = [OPEN[text[at]]]
    at += 1
    while stack:
        after = skip(text, at)
        if after > at:
            at = after
            continue
        c = text[at]
        if c in OPEN:
            stack.append(OPEN[c])
        elif c == stack[-1]:
            stack.pop()
        at += 1
    return at


def split_commas(text):
    parts, at, start = [], 0, 0
    while at < len(text):
        after = skip(text, at)
        if after > at:
            at = after
        elif text[at] in OPEN:
            at = closing(text, at)
        else:
            if text[at] == ",":
                parts.append(text[start:at])
                start = at + 1
            at += 1
    return parts + [text[start:]]


def code(text, pattern):
    """The first match of `pattern` that begins in code, not in a string or a comment."""
    found = re.compile(pattern)
    at = 0
    while at < len(text):
        after = skip(text, at)
        if after > at:
            at = after
            continue
        if (match := found.match(text, at)) and (at == 0 or not re.match(r"\w", text[at - 1])):
            return match
        at += 1
    return None


def lines(text):
    return "\n" * text.count("\n")


def cut(text, start, end, put=""):
    return text[:start] + put + lines(text[start:end])[lines(put).count("\n"):] + text[end:]


def statement_end(text, at):
    """The index after the `;` that ends the statement at `at`."""
    while text[at] != ";":
        after = skip(text, at)
        at = after if after > at else closing(text, at) if text[at] in OPEN else at + 1
    return at + 1


IMPORT = r"use\s+(?:::)?profiled::profiled(?:\s+as\s+(\w+))?\s*;"


def strip(text):
    # What the attribute is called here.
    names = {"profiled", *filter(None, re.findall(IMPORT, text))}
    attribute = rf"(?:(?:::)?(?:\w+::)*)?(?:{'|'.join(sorted(names))})\b"
    while match := code(text, rf"#\s*\[\s*{attribute}\s*[\](]"):
        text = cut(text, match.start(), closing(text, text.index("[", match.start())))
    while match := code(text, rf"#\s*\[\s*cfg_attr\s*\([^\]]*?,\s*{attribute}[^\]]*\]"):
        text = cut(text, match.start(), match.end())
    while match := code(text, IMPORT):
        text = cut(text, match.start(), match.end())
    text = re.sub(r":\s*(?:profiled::)?Allocator\s*=\s*(?:profiled::)?Allocator::system\(\)", ALLOCATOR, text)
    text = re.sub(r":\s*(?:profiled::)?Allocator<([^=]*)>\s*=\s*(?:profiled::)?Allocator::new\((.*?)\);", r": \1 = \2;", text)
    while match := code(text, r"(?:(?:::)?profiled::)?profile_mutex!\s*([({\[])"):
        end = closing(text, match.start(1))
        inner = text[match.end():end - 1]
        if re.match(r"(?s)\s*(?:(?://[^\n]*\n|#\[[^\]]*\])\s*)*(?:pub(?:\([^)]*\))?\s+)?static\b", inner):
            end += 1 if text[end:end + 1] == ";" else 0
        else:
            arguments = [part for part in split_commas(inner) if part.strip()]
            inner = arguments[-1].strip()
        text = cut(text, match.start(), end, inner)
    while match := code(text, r"(?:(?:::)?profiled::)?labels!\s*([({\[])"):
        end = closing(text, match.start(1))
        text = cut(text, match.start(), end + 1 if text[end:end + 1] == ";" else end)
    customs = []
    while match := code(text, r"(?:(?:::)?profiled::)?profile!\s*([({\[])"):
        end = closing(text, match.start(1))
        customs += re.findall(r"\bstatic\s+(\w+)\s*=", text[match.end():end])
        text = cut(text, match.start(), end + 1 if text[end:end + 1] == ";" else end)
    for custom in customs:
        path = r"(?:\w+::)*" + custom
        uses = r"(?:let\s+(?:mut\s+)?\w+\s*=\s*|_\s*=\s*)?" + path + r"\s*\.\s*(?:track|add|remove)\s*\("
        while match := code(text, uses):
            text = cut(text, match.start(), statement_end(text, match.start()))
    return text


def left_over(text):
    """Lines of code in which a macro is left over."""
    out = []
    rest, offset = text, 0
    while match := code(rest, r"#\s*\[[^\]]*\bprofiled\b|(?:profile_mutex|profile|labels)!"):
        out.append(text.count("\n", 0, offset + match.start()) + 1)
        offset += match.end()
        rest = text[offset:]
    return out


def main():
    source, target = sys.argv[1:3]
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("target", ".git"), dirs_exist_ok=True)
    bad = False
    for folder, _, names in os.walk(target):
        for name in names:
            if not name.endswith(".rs"):
                continue
            path = os.path.join(folder, name)
            with open(path, encoding="utf-8") as file:
                text = strip(file.read())
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            for line in left_over(text):
                print(f"{path}:{line}: a macro of `profiled` is left over", file=sys.stderr)
                bad = True
    sys.exit(bad)


if __name__ == "__main__":
    main()
