"""The kinds of parameters that methods take: how each is read from JSON, and its JSON schema.

Readers raise ValueError with a text that continues "parameter NAME ", or TooMany for what is above its bound.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from rpc.errors import too_many
from rpc.service import RecommendOptions, RecommendOrder
from runtime.keys import AddressError
from runtime.keys import parse_account as parse_account_text
from runtime.primitives import AccountId, BlockNumber, Hash, HexError, from_hex

MAX_U32: Final = 2**32 - 1
MAX_U64: Final = 2**64 - 1
MAX_PAIRS: Final = 10_000
MAX_KEYS: Final = 1_000
MAX_PAGE: Final = 1_000

_LONGEST_ACCOUNT: Final = 128
_LONGEST_DECIMAL: Final = 20
_KNOWN_ACCOUNTS: Final = 65_536


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value: its reader, and the schema of what the reader takes."""

    parse: Callable[[object], object]
    schema: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of a method; an optional one may be left out or null and is `default` then."""

    name: str
    kind: Kind
    required: bool = True
    default: object = None


def optional(name: str, kind: Kind, default: object = None) -> Param:
    """A parameter that may be left out."""
    return Param(name, kind, required=False, default=default)


def type_name(value: object) -> str:
    """What JSON calls the type of a value."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list() | tuple():
            return "an array"
        case _:
            return "an object"


def parse_bytes(value: object) -> bytes:
    """0x-hex of any length."""
    if type(value) is not str:
        raise ValueError(f"must be 0x-hex, not {type_name(value)}")
    try:
        return from_hex(value)
    except HexError as error:
        raise ValueError(f"must be 0x-hex: {error}") from None


def parse_arguments(value: object) -> bytes:
    """0x-hex of any length, or nothing at all, as some clients write the arguments of a call that has none."""
    return b"" if value == "" else parse_bytes(value)


def parse_hash(value: object) -> Hash:
    """0x-hex of 32 bytes."""
    if type(value) is not str:
        raise ValueError(f"must be a hash in 0x-hex, not {type_name(value)}")
    try:
        return Hash(from_hex(value, 32))
    except HexError as error:
        raise ValueError(f"must be a hash in 0x-hex: {error}") from None


def parse_number(value: object) -> BlockNumber:
    """A block number: a JSON number or 0x-hex."""
    if type(value) is int:
        number = value
    elif isinstance(value, str) and value.startswith("0x") and 2 < len(value) <= 18:
        number = _hex_number(value)
    else:
        number = -1
    if not 0 <= number <= MAX_U64:
        raise ValueError("must be a block number: a whole number from 0 to 2^64 - 1, or the same in 0x-hex")
    return BlockNumber(number)


def parse_prefix(value: object) -> bytes:
    """What keys start with: bytes in 0x-hex, or null for anything."""
    return b"" if value is None else parse_bytes(value)


def _hex_number(text: str) -> int:
    try:
        # int() would also read signs, spaces and underscores.
        return int.from_bytes(bytes.fromhex(text[2:].zfill(16))) if text.isalnum() else -1
    except ValueError:
        return -1


def parse_block_numbers(value: object) -> BlockNumber | list[BlockNumber]:
    """A block number, or a list of them."""
    if isinstance(value, list):
        _bounded(value, MAX_PAGE, "block numbers")
        return [parse_number(entry) for entry in value]
    return parse_number(value)


@lru_cache(maxsize=_KNOWN_ACCOUNTS)
def _account(text: str) -> AccountId:
    """Remembered, as base58 with its checksum costs more than a prediction."""
    return parse_account_text(text)


def parse_account(value: object) -> AccountId:
    """An SS58 address, or 0x-hex of 32 bytes."""
    if type(value) is not str:
        raise ValueError(f"must be an SS58 address or 0x-hex, not {type_name(value)}")
    if len(value) > _LONGEST_ACCOUNT:
        raise ValueError(f"must be an SS58 address or 0x-hex: it is longer than {_LONGEST_ACCOUNT} characters")
    try:
        return _account(value)
    except AddressError as error:
        raise ValueError(f"must be an SS58 address or 0x-hex: {error}") from None


def parse_item(value: object) -> int:
    """An item id: a number, or a decimal string for those a client cannot hold as a number."""
    if type(value) is int:
        if 0 <= value <= MAX_U64:
            return value
    elif type(value) is str and value.isascii() and value.isdecimal() and len(value) <= _LONGEST_DECIMAL:
        item = int(value)
        if item <= MAX_U64:
            return item
    raise ValueError("must be an item: a whole number from 0 to 2^64 - 1, or the same as a decimal string")


def parse_rating(value: object) -> int:
    """A raw rating, an i64."""
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise ValueError("must be a rating: a whole number of 64 bits")
    return value


def parse_text(value: object) -> str:
    """A short text."""
    if type(value) is not str:
        raise ValueError(f"must be a string, not {type_name(value)}")
    if len(value) > 1_024:
        raise ValueError("must be a string of 1024 characters at most")
    return value


def parse_boolean(value: object) -> bool:
    """True or false."""
    if type(value) is not bool:
        raise ValueError(f"must be true or false, not {type_name(value)}")
    return value


def parse_keys(value: object) -> list[bytes]:
    """A list of storage keys."""
    if not isinstance(value, list):
        raise ValueError(f"must be an array of 0x-hex, not {type_name(value)}")
    _bounded(value, MAX_KEYS, "keys")
    keys = []
    for index, entry in enumerate(value):
        try:
            keys.append(parse_bytes(entry))
        except ValueError as error:
            raise ValueError(f"entry {index} {error}") from None
    return keys


def parse_hashes(value: object) -> list[Hash]:
    """A block's hash, or a list of them."""
    if not isinstance(value, list):
        return [parse_hash(value)]
    _bounded(value, MAX_KEYS, "hashes")
    return [parse_hash(entry) for entry in value]


class StorageQueryType(StrEnum):
    """What is asked of a storage key: its value or its value's hash, or those of all keys that begin with it."""

    VALUE = "value"
    HASH = "hash"
    DESCENDANTS_VALUES = "descendantsValues"
    DESCENDANTS_HASHES = "descendantsHashes"


@dataclass(frozen=True, slots=True)
class StorageQuery:
    """A storage key, and what is asked of it."""

    key: bytes
    type: StorageQueryType


def parse_storage_queries(value: object) -> list[StorageQuery]:
    """A list of objects with key and type."""
    if not isinstance(value, list):
        raise ValueError(f"must be an array of objects with key and type, not {type_name(value)}")
    _bounded(value, MAX_KEYS, "items")
    queries = []
    for index, entry in enumerate(value):
        if not isinstance(entry, dict):
            raise ValueError(f"entry {index} must be an object with key and type, not {type_name(entry)}")
        kind = entry.get("type")
        if kind not in tuple(StorageQueryType):
            raise ValueError(f"entry {index} has a wrong type: known are {', '.join(StorageQueryType)}")
        try:
            queries.append(StorageQuery(parse_bytes(entry.get("key")), StorageQueryType(kind)))
        except ValueError as error:
            raise ValueError(f"entry {index} has a wrong key: it {error}") from None
    return queries


def parse_nothing(value: object) -> None:
    """Null, of a parameter for which there is nothing to say here."""
    raise ValueError(f"must be null, not {type_name(value)}")


@dataclass(frozen=True, slots=True)
class Pairs:
    """Accounts and items, the n-th of the one belonging to the n-th of the other."""

    accounts: list[AccountId]
    items: list[int]


def parse_pairs(value: object) -> Pairs:
    """A list of [account, item]."""
    if not isinstance(value, list):
        raise ValueError(f"must be an array of [account, item], not {type_name(value)}")
    _bounded(value, MAX_PAIRS, "pairs")
    plain = _plain_pairs(value)
    if plain is not None:
        return plain
    pairs = Pairs([], [])
    for index, entry in enumerate(value):
        if type(entry) is not list or len(entry) != 2:
            raise ValueError(f"entry {index} must be [account, item]")
        try:
            pairs.accounts.append(parse_account(entry[0]))
            pairs.items.append(parse_item(entry[1]))
        except ValueError as error:
            raise ValueError(f"entry {index} {error}") from None
    return pairs


def _plain_pairs(value: list[list[str | int]]) -> Pairs | None:
    """Read pairs if all of them are right and no item is a string: without a look at each by itself."""
    if {*map(type, value)} != {list} or {*map(len, value)} != {2}:
        return None
    accounts, items = zip(*value, strict=True)
    if {*map(type, accounts)} != {str} or {*map(type, items)} != {int}:
        return None
    if max(map(len, accounts)) > _LONGEST_ACCOUNT or min(items) < 0 or max(items) > MAX_U64:
        return None
    try:
        return Pairs([*map(_account, accounts)], [*items])
    except AddressError:
        return None


def parse_recommend_options(value: object) -> RecommendOptions:
    """An object with includeRated, minRatings and order, all optional."""
    if not isinstance(value, dict):
        raise ValueError(f"must be an object, not {type_name(value)}")
    for name in value:
        if name not in ("includeRated", "minRatings", "order"):
            raise ValueError(f"has an unknown member {clip(name)}: known are includeRated, minRatings and order")
    defaults = RecommendOptions()
    include_rated = value.get("includeRated", defaults.include_rated)
    if type(include_rated) is not bool:
        raise ValueError("has a wrong member includeRated: it is true or false")
    min_ratings = value.get("minRatings", defaults.min_ratings)
    if type(min_ratings) is not int or not 0 <= min_ratings <= MAX_U32:
        raise ValueError("has a wrong member minRatings: it is a whole number from 0 to 2^32 - 1")
    order = value.get("order", defaults.order)
    if order not in tuple(RecommendOrder):
        raise ValueError("has a wrong member order: it is mean, optimistic or pessimistic")
    return RecommendOptions(include_rated, min_ratings, RecommendOrder(order))


def parse_extrinsic_place(value: object) -> int | Hash:
    """An extrinsic of a block: its index in it, or its hash."""
    if type(value) is int and 0 <= value <= MAX_U32:
        return value
    if isinstance(value, str):
        return parse_hash(value)
    raise ValueError("must be an extrinsic's index in its block, or its hash in 0x-hex")


def parse_subscription(value: object) -> str:
    """The id that a subscribe call gave."""
    if type(value) is str:
        return value
    # An id that was never given is unknown, not wrong: other nodes give numbers.
    if type(value) is int:
        return str(value)
    raise ValueError(f"must be a subscription's id, not {type_name(value)}")


def count(most: int, what: str) -> Kind:
    """How many of `what` (a plural) are asked for: a whole number from 0 to `most`."""

    def parse(value: object) -> int:
        if type(value) is not int or value < 0:
            raise ValueError(f"must be a whole number from 0 to {most}")
        if value > most:
            raise too_many(what, most)
        return value

    return Kind(parse, {"type": "integer", "minimum": 0, "maximum": most})


def clip(text: str) -> str:
    """A text of the caller's that may be shown in an error."""
    return text if len(text) <= 40 else text[:40] + "..."


def _bounded(value: Sequence[object], most: int, what: str) -> None:
    if len(value) > most:
        raise too_many(what, most)


HEX_SCHEMA: Final = {"type": "string", "pattern": "^0x([0-9a-fA-F]{2})*$"}
HASH_SCHEMA: Final = {"type": "string", "pattern": "^0x[0-9a-fA-F]{64}$"}
_NUMBER_SCHEMA: Final = {
    "oneOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^0x[0-9a-fA-F]+$"}]
}
_ITEM_SCHEMA: Final = {
    "oneOf": [
        {"type": "integer", "minimum": 0, "maximum": MAX_U64},
        {"type": "string", "pattern": "^[0-9]{1,20}$"},
    ]
}
_ACCOUNT_SCHEMA: Final = {"type": "string", "description": "SS58 address or 0x-hex of 32 bytes"}

BYTES: Final = Kind(parse_bytes, HEX_SCHEMA)
PREFIX: Final = Kind(parse_prefix, {"oneOf": [HEX_SCHEMA, {"type": "null"}]})
ARGUMENTS: Final = Kind(parse_arguments, {"type": "string", "pattern": "^(0x([0-9a-fA-F]{2})*)?$"})
HASH: Final = Kind(parse_hash, HASH_SCHEMA)
BLOCK_NUMBERS: Final = Kind(
    parse_block_numbers,
    {"oneOf": [_NUMBER_SCHEMA, {"type": "array", "items": _NUMBER_SCHEMA, "maxItems": MAX_PAGE}]},
)
KEYS: Final = Kind(parse_keys, {"type": "array", "items": HEX_SCHEMA, "maxItems": MAX_KEYS})
HASHES: Final = Kind(
    parse_hashes, {"oneOf": [HASH_SCHEMA, {"type": "array", "items": HASH_SCHEMA, "maxItems": MAX_KEYS}]}
)
STORAGE_QUERIES: Final = Kind(
    parse_storage_queries,
    {
        "type": "array",
        "maxItems": MAX_KEYS,
        "items": {
            "type": "object",
            "required": ["key", "type"],
            "properties": {"key": HEX_SCHEMA, "type": {"enum": [str(kind) for kind in StorageQueryType]}},
        },
    },
)
NOTHING: Final = Kind(parse_nothing, {"type": "null"})
ACCOUNT: Final = Kind(parse_account, _ACCOUNT_SCHEMA)
ITEM: Final = Kind(parse_item, _ITEM_SCHEMA)
PAIRS: Final = Kind(
    parse_pairs,
    {
        "type": "array",
        "maxItems": MAX_PAIRS,
        "items": {
            "type": "array",
            "prefixItems": [_ACCOUNT_SCHEMA, _ITEM_SCHEMA],
            "minItems": 2,
            "maxItems": 2,
        },
    },
)
RATING: Final = Kind(parse_rating, {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1})
TEXT: Final = Kind(parse_text, {"type": "string", "maxLength": 1_024})
BOOLEAN: Final = Kind(parse_boolean, {"type": "boolean"})
EXTRINSIC_PLACE: Final = Kind(
    parse_extrinsic_place, {"oneOf": [{"type": "integer", "minimum": 0, "maximum": MAX_U32}, HASH_SCHEMA]}
)
SUBSCRIPTION: Final = Kind(parse_subscription, {"oneOf": [{"type": "string"}, {"type": "integer"}]})
RECOMMEND_OPTIONS: Final = Kind(
    parse_recommend_options,
    {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "includeRated": {"type": "boolean", "default": False},
            "minRatings": {"type": "integer", "minimum": 0, "maximum": MAX_U32, "default": 0},
            "order": {"enum": [str(order) for order in RecommendOrder], "default": "mean"},
        },
    },
)
