"""The root of a trie as its definition has it: no editing, no sharing, nothing quick."""

from collections.abc import Mapping
from hashlib import blake2b

from runtime.trie import StateVersion


def reference_root(pairs: Mapping[bytes, bytes], version: StateVersion) -> bytes:
    return _hash(_encode({key.hex(): value for key, value in pairs.items()}, version))


def _encode(pairs: Mapping[str, bytes], version: StateVersion) -> bytes:
    """The node of pairs whose keys are given by the digits that are left of them."""
    if not pairs:
        return b"\0"
    keys = sorted(pairs)
    partial = keys[0]
    while not all(key.startswith(partial) for key in keys):
        partial = partial[:-1]
    value = pairs.get(partial)
    children: dict[int, dict[str, bytes]] = {}
    for key in keys:
        if key != partial:
            child = children.setdefault(int(key[len(partial)], 16), {})
            child[key[len(partial) + 1 :]] = pairs[key]
    hashed = value is not None and version is StateVersion.V1 and len(value) > 32
    if hashed:
        header = _header(0b0001, 4, len(partial)) if children else _header(0b001, 5, len(partial))
    elif value is not None:
        header = _header(0b11, 6, len(partial)) if children else _header(0b01, 6, len(partial))
    else:
        header = _header(0b10, 6, len(partial))
    node = header + bytes.fromhex("0" * (len(partial) % 2) + partial)
    if children:
        node += sum(1 << nibble for nibble in children).to_bytes(2, "little")
    if value is not None:
        node += _hash(value) if hashed else _sized(value)
    for nibble in sorted(children):
        encoded = _encode(children[nibble], version)
        node += _sized(encoded if len(encoded) < 32 else _hash(encoded))
    return node


def _header(prefix: int, bits: int, nibbles: int) -> bytes:
    most = 2**bits - 1
    if nibbles < most:
        return bytes([prefix << bits | nibbles])
    rest, encoded = nibbles - most, [prefix << bits | most]
    while rest >= 255:
        encoded.append(255)
        rest -= 255
    return bytes([*encoded, rest])


def _sized(data: bytes) -> bytes:
    size = len(data)
    if size < 64:
        return bytes([size * 4]) + data
    if size < 2**14:
        return (size * 4 + 1).to_bytes(2, "little") + data
    return (size * 4 + 2).to_bytes(4, "little") + data


def _hash(data: bytes) -> bytes:
    return blake2b(data, digest_size=32).digest()
