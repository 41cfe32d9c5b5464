#!/usr/bin/env python3
"""The tools' own tests: a profile made by hand, and every rule of the validator against one change to it."""
import copy
import gzip
import inspect
import os
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(__file__))
import codesearch_check
import fleet
import handler_closure
import profile
import validate
import wire

TEXTS = [b"", b"samples", b"count", b"cpu", b"nanoseconds", b"m::hot", b"_ZN1m3hotE", b"src/m.rs", b"/bin/m", b"abcd",
         b"m::inner", b"phase", b"index", b"_ZN5innerE", b"bytes"]


def message(schema, **fields):
    return {**wire.decode(b"", schema), **fields}


def good():
    """What Go would write of one sample, with `m::inner` inlined into `m::hot`."""
    types = [message(wire.VALUE_TYPE, type=1, unit=2), message(wire.VALUE_TYPE, type=3, unit=4)]
    flags = dict.fromkeys(validate.FLAGS, 1)
    lines = [message(wire.LINE, function_id=2, line=10), message(wire.LINE, function_id=1, line=4)]
    labels = [message(wire.LABEL, key=11, str=12), message(wire.LABEL, key=14, num=64)]
    return message(
        wire.PROFILE, sample_type=types, string_table=list(TEXTS), time_nanos=5, period_type=types[1], period=10_000_000,
        mapping=[message(wire.MAPPING, id=1, memory_start=0x1000, memory_limit=0x2000, filename=8, build_id=9, **flags)],
        function=[message(wire.FUNCTION, id=1, name=5, system_name=6, filename=7, start_line=3),
                  message(wire.FUNCTION, id=2, name=10, system_name=13, filename=7, start_line=9)],
        location=[message(wire.LOCATION, id=1, mapping_id=1, address=0x1100, line=lines)],
        sample=[message(wire.SAMPLE, location_id=[1], value=[1, 10_000_000], label=labels)])


# What objdump prints: a handler that calls code of its own, a function through the global offset table (which leads
# to code) and one through the linkage table; goes through a jump table; and ends in a jump to another function.
DISASSEMBLY = """
bin:     file format elf64-x86-64

Disassembly of section .plt:

0000000000001000 <memcpy@plt>:
    1000:\tendbr64
    1004:\tbnd jmp *0x2ff5(%rip)        # 4000 <memcpy@GLIBC_2.14>
    100b:\tnopl   0x0(%rax,%rax,1)

Disassembly of section .text:

0000000000002000 <m::handler::h0123456789abcdef>:
    2000:\tpush   %rbp
    2001:\tmov    %fs:0x0,%rax
    200a:\tje     2010 <m::handler::h0123456789abcdef+0x10>
    2010:\tcall   2100 <<m::Ring as m::Push>::push::h0123456789abcdef>
    2015:\tcall   1000 <memcpy@plt>
    201a:\tcall   *0x1fe0(%rip)        # 4008 <_DYNAMIC+0x18>
    2020:\tmovslq (%rcx,%rax,4),%rax
    2024:\tadd    %rcx,%rax
    2027:\tnotrack jmp *%rax
    202a:\tpop    %rbp
    202b:\tjmp    2300 <m::last>

0000000000002100 <<m::Ring as m::Push>::push::h0123456789abcdef>:
    2100:\tje     2104 <<m::Ring as m::Push>::push::h0123456789abcdef+0x4>
    2102:\tjmp    2100 <<m::Ring as m::Push>::push::h0123456789abcdef>
    2104:\tret

0000000000002200 <m::walk::h0123456789abcdef>:
    2200:\tsyscall
    2202:\tret

0000000000002300 <m::last>:
    2300:\tcall   2300 <m::last>
    2305:\tret

0000000000002400 <m::unrelated>:
    2400:\tcall   *0x10(%rax)
    2403:\tret

0000000000002500 <core::panicking::panic_bounds_check::h0123456789abcdef>:
    2500:\tcall   2400 <m::unrelated>
"""
RELOCATIONS = """
OFFSET           TYPE              VALUE
0000000000004000 R_X86_64_GLOB_DAT  memcpy@GLIBC_2.14
0000000000004008 R_X86_64_RELATIVE  *ABS*+0x2200
0000000000004010 R_X86_64_GLOB_DAT  malloc@GLIBC_2.2.5
0000000000004018 R_X86_64_GLOB_DAT  __tls_get_addr@GLIBC_2.3
"""
ALLOWED = """# a comment
function m::handler  # begins
function <m::Ring as m::*>::push  # reason
function m::walk  # reason
function m::last  # reason
syscall m::walk  # reason
outside memcpy  # reason
"""


def closure(disassembly, allowed=ALLOWED):
    binary = handler_closure.Binary(disassembly, RELOCATIONS)
    return handler_closure.closure(binary, "m::handler", handler_closure.read_allowed(allowed))


def pack(profile_):
    return gzip.compress(wire.encode(profile_))


class Tools(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.file = os.path.join(self.folder.name, "cpu.pb.gz")
        with open(self.file, "wb") as file:
            file.write(pack(good()))
        self.addCleanup(self.folder.cleanup)

    def test_good_profile_passes(self):
        self.assertEqual(validate.problems(pack(good()), window=False), [])
        self.assertEqual(validate.problems(pack({**good(), "duration_nanos": 7}), window=True), [])

    def test_every_rule_bites(self):
        self.assertEqual(validate.selftest(self.file), 0)

    def test_every_rule_has_a_change(self):
        rules = set(re.findall(r'yield "([^"]+)", ', inspect.getsource(validate.check)))
        self.assertEqual(rules, set(validate.CHANGES) | {"window", "cumulative"})

    def test_profile_is_read(self):
        read = profile.Profile(pack(good()))
        [sample] = read.samples
        self.assertEqual([profile.show(frame) for frame in sample.frames],
                         ["m::inner src/m.rs:10 (inlined)", "m::hot src/m.rs:4"])
        self.assertEqual(sample.labels, {"phase": "index", "bytes": 64})
        self.assertEqual((read.total("cpu"), read.mappings), (10_000_000, [("/bin/m", "abcd")]))
        self.assertEqual(len(read.find("inner", "hot", labels={"phase": "index"})), 1)
        self.assertEqual(read.find("hot", "inner"), [])

    def test_command_line(self):
        def run(*args):
            tool = os.path.join(os.path.dirname(os.path.abspath(__file__)), "profile.py")
            return subprocess.run([sys.executable, tool, self.file, *args], capture_output=True).returncode

        self.assertEqual(run("--expect", "inner.*inlined;hot", "--min-value", "cpu=10000000"), 0)
        self.assertEqual(run("--expect", "inner", "--min-value", "cpu=10000001"), 1)
        self.assertEqual(run("--expect", "inner", "--label", "phase=query"), 1)
        self.assertEqual(run("--expect", "nowhere"), 1)
        self.assertEqual(run("--min-value", "space=1"), 1)

    def test_closure_follows_every_kind_of_call(self):
        found, bad = closure(DISASSEMBLY)
        functions = ["<m::Ring as m::Push>::push", "m::handler", "m::last", "m::walk"]
        self.assertEqual(sorted(found), [*(("function", name) for name in functions), ("outside", "memcpy"),
                                         ("syscall", "m::walk")])
        self.assertEqual(bad, {})
        self.assertEqual(found["syscall", "m::walk"], ["m::handler", "m::walk"])

    def test_closure_reports_what_is_not_allowed(self):
        for old, new, kind, name in [
            ("call   2300 <m::last>", "call   *0x1d0a(%rip)        # 4010 <malloc@GLIBC_2.2.5>", "outside", "malloc"),
            ("call   2300 <m::last>", "call   *0x1d0a(%rip)        # 4018 <_DYNAMIC+0x28>", "outside", "__tls_get_addr"),
            ("call   2300 <m::last>", "jae    2500 <core::panicking::panic_bounds_check::h0123456789abcdef>",
             "function", "core::panicking::panic_bounds_check"),
            ("call   2300 <m::last>", "call   *%rax", "indirect", "m::last"),
            ("call   2300 <m::last>", "call   *0x18(%rax)", "indirect", "m::last"),
            ("call   2300 <m::last>", "jmp    *%rax", "indirect", "m::last"),
            ("call   2300 <m::last>", "call   *0x1d0a(%rip)        # 5000 <TABLE>", "indirect", "m::last"),
            ("call   2300 <m::last>", "jmp    7777", "outside", "code without a name at 7777"),
            ("call   2300 <m::last>", "syscall", "syscall", "m::last"),
            ("add    %rcx,%rax", "add    %rdx,%rax", "indirect", "m::handler"),
        ]:
            with self.subTest(new):
                assert old in DISASSEMBLY
                _, bad = closure(DISASSEMBLY.replace(old, new))
                self.assertEqual(list(bad), [(kind, name)])
        _, bad = closure(DISASSEMBLY, ALLOWED.replace("outside memcpy  # reason", ""))
        self.assertEqual(bad, {("outside", "memcpy"): ["m::handler", "memcpy"]})

    def test_closure_counts_indirect_calls(self):
        twice = DISASSEMBLY.replace("call   2300 <m::last>", "call   *%rax\n    2302:\tjmp    *%rax")
        self.assertEqual(closure(twice, ALLOWED + "indirect 2 m::last  # reason")[1], {})
        self.assertEqual(list(closure(twice, ALLOWED + "indirect 1 m::last  # reason")[1]), [("indirect", "m::last")])

    def test_closure_does_not_read_what_is_an_end(self):
        jumps = DISASSEMBLY.replace("call   2300 <m::last>", "call   2500 <core::panicking::panic_bounds_check::h0>")
        self.assertEqual(closure(jumps, ALLOWED + "end core::panicking::*  # reason")[1], {})

    def test_closure_misses_what_must_be_there(self):
        found, bad = closure(DISASSEMBLY, ALLOWED.replace("function m::walk", "function! m::walk"))
        self.assertEqual((handler_closure.missing(found, "function! m::walk  # reason"), bad), ([], {}))
        self.assertEqual(handler_closure.missing(found, "function! m::unrelated  # reason"), ["m::unrelated"])

    def test_closure_wants_a_handler_and_reasons(self):
        self.assertEqual(closure(DISASSEMBLY.replace("m::handler", "m::other")), ({}, {}))
        for line in ("function m::f", "function m::f  #", "function", "trust m::f  # reason", "indirect m::f  # reason"):
            with self.assertRaises(SystemExit):
                handler_closure.read_allowed(line)

    def test_go_reads_it(self):
        text = subprocess.run([codesearch_check.PPROF, "-top", self.file], capture_output=True, text=True).stdout
        self.assertRegex(text, r"10ms +100% +m::inner \(inline\)")

    def test_wire_round_trip(self):
        strange = copy.deepcopy(good())
        strange["sample"][0]["value"] = [-1, 1 << 62]
        strange["?"].append((99, wire.BYTES, b"x"))
        self.assertEqual(wire.decode(wire.encode(strange)), strange)
        for broken in (b"\x08", b"\x12\x05\x00", b"\x00\x01", b"\x0b", b"\xff" * 11):
            with self.assertRaises(wire.Malformed):
                wire.decode(broken)


class Fleet(unittest.TestCase):
    """Each stand-in refuses what the original does, and nothing else. The faults are the validator's, and some more."""

    # By Go's reader, and so by all of them.
    GO = {"first text", "ids", "text index", "values", "location id", "function id", "no samples' types", "ids twice", "id 0",
          "truncated", "empty"}
    # Beyond that.
    MORE = {
        "Parca": {"other ids", "mapping id", "keyless label", "one column", "window", "status 204", "status 500"},
        "Alloy": {"status 500", "other types", "window", "less than before", "a row is gone"},
        "Pyroscope": {"size", "samples", "label count", "depth", "text length", "type name"},
        "Collector": {"status 204", "status 500", "utf-8", "mapping id"},
    }

    @staticmethod
    def allocs():
        """What `allocs` answers with: sums of two types that are subtracted."""
        raw = good()
        raw["string_table"] += [b"alloc_objects", b"alloc_space"]
        raw["sample_type"] = [message(wire.VALUE_TYPE, type=15, unit=2), message(wire.VALUE_TYPE, type=16, unit=14)]
        return raw

    def faults(self):
        """(name, status, body) of each."""
        raw = self.allocs()
        for name, change in validate.CHANGES.items():
            changed = copy.deepcopy(raw)
            change(changed)
            yield name, 200, pack(changed)
        def column(p):
            validate.add_labels(p, *[(validate.add_text(p, key), 1, 0) for key in (b"a.b", b"a-b")])
        def other_ids(p):
            for row in p["function"]:
                row["id"] += 10
            for line in p["location"][0]["line"]:
                line["function_id"] += 10
        changes = {
            "other ids": other_ids,
            "no samples' types": lambda p: p.update(sample_type=[]),
            "ids twice": lambda p: p["function"][1].update(id=1),
            "id 0": lambda p: p["location"][0].update(id=0),
            "keyless label": lambda p: p["sample"][0]["label"][0].update(key=0),
            "one column": column,
            "window": lambda p: p.update(duration_nanos=5),
            "other types": lambda p: p["sample_type"][0].update(type=1),
            "less than before": lambda p: p["sample"][0].update(value=[0, 9_000_000]),
            "a row is gone": lambda p: p.update(sample=[]),
        }
        for name, change in changes.items():
            changed = copy.deepcopy(raw)
            change(changed)
            yield name, 200, pack(changed)
        whole = pack(raw)
        yield "truncated", 200, whole[:-9]
        yield "empty", 200, b""
        yield "status 204", 204, whole
        yield "status 500", 500, whole

    def refusers(self, status, body):
        """Those who do not take it; Alloy after an answer that was good."""
        before = fleet.Answer(200, {}, pack(self.allocs()))
        refused = set()
        for reader in (fleet.Parca(), fleet.Alloy(), fleet.Pyroscope(), fleet.Collector()):
            endpoint = "heap" if reader.name == "Collector" else "allocs"
            # Only Alloy compares.
            if reader.name == "Alloy":
                self.assertEqual(reader.take(endpoint, before), [])
            if reader.take(endpoint, fleet.Answer(status, {}, body)):
                refused.add(reader.name)
        return refused

    def test_all_take_what_is_good(self):
        self.assertEqual(self.refusers(200, pack(self.allocs())), set())

    def test_each_refuses_what_it_has_to_and_nothing_else(self):
        for name, status, body in self.faults():
            expected = {who for who, more in self.MORE.items() if name in self.GO or name in more}
            # To Alloy another stack is a row that is gone, and another text or line another stack.
            found = self.refusers(status, body)
            others = {"Alloy"} if name not in self.MORE["Alloy"] else set()
            # Without types a sample has too many values.
            if name == "sample types":
                expected = set(self.MORE)
            with self.subTest(name):
                self.assertEqual(found - others, expected - others)

    def test_each_rule_is_planted(self):
        planted = {name for name, _, _ in self.faults()}
        self.assertEqual((self.GO | set().union(*self.MORE.values())) - planted, set())

    def test_a_window_is_told_from_a_sum(self):
        parca, window = fleet.Parca(), pack({**self.allocs(), "duration_nanos": 7})
        self.assertEqual(parca.take("profile", fleet.Answer(200, {}, window)), [])
        self.assertIn("duration_nanos", parca.take("profile", fleet.Answer(200, {}, pack(self.allocs())))[0])
        self.assertEqual(parca.take("allocs", fleet.Answer(200, {}, window), leaks=True), [])
        self.assertEqual(dict(parca.paths(leaks=True))["mutex"], "mutex?seconds=10&seconds=10")
        self.assertEqual(dict(parca.paths())["profile"], "profile?seconds=10")

    def test_a_series_keeps_its_name(self):
        parca = fleet.Parca()
        self.assertEqual(parca.take("allocs", fleet.Answer(200, {}, pack(self.allocs()))), [])
        other = self.allocs()
        other["period_type"] = other["sample_type"][0]
        self.assertIn("other series", parca.take("allocs", fleet.Answer(200, {}, pack(other)))[0])

    def test_differences_add_up(self):
        alloy = fleet.Alloy()
        for value in (1, 5, 5, 9):
            raw = self.allocs()
            raw["sample"][0]["value"] = [value, value * 100]
            self.assertEqual(alloy.take("allocs", fleet.Answer(200, {}, pack(raw))), [])
        [sums] = alloy.sums.values()
        self.assertEqual(sorted(sums.values()), [8, 800])
        self.assertEqual(list(alloy.balance()), [])
        # One that is lost on the way is missed.
        sums[next(iter(sums))] -= 1
        self.assertEqual(len(list(alloy.balance())), 1)
        negative = copy.deepcopy(self.allocs())
        negative["sample"][0]["value"] = [-1, 5]
        self.assertIn("negative", alloy.take("delta_heap", fleet.Answer(200, {}, pack(negative)))[0])


if __name__ == "__main__":
    outcome = unittest.main(exit=False, verbosity=2).result
    bad = len(outcome.failures) + len(outcome.errors)
    print(f"test result: {outcome.testsRun - bad} passed; {bad} failed", flush=True)
    sys.exit(1 if bad else 0)
