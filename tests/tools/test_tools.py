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


if __name__ == "__main__":
    outcome = unittest.main(exit=False, verbosity=2).result
    bad = len(outcome.failures) + len(outcome.errors)
    print(f"test result: {outcome.testsRun - bad} passed; {bad} failed", flush=True)
    sys.exit(1 if bad else 0)
