"""Seeded damage to small files: bits, lengths, pieces lost or doubled, and what lies within zips, PNGs and JSON."""

import io
import json
import random
import re
import struct
import warnings
import zipfile
import zlib
from typing import Any

NUMBERS = (0, 1, 2, 127, 128, 255, 256, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)
WORDS = (b"0", b"-1", b"1", b"99999999999999999999", b"1e999", b"NaN", b"null", b"[]", b"{}", b'""', b"true", b"0x1f")
ODD = (None, True, 0, -1, 1 << 70, 1e308, float("nan"), "", "x" * 300, "../..", "\x00", [], [[]], {}, {"": 0}, [-1, -1])


def mutated(seed: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """A file that is not quite `seed`; pieces of `others` may be in it. The same for the same state of `rng`."""
    inside = next((change for sign, change in INSIDE if seed.startswith(sign)), None)
    if inside and rng.random() < 0.6:
        try:
            return inside(seed, others, rng)
        except (ValueError, struct.error, zipfile.BadZipFile, RecursionError):
            pass
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        seed = rng.choice(DAMAGE)(seed, others, rng)
    return seed


def _flip(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64)) if out else 0):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def _write_number(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """A length, an offset or a count somewhere, of 1 to 8 bytes in either order."""
    size, order = rng.choice((1, 2, 4, 8)), rng.choice(("little", "big"))
    number = rng.choice((*NUMBERS, len(data), rng.getrandbits(8 * size))) & ((1 << 8 * size) - 1)
    at = rng.randrange(len(data) + 1)
    return data[:at] + number.to_bytes(size, order) + data[at + size :]


def _truncate(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _remove(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    a, b = _piece(data, rng)
    return data[:a] + data[b:]


def _double(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    a, b = _piece(data, rng)
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[a:b] * rng.choice((1, 1, 2, 50)) + data[at:]


def _splice(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    other = rng.choice(others or [data])
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def _insert(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice((rng.randbytes(rng.choice((1, 4, 64))), b"\x00" * 512, rng.choice(WORDS))) + data[at:]


def _write_word(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Another number or word where a text has one."""
    places = [m.span() for m in re.finditer(rb'-?\d[\d.e+-]*|"[^"]{0,40}"', data[:20000])]
    a, b = rng.choice(places or [(0, 0)])
    return data[:a] + rng.choice(WORDS) + data[b:]


def _piece(data: bytes, rng: random.Random) -> tuple[int, int]:
    a = rng.randrange(len(data) + 1)
    return a, min(a + rng.choice((1, 2, 4, 16, 256, 4096)), len(data))


DAMAGE = (_flip, _flip, _write_number, _write_number, _truncate, _remove, _double, _splice, _insert, _write_word)


def _zip(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """A whole zip again, one of whose members is damaged, lost, renamed, doubled, swapped or compressed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    at = rng.randrange(len(members))
    name, content = members[at]
    kind = rng.randrange(8)
    if kind < 4:
        members[at] = name, mutated(content, [c for _, c in members], rng)
    elif kind == 4:
        del members[at]
    elif kind == 5:
        members[at] = rng.choice((f"../{name}", name.upper(), "", "data.pkl", f"{name}/{name}")), content
    elif kind == 6:
        members.append((name, rng.choice(members)[1]))
    else:
        members[at] = name, rng.choice(members)[1]
    out = io.BytesIO()
    how = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", how) as archive:
        warnings.simplefilter("ignore")  # two members of one name are meant
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, how)
    return out.getvalue()


def _png(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """One chunk damaged, with the checksum that it then needs; the pixels' within their compression."""
    chunks, at = [], 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    k = rng.randrange(len(chunks))
    kind, body = chunks[k]
    if kind == b"IDAT" and rng.random() < 0.5:
        body = zlib.compress(mutated(zlib.decompress(body), [], rng))
    else:
        body = mutated(body, [], rng)
    chunks[k] = kind, body
    parts = (struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks)
    return data[:8] + b"".join(parts)


def _json(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Something else at one place of the tree, or nothing."""
    tree = json.loads(data)
    node: Any = tree
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return json.dumps(rng.choice(ODD)).encode()
        key = rng.choice(keys)
        if isinstance(node[key], dict | list) and node[key] and rng.random() < 0.6:
            node = node[key]
        elif rng.random() < 0.2:
            del node[key]
            break
        else:
            node[key] = rng.choice(ODD)
            break
    return json.dumps(tree).encode()


INSIDE = ((b"PK\x03\x04", _zip), (b"\x89PNG", _png), (b"{", _json))
