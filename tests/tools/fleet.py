"""Stand-ins for those who scrape: each keeps to the rules of one of them, read in its source, and to no others.

    Parca      what it asks for, its reader and its validator, the names of its series
    Alloy      `pyroscope.scrape`: which endpoints, and the difference of successive scrapes that it sends on
    Pyroscope  the limits beyond which it refuses or truncates what it is sent
    Collector  the OpenTelemetry collector's pprof receiver: Go's reader, and the tables of OTLP that it fills

A stand-in is given an answer and returns what the original would hold against it: a list of sentences, empty if nothing.
`test_tools.py` shows of each that it refuses what it has to, and takes what it has no rule against.
"""
import collections
import re

import wire

Answer = collections.namedtuple("Answer", "status headers body")


def go_refuses(body):
    """What the reader of github.com/google/pprof says, which Parca, the collector and `go tool pprof` have in common."""
    if not body:
        return ["no profile: 0 bytes"], None
    try:
        raw = wire.decode(wire.unzip(body))
    except (wire.Malformed, OSError, EOFError) as error:
        return [f"malformed: {error}"], None
    texts = raw["string_table"]
    if not texts or texts[0] != b"":
        return ["string_table[0] is not empty"], None
    bad = [where for where, index in indices(raw) if not 0 <= index < len(texts)]
    if bad:
        return [f"{where}: no such string" for where in bad[:3]], None
    wrong = []
    for table in ("mapping", "location", "function"):
        ids = [row["id"] for row in raw[table]]
        if 0 in ids or len(set(ids)) != len(ids):
            wrong.append(f"{table} ids are 0 or twice")
    if raw["sample"] and not raw["sample_type"]:
        wrong.append("samples without sample types")
    locations = {row["id"] for row in raw["location"]}
    functions = {row["id"] for row in raw["function"]}
    for sample in raw["sample"]:
        if len(sample["value"]) != len(raw["sample_type"]):
            wrong.append("a sample with another number of values")
        if not locations.issuperset(sample["location_id"]):
            wrong.append("a sample names an unknown location")
    for location in raw["location"]:
        if any(line["function_id"] not in functions for line in location["line"]):
            wrong.append("a line names an unknown function")
    return wrong, raw


def indices(raw):
    """Every index into the table of strings."""
    yield "default_sample_type", raw["default_sample_type"]
    for name in ("drop_frames", "keep_frames"):
        yield name, raw[name]
    for index in raw["comment"]:
        yield "comment", index
    for kind in raw["sample_type"] + ([raw["period_type"]] if raw["period_type"] else []):
        yield from (("value type", kind[name]) for name in ("type", "unit"))
    for sample in raw["sample"]:
        for label in sample["label"]:
            yield from (("label", label[name]) for name in ("key", "str", "num_unit"))
    for row in raw["mapping"]:
        yield from (("mapping", row[name]) for name in ("filename", "build_id"))
    for row in raw["function"]:
        yield from (("function", row[name]) for name in ("name", "system_name", "filename"))


class Parca:
    """One target, as its default configuration scrapes it: five endpoints, 10 s apart."""

    name = "Parca"
    DELTA = {"profile"}
    headers = {"User-Agent": "conprof/0.0.0", "Accept-Encoding": "gzip"}

    def __init__(self, interval=10):
        self.interval = interval
        self.series = {}

    def paths(self, leaks=False):
        """With parameters in the user's configuration, one map is used for all targets, and grows."""
        seconds = f"seconds={self.interval:g}"
        for endpoint in ("allocs", "block", "goroutine", "mutex", "profile"):
            query = f"{seconds}&{seconds}" if leaks else seconds if endpoint in self.DELTA else ""
            yield endpoint, f"{endpoint}?{query}" if query else endpoint

    def take(self, endpoint, answer, leaks=False):
        if answer.status != 200:
            return [f"server returned HTTP status {answer.status}"]
        wrong, raw = go_refuses(answer.body)
        if wrong:
            return wrong
        # Once more, as protobuf.
        for table in ("mapping", "location", "function"):
            ids = [row["id"] for row in raw[table]]
            if ids != list(range(1, len(ids) + 1)):
                wrong.append(f"{table} ids are not 1..n in order")
        for location in raw["location"]:
            if location["mapping_id"] > len(raw["mapping"]):
                wrong.append("a location names an unknown mapping")
        labels = [label for sample in raw["sample"] for label in sample["label"]]
        if any(label["key"] == 0 for label in labels):
            wrong.append("a label without a key")
        texts = raw["string_table"]
        keys = {texts[label["key"]] for label in labels if label["str"]}
        columns = collections.Counter(re.sub(rb"[^a-zA-Z0-9_]", b"_", key) for key in keys)
        wrong += [f"labels become one column: {key}" for key, count in columns.items() if count > 1]
        # A window is another series than a sum.
        windowed = raw["duration_nanos"] != 0
        if windowed != (endpoint in self.DELTA or leaks and endpoint != "goroutine"):
            wrong.append(f"duration_nanos is {raw['duration_nanos']}")
        text = lambda kind: ":".join(texts[kind[name]].decode() for name in ("type", "unit"))
        period = text(raw["period_type"]) if raw["period_type"] else ":"
        series = {f"{endpoint}:{text(kind)}:{period}{':delta' if windowed else ''}" for kind in raw["sample_type"]}
        if len(series) != len(raw["sample_type"]):
            wrong.append("two sample types are one series")
        before = self.series.setdefault((endpoint, leaks), series)
        if before != series:
            wrong.append(f"other series than before: {sorted(series ^ before)}")
        return wrong


class Alloy:
    """`pyroscope.scrape` with its defaults, 15 s apart; it sends differences of memory, block and mutex."""

    name = "Alloy"
    SUBTRACTED = {
        "allocs": [("alloc_objects", "count"), ("alloc_space", "bytes")],
        "block": [("contentions", "count"), ("delay", "nanoseconds")],
        "mutex": [("contentions", "count"), ("delay", "nanoseconds")],
    }
    # What a client of godeltaprof's endpoints asks for instead: differences already.
    DELTAS = {"delta_heap": "allocs", "delta_block": "block", "delta_mutex": "mutex"}
    headers = {"User-Agent": "Alloy/v1.0.0 (linux; docker)"}

    def __init__(self, interval=15):
        self.interval = interval
        self.before = {}
        self.first = {}
        self.sums = collections.defaultdict(lambda: collections.Counter())

    def paths(self):
        yield from ((name, name) for name in ("allocs", "block", "goroutine", "mutex"))
        yield "profile", f"profile?seconds={max(self.interval - 1, self.interval / 2):g}"
        yield from ((name, name) for name in self.DELTAS)

    def take(self, endpoint, answer):
        if answer.status // 100 != 2:
            return [f"server returned HTTP status {answer.status}"]
        if not answer.body:
            return ["empty profile"]
        wrong, raw = go_refuses(answer.body)
        if wrong:
            return wrong
        texts = raw["string_table"]
        kinds = [(texts[kind["type"]].decode(), texts[kind["unit"]].decode()) for kind in raw["sample_type"]]
        if endpoint in self.DELTAS:
            cumulative = self.SUBTRACTED[self.DELTAS[endpoint]]
            bad = [kind for kind in cumulative if kind not in kinds]
            negative = [s["value"] for s in raw["sample"] for k, v in zip(kinds, s["value"]) if k in cumulative and v < 0]
            return [f"no {kind}" for kind in bad] + [f"a negative difference: {values}" for values in negative[:3]]
        if endpoint not in self.SUBTRACTED:
            return []
        if raw["duration_nanos"]:
            wrong.append("a window, where a sum since the beginning is needed")
        missing = [kind for kind in self.SUBTRACTED[endpoint] if kind not in kinds]
        if missing:
            return [f"no {kind}" for kind in missing]
        mappings = {row["id"]: row["memory_start"] for row in raw["mapping"]}
        names = {row["id"]: texts[row["name"]] for row in raw["function"]}
        places = {row["id"]: place(row, mappings, names) for row in raw["location"]}
        now = collections.Counter()
        for sample in raw["sample"]:
            stack = tuple(places[id_] for id_ in sample["location_id"])
            labels = tuple(sorted((texts[l["key"]], texts[l["str"]], l["num"]) for l in sample["label"]))
            for kind, value in zip(kinds, sample["value"]):
                if kind in self.SUBTRACTED[endpoint]:
                    now[stack, labels, kind] += value
        if endpoint not in self.before:
            # The first one is dropped.
            self.first[endpoint] = self.before[endpoint] = now
            return wrong
        before, self.before[endpoint] = self.before[endpoint], now
        for key in now.keys() | before.keys():
            difference = now[key] - before[key]
            if difference < 0:
                wrong.append(f"a negative difference of {endpoint}, {key[2]}: {difference}, {show(key[0])} {key[1]}")
            self.sums[endpoint][key] += difference
        return wrong

    def balance(self):
        """Whether what was sent on adds up to what came, row by row."""
        for endpoint, last in self.before.items():
            for key in last.keys() | self.first[endpoint].keys():
                expected = last[key] - self.first[endpoint][key]
                if self.sums[endpoint][key] != expected:
                    yield f"{endpoint}: {self.sums[endpoint][key]}, not {expected}: {show(key[0])}"


def place(location, mappings, names):
    """What makes a location the same one in another file."""
    lines = tuple((names[line["function_id"]], line["line"]) for line in location["line"])
    return location["address"] - mappings.get(location["mapping_id"], 0), lines


def show(stack):
    return " < ".join((lines[0][0].decode() if lines else hex(address)) for address, lines in stack[:4])


class Pyroscope:
    """Its limits, of what is pushed to it."""

    name = "Pyroscope"

    def take(self, endpoint, answer):
        wrong, raw = go_refuses(answer.body)
        if raw is None:
            return wrong
        body = wire.unzip(answer.body)
        texts = raw["string_table"]
        if len(body) > 4 << 20:
            wrong.append(f"{len(body)} bytes, the limit is 4 MiB")
        if len(raw["sample"]) > 16_000:
            wrong.append(f"{len(raw['sample'])} samples")
        if any(len(sample["label"]) > 100 for sample in raw["sample"]):
            wrong.append("more than 100 labels")
        if any(len(sample["location_id"]) > 1_000 for sample in raw["sample"]):
            wrong.append("a stack that it would truncate")
        if any(len(raw_text) > 65_535 for raw_text in texts):
            wrong.append("a text that it would truncate")
        for kind in raw["sample_type"]:
            if b"-" in texts[kind["type"]]:
                wrong.append(f"the sample type {texts[kind['type']]}")
        return wrong


class Collector:
    """The pprof receiver: an answer becomes OTLP profiles, one for each sample type, with tables that begin with zero."""

    name = "Collector"
    headers = {"User-Agent": "OpenTelemetry Collector"}

    def paths(self, seconds):
        yield "profile", f"profile?seconds={seconds:g}"
        yield "heap", "heap"

    def take(self, endpoint, answer):
        if answer.status != 200:
            return [f"status {answer.status}"]
        wrong, raw = go_refuses(answer.body)
        if wrong:
            return wrong
        try:
            dictionary, profiles = self.translate(raw)
        except (KeyError, IndexError, UnicodeDecodeError) as error:
            return [f"it cannot be translated: {type(error).__name__} {error}"]
        for index, one in enumerate(profiles):
            total = sum(sample["value"][index] for sample in raw["sample"])
            if sum(value for _, _, value in one["samples"]) != total:
                wrong.append(f"{one['type']} has another total")
        if not profiles:
            wrong.append("no profiles")
        if dictionary["strings"][0] != "" or len(set(dictionary["strings"])) != len(dictionary["strings"]):
            wrong.append("the table of strings does not begin with \"\", or has one twice")
        return wrong

    @staticmethod
    def translate(raw):
        texts = [text.decode("utf-8") for text in raw["string_table"]]
        strings = {"": 0}
        intern = lambda text: strings.setdefault(text, len(strings))
        mappings = [None] + [(intern(texts[m["filename"]]), m["memory_start"], m["memory_limit"]) for m in raw["mapping"]]
        by_id = {m["id"]: index + 1 for index, m in enumerate(raw["mapping"])}
        functions = {f["id"]: (intern(texts[f["name"]]), intern(texts[f["filename"]])) for f in raw["function"]}
        locations = {}
        for location in raw["location"]:
            mapping = by_id[location["mapping_id"]] if location["mapping_id"] else 0
            lines = tuple((functions[line["function_id"]], line["line"]) for line in location["line"])
            locations[location["id"]] = (mappings[mapping] and mapping, location["address"], lines)
        stacks = {(): 0}
        profiles = []
        for index, kind in enumerate(raw["sample_type"]):
            samples = []
            for sample in raw["sample"]:
                stack = tuple(locations[id_] for id_ in sample["location_id"])
                attributes = tuple(
                    (intern(texts[l["key"]]), texts[l["str"]] if l["str"] else l["num"]) for l in sample["label"])
                samples.append((stacks.setdefault(stack, len(stacks)), attributes, sample["value"][index]))
            profiles.append({"type": (texts[kind["type"]], texts[kind["unit"]]), "samples": samples})
        return {"strings": list(strings)}, profiles
