"""pprof's protobuf, read and written from its field numbers alone: no schema file, no library, nothing of the crate.

A message is a dict from field name to value (a list where the field repeats). What the schema does not know is kept
under "?", so that a strict reader can refuse it and a lenient one can pass over it.
"""
import gzip

VARINT, BYTES = 0, 2
VALUE_TYPE = {1: ("type", "int"), 2: ("unit", "int")}
LABEL = {1: ("key", "int"), 2: ("str", "int"), 3: ("num", "int"), 4: ("num_unit", "int")}
SAMPLE = {1: ("location_id", "uints"), 2: ("value", "ints"), 3: ("label", [LABEL])}
MAPPING = {
    1: ("id", "uint"), 2: ("memory_start", "uint"), 3: ("memory_limit", "uint"), 4: ("file_offset", "uint"),
    5: ("filename", "int"), 6: ("build_id", "int"), 7: ("has_functions", "int"), 8: ("has_filenames", "int"),
    9: ("has_line_numbers", "int"), 10: ("has_inline_frames", "int"),
}
LINE = {1: ("function_id", "uint"), 2: ("line", "int"), 3: ("column", "int")}
LOCATION = {
    1: ("id", "uint"), 2: ("mapping_id", "uint"), 3: ("address", "uint"), 4: ("line", [LINE]), 5: ("is_folded", "int"),
}
FUNCTION = {
    1: ("id", "uint"), 2: ("name", "int"), 3: ("system_name", "int"), 4: ("filename", "int"), 5: ("start_line", "int"),
}
PROFILE = {
    1: ("sample_type", [VALUE_TYPE]), 2: ("sample", [SAMPLE]), 3: ("mapping", [MAPPING]), 4: ("location", [LOCATION]),
    5: ("function", [FUNCTION]), 6: ("string_table", "texts"), 7: ("drop_frames", "int"), 8: ("keep_frames", "int"),
    9: ("time_nanos", "int"), 10: ("duration_nanos", "int"), 11: ("period_type", VALUE_TYPE), 12: ("period", "int"),
    13: ("comment", "ints"), 14: ("default_sample_type", "int"),
}


class Malformed(Exception):
    """The bytes are no protobuf, or not of these messages."""


def varint(data, at):
    value = shift = 0
    while True:
        if at >= len(data):
            raise Malformed("truncated varint")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            if value >> 64:
                raise Malformed("varint above 64 bits")
            return value, at
        if shift >= 70:
            raise Malformed("varint longer than ten bytes")


def signed(value):
    return value - (1 << 64) if value >> 63 else value


def fields(data):
    """(field number, wire type, value) for each field."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise Malformed("field number 0")
        if wire == VARINT:
            value, at = varint(data, at)
        elif wire in (1, 5, BYTES):
            size = {1: 8, 5: 4}.get(wire)
            if size is None:
                size, at = varint(data, at)
            if at + size > len(data):
                raise Malformed(f"field {number} is truncated")
            value, at = data[at:at + size], at + size
        else:
            raise Malformed(f"wire type {wire}")
        yield number, wire, value


def is_repeated(kind):
    return isinstance(kind, list) or kind in ("ints", "uints", "texts")


def decode(data, schema=None):
    """The message in `data`; `PROFILE` unless another schema is given."""
    schema = PROFILE if schema is None else schema
    message = {"?": []}
    for name, kind in schema.values():
        message[name] = [] if is_repeated(kind) else None if isinstance(kind, dict) else 0
    for number, wire, value in fields(data):
        if number not in schema:
            message["?"].append((number, wire, value))
            continue
        name, kind = schema[number]
        wanted = VARINT if kind in ("int", "uint") else BYTES
        if wire == VARINT and kind in ("ints", "uints"):
            message[name].append(signed(value) if kind == "ints" else value)
        elif wire != wanted:
            raise Malformed(f"{name} has wire type {wire}")
        elif kind in ("int", "uint"):
            message[name] = signed(value) if kind == "int" else value
        elif kind in ("ints", "uints"):
            at = 0
            while at < len(value):
                one, at = varint(value, at)
                message[name].append(signed(one) if kind == "ints" else one)
        elif kind == "texts":
            message[name].append(value)
        elif isinstance(kind, list):
            message[name].append(decode(value, kind[0]))
        else:
            message[name] = decode(value, kind)
    return message


def number_bytes(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode(message, schema=None):
    """The inverse of `decode`."""
    schema = PROFILE if schema is None else schema
    out = []

    def put(number, body):
        out.append(number_bytes(number << 3 | BYTES) + number_bytes(len(body)) + body)

    for number, (name, kind) in sorted(schema.items()):
        value = message[name]
        if kind in ("int", "uint"):
            if value:
                out.append(number_bytes(number << 3 | VARINT) + number_bytes(value))
        elif kind in ("ints", "uints"):
            if value:
                put(number, b"".join(map(number_bytes, value)))
        elif kind == "texts":
            for text in value:
                put(number, text)
        elif isinstance(kind, list):
            for one in value:
                put(number, encode(one, kind[0]))
        elif value is not None:
            put(number, encode(value, kind))
    for number, wire, value in message["?"]:
        if wire == BYTES:
            put(number, value)
        else:
            body = number_bytes(value) if wire == VARINT else value
            out.append(number_bytes(number << 3 | wire) + body)
    return b"".join(out)


def unzip(data):
    """The body of a file, gzipped or not."""
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
