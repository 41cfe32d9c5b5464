#!/usr/bin/env python3
"""Proves what the CPU sampling handler can reach, by the machine code of a release build.

    handler_closure.py BINARY [--allow FILE] [--handler NAME]

disassembles BINARY with binutils' `objdump`, begins at `profiled::signal::handler::on_signal` and follows every call
and every jump to another function, through the global offset table and the linkage table, too. Each thing met must
stand in the allow-list (handler_closure.allow, beside this file), with its reason:

    function NAME       code of the binary, read in its turn
    end      NAME       code of the binary that is not read: why nobody gets there is the reason
    outside  NAME       a function of another library
    indirect N NAME     at most N calls or jumps in this function to addresses that only running tells
    syscall  NAME       system calls made by instructions in this function

`function!` says besides that it must be met: else what was found is not the handler that we mean.

So an allocator, a lock, a formatter, a panic or a thread-local behind `__tls_get_addr` is reported by the way that
leads there. NAME may hold `*`. The last line says how many there were; the exit status is 1 if any is not allowed.
"""
import argparse
import bisect
import fnmatch
import os
import re
import subprocess
import sys

HANDLER = "profiled::signal::handler::on_signal"
ALLOW = os.path.join(os.path.dirname(os.path.abspath(__file__)), "handler_closure.allow")
KINDS = ("function", "end", "outside", "indirect", "syscall")

HASH = re.compile(r"::h[0-9a-f]{16}\b|\[[0-9a-f]{16}\]|\.llvm\.\d+|@@?[A-Z][\w.]*$")
HEADER = re.compile(r"([0-9a-f]+) <(.+)>:")
LINE = re.compile(r"\s*([0-9a-f]+):\t(.*)")
SLOT = re.compile(r"([0-9a-f]+) (R_X86_64_\w+)\s+(.+)")
PREFIX = re.compile(r"(?:(?:data16|notrack|bnd|rex\.W|cs|ds|lock|rep|repz|repnz)\s+)+")
BRANCH = re.compile(r"(call|jmp|j[a-z]+|loop[a-z]*|xbegin)(?:q|l|w|,p[nt])?\s+(.*)")
# A jump table: a distance is loaded from it and added to its own address, right before the jump.
TABLE_LOAD = re.compile(r"movs(?:lq|xd)\s+\((%\w+),%\w+,4\),(%\w+)")


def plain(name):
    """A demangled name without what changes from build to build."""
    return HASH.sub("", name)


class Binary:
    """Functions by their first address, and what the slots of the global offset table hold."""

    def __init__(self, disassembly, relocations):
        self.names, self.code, self.slots = {}, {}, {}
        body = None
        for line in disassembly.splitlines():
            if match := HEADER.fullmatch(line):
                start = int(match[1], 16)
                self.names[start] = plain(match[2])
                body = self.code.setdefault(start, [])
            elif body is not None and (match := LINE.fullmatch(line)):
                body.append((int(match[1], 16), PREFIX.sub("", match[2].strip())))
        self.starts = sorted(self.code)
        for line in relocations.splitlines():
            if match := SLOT.match(line):
                slot, kind, value = int(match[1], 16), match[2], match[3].strip()
                relative = re.fullmatch(r"\*ABS\*\+0x([0-9a-f]+)", value)
                self.slots[slot] = int(relative[1], 16) if relative else plain(value)

    def function(self, address):
        """The first address of the function that holds `address`, or None."""
        at = bisect.bisect_right(self.starts, address) - 1
        if at < 0:
            return None
        start = self.starts[at]
        code = self.code[start]
        # The last instruction's length is not known; 15 bytes are the most.
        return start if code and address < code[-1][0] + 15 else None

    def slot(self, comment):
        """What a slot holds that objdump names in a comment: an address, a name, or None."""
        match = re.match(r"([0-9a-f]+)\b", comment)
        return self.slots.get(int(match[1], 16)) if match else None

    def stub(self, start):
        """The function behind a stub of the linkage table, or None if this is code."""
        code = [text for _, text in self.code[start] if not text.startswith(("endbr64", "nop"))]
        if code and code[0].startswith("jmp") and "(%rip)" in code[0] and len(code) <= 4:
            return self.slot(code[0].partition("# ")[2])
        return None


def is_table(code, at):
    """Whether the indirect jump at `at` goes through a jump table, whose targets lie in the same function."""
    register = re.search(r"\*(%\w+)", code[at][1])
    if not register:
        return False
    for _, text in reversed(code[max(0, at - 5):at]):
        if match := TABLE_LOAD.match(text):
            added = f"add    {match[1]},{match[2]}"
            near = [re.sub(r"\s+", " ", text) for _, text in code[max(0, at - 4):at]]
            return match[2] == register[1] and re.sub(r"\s+", " ", added) in near
    return False


def reached(binary, start):
    """What the function at `start` leads to: (kind, address or name)."""
    code = binary.code[start]
    for at, (address, text) in enumerate(code):
        if re.match(r"(syscall|sysenter|int\s+\$0x80)\b", text):
            yield "syscall", binary.names[start]
        match = BRANCH.match(text)
        if not match:
            continue
        target, _, comment = match[2].partition("# ")
        if direct := re.match(r"([0-9a-f]+)\b(?!\()", target):
            there = binary.function(int(direct[1], 16))
            if there is None:
                yield "outside", f"code without a name at {direct[1]}"
            elif there != start or match[1] == "call":
                yield "code", there
        elif "(%rip)" in target and target.startswith("*"):
            held = binary.slot(comment)
            if isinstance(held, int):
                there = binary.function(held)
                yield ("code", there) if there is not None else ("outside", f"code without a name at {held:x}")
            elif held:
                yield "outside", held
            else:
                yield "indirect", binary.names[start]
        elif target.startswith("*"):
            if match[1] == "call" or not is_table(code, at):
                yield "indirect", binary.names[start]
        else:
            yield "indirect", binary.names[start]


def closure(binary, handler, allowed):
    """Everything met from the functions called `handler` on, {(kind, name): the way there}, and what of it is not
    allowed, which is not followed."""
    def is_allowed(kind, name, times=1):
        return any(kind == entry and times <= most and fnmatch.fnmatchcase(name, pattern)
                   for entry, most, pattern in allowed)

    starts = [start for start in binary.starts if binary.names[start] == handler]
    found, bad = {}, {}
    ways = {start: [handler] for start in starts}
    todo = list(starts)
    while todo:
        start = todo.pop(0)
        way = ways[start]
        found.setdefault(("function", way[-1]), way)
        if not is_allowed("function", way[-1]):
            if not is_allowed("end", way[-1]):
                bad[("function", way[-1])] = way
            continue
        indirect = 0
        for kind, what in reached(binary, start):
            indirect += kind == "indirect"
            if kind == "code":
                behind = binary.stub(what)
                if not isinstance(behind, str):
                    there = what if behind is None else binary.function(behind)
                    if there not in ways:
                        ways[there] = way + [binary.names[there]]
                        todo.append(there)
                    continue
                kind, what = "outside", behind
            there = way + [what] if kind == "outside" else way
            found.setdefault((kind, what), there)
            if not is_allowed(kind, what, indirect if kind == "indirect" else 1):
                bad.setdefault((kind, what), there)
    return found, bad


def read_allowed(text):
    """The allow-list: [(kind, how often at most, pattern)]. A line without a reason is an error."""
    allowed = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        entry, _, reason = line.partition("  # ")
        match = re.fullmatch(r"(\w+)!?\s+(?:(\d+)\s+)?(\S.*)", entry.strip())
        if not match or match[1] not in KINDS or (match[1] == "indirect") != bool(match[2]) or not reason.strip():
            raise SystemExit(f"line {number} of the allow-list is no `kind NAME  # reason`: {line}")
        # Only `*` is special: names are full of brackets.
        pattern = match[3].replace("[", "[[]").replace("?", "[?]")
        allowed.append((match[1], int(match[2] or 1), pattern))
    return allowed


def missing(found, text):
    """Names that the allow-list wants to be met, and that were not."""
    return sorted(set(re.findall(r"(?m)^function! (.*?)  # ", text)) - {name for _, name in found})


def objdump(*arguments):
    return subprocess.run(["objdump", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--allow", default=ALLOW)
    parser.add_argument("--handler", default=HANDLER)
    options = parser.parse_args()
    binary = Binary(objdump("-d", "-w", "--no-show-raw-insn", "-C", options.binary), objdump("-R", "-w", options.binary))
    with open(options.allow, encoding="utf-8") as file:
        text = file.read()
    allowed = read_allowed(text)
    found, bad = closure(binary, options.handler, allowed)
    if not found:
        print(f"no function {options.handler} in {options.binary}: stripped?")
        sys.exit(1)
    for kind, name in sorted(found):
        print(f"{kind} {name}")
    for (kind, name), way in bad.items():
        print(f"NOT ALLOWED: {kind} {name}\n    " + " -> ".join(way))
    gone = missing(found, text)
    for name in gone:
        print(f"NOT MET: {name}")
    count = lambda kind: sum(thing[0] == kind for thing in found)
    verdict = f"{len(bad)} NOT ALLOWED" if bad else f"{len(gone)} NOT MET" if gone else "all allowed"
    print(f"handler closure: {count('function')} functions, {count('outside')} outside calls, {verdict}")
    sys.exit(1 if bad or gone else 0)


if __name__ == "__main__":
    main()
