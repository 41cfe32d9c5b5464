#!/usr/bin/env python3
"""Reads a pprof file into plain samples; on the command line, asks it for a stack.

    profile.py FILE                                       the largest stacks
    profile.py FILE --expect 'LEAF;CALLER;..' [--min-value TYPE=N] [--label KEY=VALUE] [--inlined RE]

Each part of --expect is a regular expression that must match a frame, in this order from the leaf towards the root,
with any frames between. A frame reads `name file:line`, followed by ` (inlined)` if it is. Exit status 1 if no sample
matches, or if the values of those that do add up to less than --min-value.
"""
import argparse
import collections
import re
import sys

import wire

Frame = collections.namedtuple("Frame", "name system_name file line start_line address inlined")
Sample = collections.namedtuple("Sample", "frames values labels")


class Profile:
    """Samples with everything looked up. Frames are leaf first, inlined callees before those they were put into."""

    def __init__(self, data):
        if not data:
            raise wire.Malformed("no profile: 0 bytes")
        raw = wire.decode(wire.unzip(data))
        text = [part.decode("utf-8", "replace") for part in raw["string_table"]]
        functions = {function["id"]: function for function in raw["function"]}
        self.types = [text[kind["type"]] for kind in raw["sample_type"]]
        self.units = [text[kind["unit"]] for kind in raw["sample_type"]]
        self.comments = [text[index] for index in raw["comment"]]
        self.default_type = text[raw["default_sample_type"]]
        self.time_nanos, self.duration_nanos = raw["time_nanos"], raw["duration_nanos"]
        self.period = raw["period"]
        self.mappings = [(text[mapping["filename"]], text[mapping["build_id"]]) for mapping in raw["mapping"]]
        places = {}
        for location in raw["location"]:
            frames = []
            for index, line in enumerate(location["line"]):
                function = functions[line["function_id"]]
                frames.append(Frame(
                    text[function["name"]], text[function["system_name"]], text[function["filename"]], line["line"],
                    function["start_line"], location["address"], index + 1 < len(location["line"])))
            places[location["id"]] = frames or [Frame("", "", "", 0, 0, location["address"], False)]
        self.samples = []
        for sample in raw["sample"]:
            labels = {}
            for label in sample["label"]:
                value = text[label["str"]] if label["str"] else label["num"]
                labels.setdefault(text[label["key"]], value)
            frames = [frame for place in sample["location_id"] for frame in places[place]]
            self.samples.append(Sample(frames, dict(zip(self.types, sample["value"])), labels))

    def total(self, kind):
        return sum(sample.values[kind] for sample in self.samples)

    def find(self, *parts, labels=None):
        """Samples whose stack has a frame for each regular expression, in order from the leaf."""
        wanted = [re.compile(part) for part in parts]
        return [sample for sample in self.samples
                if matches(sample, wanted) and all(sample.labels.get(k) == v for k, v in (labels or {}).items())]


def show(frame):
    place = f" {frame.file}:{frame.line}" if frame.file else ""
    return f"{frame.name or hex(frame.address)}{place}{' (inlined)' if frame.inlined else ''}"


def matches(sample, wanted):
    frames = iter(sample.frames)
    return all(any(part.search(show(frame)) for frame in frames) for part in wanted)


def load(path):
    with open(path, "rb") as file:
        return Profile(file.read())


def main():
    parser = argparse.ArgumentParser(description="Reads a pprof file.")
    parser.add_argument("file")
    parser.add_argument("--expect", action="append", default=[], metavar="'RE;RE'")
    parser.add_argument("--min-value", metavar="TYPE=N")
    parser.add_argument("--label", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    profile = load(args.file)
    labels = dict(label.split("=", 1) for label in args.label)
    if not args.expect and not args.min_value:
        shown = profile.find(labels=labels)
        for sample in sorted(shown, key=lambda s: -list(s.values.values())[-1])[:20]:
            print(sample.values, sample.labels)
            for frame in sample.frames:
                print("   ", show(frame))
        return 0
    for expected in args.expect or [""]:
        found = profile.find(*filter(None, expected.split(";")), labels=labels)
        if not found:
            print(f"{args.file}: no sample of {len(profile.samples)} has {expected!r} {labels or ''}")
            return 1
        if args.min_value:
            kind, least = args.min_value.split("=", 1)
            if kind not in profile.types:
                print(f"{args.file}: no {kind!r} among {profile.types}")
                return 1
            total = sum(sample.values[kind] for sample in found)
            if total < int(least):
                print(f"{args.file}: {kind} of {expected!r} is {total}, below {least}")
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
