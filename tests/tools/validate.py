#!/usr/bin/env python3
"""A strict reader of pprof files: refuses whatever `go tool pprof`, Parca or Pyroscope would refuse, and what this
project promises on top.

    validate.py [--window | --cumulative] [--no-limits] FILE..
    validate.py --selftest FILE        every rule must refuse the file after one change made for it
"""
import argparse
import copy
import gzip
import re
import sys

import wire

LIMITS = {"bytes": 4 << 20, "samples": 16_000, "labels": 100, "depth": 1_000, "text": 65_535}
KEY = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
FLAGS = ("has_functions", "has_filenames", "has_line_numbers", "has_inline_frames")


def problems(data, window=None, limits=True):
    """(rule, sentence) for each thing wrong with a file; `window` says which kind of profile it claims to be."""
    if data[:2] != b"\x1f\x8b":
        return [("gzip", "the file is not gzipped")]
    try:
        body = gzip.decompress(data)
    except (OSError, EOFError) as error:
        return [("gzip", f"gzip: {error}")]
    try:
        # What is wrong with a mapping is wrong for each of its locations: once is enough.
        return list(dict.fromkeys(check(wire.decode(body), len(body), window, limits)))
    except wire.Malformed as error:
        return [("protobuf", str(error))]


def check(p, size, window, limits):
    texts = p["string_table"]
    if not texts or texts[0] != b"":
        yield "first text", "string_table[0] is not empty"
    if len(set(texts)) != len(texts):
        yield "unique texts", "string_table has duplicates"
    for index, raw in enumerate(texts):
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError:
            yield "utf-8", f"string {index} is not UTF-8"
        if len(raw) > LIMITS["text"]:
            yield "text length", f"string {index} has {len(raw)} bytes"

    for where, index in text_indices(p):
        if not 0 <= index < len(texts):
            yield "text index", f"{where}: string {index} of {len(texts)}"

    def text(index):
        return texts[index].decode("utf-8", "replace") if 0 <= index < len(texts) else ""

    for where, message in messages(p):
        for number, _, _ in message["?"]:
            yield "unknown field", f"{where} has a field {number}"
    for table in ("mapping", "location", "function"):
        for index, row in enumerate(p[table]):
            if row["id"] != index + 1:
                yield "ids", f"{table} {index + 1} has the id {row['id']}"
                break

    if not p["sample_type"]:
        yield "sample types", "no sample types"
    for kind in p["sample_type"]:
        if not text(kind["type"]) or "-" in text(kind["type"]):
            yield "type name", f"sample type {text(kind['type'])!r}"
    if p["default_sample_type"] and p["default_sample_type"] not in [k["type"] for k in p["sample_type"]]:
        yield "default type", f"{text(p['default_sample_type'])!r} is not among the sample types"

    used = set()
    for index, sample in enumerate(p["sample"]):
        if len(sample["value"]) != len(p["sample_type"]):
            yield "values", f"sample {index} has {len(sample['value'])} values"
        for place in sample["location_id"]:
            used.add(place)
            if not 0 < place <= len(p["location"]):
                yield "location id", f"sample {index} names location {place}"
        if limits and len(sample["location_id"]) > LIMITS["depth"]:
            yield "depth", f"sample {index} is {len(sample['location_id'])} deep"
        if limits and len(sample["label"]) > LIMITS["labels"]:
            yield "label count", f"sample {index} has {len(sample['label'])} labels"
        seen = set()
        for label in sample["label"]:
            key = text(label["key"])
            if not KEY.fullmatch(key):
                yield "label key", f"sample {index} has the label key {key!r}"
            if label["str"] and (label["num"] or label["num_unit"]):
                yield "label value", f"label {key!r} of sample {index} is a string and a number"
            if key in seen:
                yield "label twice", f"sample {index} has {key!r} twice"
            seen.add(key)

    for location in p["location"]:
        number, home = location["id"], location["mapping_id"]
        if home > len(p["mapping"]):
            yield "mapping id", f"location {number} names mapping {home}"
        elif home:
            mapping = p["mapping"][home - 1]
            if not mapping["memory_start"] <= location["address"] < mapping["memory_limit"]:
                yield "address", f"location {number} ({location['address']:#x}) is outside mapping {home}"
            # What has no name at all may be named by others.
            if number in used and location["line"] and not all(mapping[flag] == 1 for flag in FLAGS):
                lacking = ", ".join(flag for flag in FLAGS if mapping[flag] != 1)
                yield "flags", f"mapping {home} ({text(mapping['filename'])}) has names and lacks {lacking}"
        for line in location["line"]:
            if not 0 < line["function_id"] <= len(p["function"]):
                yield "function id", f"location {number} names function {line['function_id']}"
            if line["line"] < 0:
                yield "line", f"location {number} has line {line['line']}"
    for function in p["function"]:
        if not text(function["name"]):
            yield "function name", f"function {function['id']} has no name"
        elif text(function["name"]) == text(function["system_name"]):
            yield "system name", f"{text(function['name'])!r} is its own system_name"

    if p["time_nanos"] <= 0:
        yield "time", "time_nanos is not set"
    if window is True and p["duration_nanos"] <= 0:
        yield "window", "a window has no duration_nanos"
    if window is False and p["duration_nanos"] != 0:
        yield "cumulative", "a cumulative profile has duration_nanos"
    if limits and len(p["sample"]) > LIMITS["samples"]:
        yield "samples", f"{len(p['sample'])} samples"
    if limits and size >= LIMITS["bytes"]:
        yield "size", f"{size} bytes uncompressed"


def messages(p, where="the profile", schema=wire.PROFILE):
    """Every message of the file with a name for it."""
    yield where, p
    for name, kind in schema.values():
        if isinstance(kind, list):
            for index, one in enumerate(p[name]):
                yield from messages(one, f"{name} {index}", kind[0])
        elif isinstance(kind, dict) and p[name] is not None:
            yield from messages(p[name], name, kind)


def text_indices(p):
    for name in ("drop_frames", "keep_frames", "default_sample_type"):
        yield name, p[name]
    for index in p["comment"]:
        yield "comment", index
    for kind in p["sample_type"] + ([p["period_type"]] if p["period_type"] else []):
        yield "value type", kind["type"]
        yield "value type", kind["unit"]
    for sample in p["sample"]:
        for label in sample["label"]:
            for name in ("key", "str", "num_unit"):
                yield f"label {name}", label[name]
    for table, names in (("mapping", ("filename", "build_id")), ("function", ("name", "system_name", "filename"))):
        for row in p[table]:
            for name in names:
                yield f"{table} {row['id']}", row[name]


# One change for each rule: it takes a good profile and makes the one thing wrong.
def add_text(p, raw):
    p["string_table"].append(raw)
    return len(p["string_table"]) - 1


def add_labels(p, *labels):
    for key, text, number in labels:
        label = {"key": key, "str": text, "num": number, "num_unit": 0, "?": []}
        p["sample"][0]["label"].append(label)


def used_location(p):
    used = (p["location"][i - 1] for s in p["sample"] for i in s["location_id"])
    return next(location for location in used if location["mapping_id"] and location["line"])


def put(row, name, value):
    row[name] = value


def shift_ids(p):
    for row in p["function"]:
        row["id"] += 1


CHANGES = {
    "first text": lambda p: put(p["string_table"], 0, b"x"),
    "unique texts": lambda p: add_text(p, p["string_table"][1]),
    "utf-8": lambda p: add_text(p, b"\xff\xfe"),
    "text length": lambda p: add_text(p, b"y" * 65_536),
    "text index": lambda p: put(p["function"][0], "filename", len(p["string_table"])),
    "unknown field": lambda p: p["sample"][0]["?"].append((99, wire.VARINT, 1)),
    "ids": shift_ids,
    "sample types": lambda p: put(p, "sample_type", []),
    "type name": lambda p: put(p["sample_type"][0], "type", add_text(p, b"alloc-space")),
    "default type": lambda p: put(p, "default_sample_type", add_text(p, b"no such type")),
    "values": lambda p: p["sample"][0]["value"].append(1),
    "location id": lambda p: p["sample"][0]["location_id"].append(len(p["location"]) + 1),
    "depth": lambda p: put(p["sample"][0], "location_id", p["sample"][0]["location_id"][:1] * 1_001),
    "label count": lambda p: add_labels(p, *[(add_text(p, b"k%d" % n), 0, 1) for n in range(101)]),
    "label key": lambda p: add_labels(p, (add_text(p, b"not.allowed"), 1, 0)),
    "label value": lambda p: add_labels(p, (add_text(p, b"both"), 1, 1)),
    "label twice": lambda p: add_labels(p, *[(add_text(p, b"twice"), 1, 0)] * 2),
    "mapping id": lambda p: put(used_location(p), "mapping_id", len(p["mapping"]) + 1),
    "address": lambda p: put(used_location(p), "address", (1 << 64) - 1),
    "flags": lambda p: put(p["mapping"][used_location(p)["mapping_id"] - 1], "has_inline_frames", 0),
    "function id": lambda p: put(next(l for l in p["location"] if l["line"])["line"][0], "function_id", 0),
    "line": lambda p: put(next(l for l in p["location"] if l["line"])["line"][0], "line", -1),
    "function name": lambda p: put(p["function"][0], "name", 0),
    "system name": lambda p: put(p["function"][0], "system_name", p["function"][0]["name"]),
    "time": lambda p: put(p, "time_nanos", 0),
    "samples": lambda p: put(p, "sample", p["sample"][:1] * 16_001),
    "size": lambda p: [add_text(p, b"z%060000d" % n) for n in range(80)],
}


def selftest(path):
    """Prints the rules that did not bite; the number of them is the exit status."""
    with open(path, "rb") as file:
        data = file.read()
    good = problems(data)
    if good:
        return report(path, good)
    body = gzip.decompress(data)
    whole = wire.decode(body)
    pack = lambda p: gzip.compress(wire.encode(p), 1)
    trials = [
        ("gzip", body, None), ("gzip", data[:-9], None), ("gzip", b"", None),
        ("protobuf", gzip.compress(body[:-1]), None),
        ("window", pack({**whole, "duration_nanos": 0}), True),
        ("cumulative", pack({**whole, "duration_nanos": 5}), False),
    ]
    for rule, change in CHANGES.items():
        changed = copy.deepcopy(whole)
        change(changed)
        trials.append((rule, pack(changed), None))
    missed = 0 if wire.decode(wire.encode(whole)) == whole else 1
    if missed:
        print(f"{path}: reading what was written does not give the same profile")
    for rule, bytes_, window in trials:
        found = [name for name, _ in problems(bytes_, window)]
        if rule not in found:
            missed += 1
            print(f"{path}: the rule {rule!r} did not refuse its change (found: {found})")
    print(f"{path}: {len(trials) - missed} of {len(trials)} changes refused")
    return min(missed, 1)


def report(path, found):
    for rule, sentence in found[:20]:
        print(f"{path}: [{rule}] {sentence}")
    if len(found) > 20:
        print(f"{path}: and {len(found) - 20} more")
    return 1 if found else 0


def main():
    parser = argparse.ArgumentParser(description="Strict checks of pprof files.")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--window", action="store_true", help="must have a duration")
    kind.add_argument("--cumulative", action="store_true", help="must have none")
    parser.add_argument("--no-limits", action="store_true", help="for files that are not meant to be scraped")
    parser.add_argument("--selftest", action="store_true")
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    window = True if args.window else False if args.cumulative else None
    status = 0
    for path in args.files:
        if args.selftest:
            status |= selftest(path)
            continue
        with open(path, "rb") as file:
            status |= report(path, problems(file.read(), window, not args.no_limits))
    return status


if __name__ == "__main__":
    sys.exit(main())
