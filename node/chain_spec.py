"""Chain specifications: everything that the nodes of one chain must agree on, in one JSON file.

Block 0 commits to every member that decides which blocks are valid: most stand in its state, the rest in its
digest. Who runs other rules thus has another genesis hash, and is on another chain. A file may leave out what
has a default; `render` writes every member.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from enum import StrEnum
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from node.json_reader import DocumentError, Section, parse_object, shown
from node.ring_limits import least_limits
from node.spec_types import (
    MAX_U32,
    MODEL_LIMITS,
    ChainSpec,
    ChainType,
    Properties,
    Sealing,
    Upgrade,
    file_name,
    read_block_name,
)
from pallets.construct import SPEC_VERSION, ChainConstants, construct_runtime
from pallets.matrix_factorization.calls import heaviest_call
from pallets.matrix_factorization.config import MAX_BATCH, MAX_TITLE_BYTES, Config
from pallets.matrix_factorization.fixed_point import RatingScale, RatingScaleError
from pallets.matrix_factorization.parameters import ModelParameters, ParameterError
from pallets.producers.config import RULE_LIMITS, RuleError, Rules
from pallets.producers.config import Config as ProducersConfig
from pallets.system.pallet import SS58_PREFIX
from runtime.executive import BASE_EXTRINSIC_WEIGHT, Runtime
from runtime.header import MAX_BODY_BYTES, DigestItem, DigestKind, Header
from runtime.interface.weights import MILLISECOND, BlockLimits
from runtime.keys import AddressError, parse_account
from runtime.overlay import Overlay
from runtime.primitives import ZERO_HASH, AccountId, BlockNumber, BlockRef, HexError, blake2b_256, to_hex
from runtime.trie import StateVersion, Trie, ordered_root

__all__ = [
    "MAX_BLOCK_LENGTH",
    "MAX_SLOT_DURATION",
    "MIN_SLOT_DURATION",
    "SHIPPED",
    "ChainSpec",
    "ChainType",
    "Genesis",
    "Properties",
    "SpecError",
    "Upgrade",
    "constants",
    "genesis",
    "load_spec",
    "parse_spec",
    "render",
]

SHIPPED: Final = ("dev", "local", "movielens", "halfstars")
MAX_BLOCK_LENGTH: Final = MAX_BODY_BYTES - (64 << 10)
"""What the transactions of a block may take together: the rest of a body is for inherents and the count."""

MIN_SLOT_DURATION: Final = 100
MAX_SLOT_DURATION: Final = 60_000

_MAX_FILE: Final = 64 << 20
_MAX_TIME: Final = 2**53 - 1
_MAX_NAME: Final = 128
_MAX_RING: Final = 1_024
_MAX_BOOT_NODES: Final = 256
_MAX_ADDRESS: Final = 512
_MAX_LABEL: Final = 32
_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_SYMBOL: Final = re.compile(r"[A-Za-z0-9]{1,12}")
_LEAST_WEIGHT_MS: Final = 50
# The same batch with its signature has 4.3 kB.
_LEAST_LENGTH: Final = 8 << 10
_DEFAULTS: Final = Config(RatingScale(-1, 1, 2))

E = TypeVar("E", bound=StrEnum)


class SpecError(ValueError):
    """A chain specification cannot be used; the message names the member at fault."""


class Genesis(NamedTuple):
    """Block 0, its state by ascending keys, and the runtime that goes on from there."""

    header: Header
    state: tuple[tuple[bytes, bytes], ...]
    runtime: Runtime


class _NoState:
    """What there is before block 0."""

    def get(self, _key: bytes) -> bytes | None:
        return None

    def items(self, _prefix: bytes, _after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        return iter(())


def constants(spec: ChainSpec) -> ChainConstants:
    """What the runtime takes from a specification."""
    ring = spec.ring if spec.sealing is Sealing.RING else ()
    return ChainConstants(
        genesis_time=spec.genesis_time,
        minimum_period=spec.minimum_period,
        items=spec.items,
        limits=spec.limits,
        matrix_factorization=spec.matrix_factorization,
        producers=ProducersConfig(spec.slot_duration, ring, spec.rules),
    )


def genesis(spec: ChainSpec) -> Genesis:
    """Make block 0 of a chain."""
    runtime = construct_runtime(constants(spec))
    overlay = Overlay(_NoState())
    runtime.build_genesis(overlay)
    state = tuple((key, value) for key, value in overlay.changes() if value is not None)
    root = Trie.from_items(state, StateVersion(runtime.version.state_version)).root()
    digest = (DigestItem(DigestKind.OTHER, payload=blake2b_256(_rules(spec))),)
    return Genesis(Header(ZERO_HASH, BlockNumber(0), root, ordered_root(()), digest), state, runtime)


def _rules(spec: ChainSpec) -> bytes:
    """What block 0 must commit to and its state does not say; the id keeps chains of equal rules apart."""
    whole = spec.to_json()
    ring = [to_hex(account) for account in spec.ring]
    rules = {name: whole[name] for name in ("id", "slotDurationMs", "consensus", "limits", "upgrades")}
    return json.dumps(rules | {"ring": ring}, sort_keys=True, separators=(",", ":")).encode()


def load_spec(name_or_path: str) -> ChainSpec:
    """Read a chain by the name under which it is shipped, or from a file.

    Raises:
        SpecError: there is no such chain or file, or it is not a specification.
    """
    if name_or_path in SHIPPED:
        return parse_spec((files("node") / "chain_specs" / f"{name_or_path}.json").read_bytes())
    try:
        with Path(name_or_path).open("rb") as file:
            data = file.read(_MAX_FILE + 1)
    except FileNotFoundError:
        known = ", ".join(SHIPPED)
        raise SpecError(f"there is no chain {name_or_path}: name one of {known}, or a file") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise SpecError(f"the chain spec {name_or_path} cannot be read: {why}") from None
    try:
        return parse_spec(data)
    except SpecError as error:
        raise SpecError(f"the chain spec {name_or_path}: {error}") from None


def render(spec: ChainSpec) -> bytes:
    """The file of a specification, with every member; `parse_spec` of it is the specification."""
    return (json.dumps(spec.to_json(), indent=2, ensure_ascii=False) + "\n").encode()


def parse_spec(data: bytes) -> ChainSpec:
    """Read a specification.

    Raises:
        SpecError: a member is unknown, missing, of a wrong type or out of range; the message names it.
    """
    if len(data) > _MAX_FILE:
        raise SpecError(f"a chain spec has {_MAX_FILE} bytes at most")
    try:
        document = parse_object(data)
        spec = _spec(document)
        document.end()
    except DocumentError as error:
        raise SpecError(str(error)) from None
    return spec


def _spec(document: Section) -> ChainSpec:
    """The whole document."""
    first, rating, limits = (document.section(name) for name in ("genesis", "rating", "limits"))
    scale = _scale(document, rating)
    config = _config(document.section("model"), scale, limits)
    name, sealing = _name(document), _one_of(document, "sealing", Sealing)
    spec = ChainSpec(
        name=name,
        id=_identifier(document),
        chain_type=_one_of(document, "chainType", ChainType),
        genesis_time=first.integer("timestamp", 0, _MAX_TIME),
        items=_titles(first, config.max_items),
        ring=_ring(first, sealing),
        boot_nodes=_boot_nodes(document),
        properties=_properties(document.section("properties")),
        sealing=sealing,
        slot_duration=document.integer("slotDurationMs", MIN_SLOT_DURATION, MAX_SLOT_DURATION, 2_000),
        rating_labels=_labels(rating.section("labels"), scale),
        matrix_factorization=config,
        limits=_limits(limits, sealing, config),
        rules=_consensus(document.section("consensus")),
        upgrades=_upgrades(document),
        trusted=_trusted(document),
    )
    for section in (first, rating, limits):
        section.end()
    return spec


def _name(document: Section) -> str:
    name = document.text("name")
    if not name.isprintable() or not 1 <= len(name) <= _MAX_NAME:
        document.fail("name", f"must have 1 to {_MAX_NAME} printable characters")
    return name


def _identifier(document: Section) -> str:
    """The id, which is also the name of a directory."""
    identifier = document.text("id")
    if _ID.fullmatch(identifier) is None:
        document.fail("id", "must have 1 to 64 of the characters a-z, 0-9, - and _, a letter or digit first")
    return identifier


def _one_of(section: Section, name: str, kind: type[E]) -> E:
    text = section.text(name)
    try:
        return kind(text)
    except ValueError:
        known = ", ".join(member.value for member in kind)
        section.fail(name, f"must be one of {known}, not {shown(text)}")


def _scale(document: Section, rating: Section) -> RatingScale:
    """The rating scale. Ratings are stored in 16 bits."""
    low, high = -(2**15), 2**15 - 1
    minimum, maximum = rating.integer("min", low, high), rating.integer("max", low, high)
    try:
        return RatingScale(minimum, maximum, rating.integer("step", 1, high))
    except RatingScaleError as error:
        document.fail("rating", str(error))


def _labels(section: Section, scale: RatingScale) -> tuple[tuple[str, str], ...]:
    """What people call ratings. A label that reads as a number would be taken for that rating."""
    labels: dict[int, str] = {}
    for name, label in section.remaining_texts().items():
        rating = _integer(name)
        if rating is None or str(rating) != name or not scale.accepts(rating):
            section.fail(name, "is no rating of this chain")
        if not label.isprintable() or not 1 <= len(label) <= _MAX_LABEL or _integer(label) is not None:
            why = f"must have 1 to {_MAX_LABEL} printable characters and be no whole number"
            section.fail(name, f"{why}, not {shown(label)}")
        if label in labels.values():
            section.fail(name, f"another rating is called {shown(label)} too")
        labels[rating] = label
    return tuple((str(rating), labels[rating]) for rating in sorted(labels))


def _integer(text: str) -> int | None:
    """The number that Python would read."""
    try:
        return int(text) if len(text) <= _MAX_LABEL else None
    except ValueError:
        return None


def _config(section: Section, scale: RatingScale, limits: Section) -> Config:
    """The constants of the model, each by default what the pallet has."""
    parameters: dict[str, int] = {}
    for field in fields(ModelParameters):
        name, default = file_name(field.name), getattr(_DEFAULTS.model, field.name)
        if field.name.endswith("_ppm"):
            parameters[field.name] = section.millionths(name, MAX_U32, default)
        else:
            parameters[field.name] = section.integer(name, 0, MAX_U32, default)
    others = {
        name: section.integer(file_name(name), low, high, getattr(_DEFAULTS, name))
        for name, (low, high) in MODEL_LIMITS.items()
    }
    section.end()
    per_block = limits.integer("maxItemsPerBlock", 1, MAX_U32, _DEFAULTS.max_items_per_block)
    try:
        return Config(scale, ModelParameters(**parameters), max_items_per_block=per_block, **others)
    except ParameterError as error:
        culprit, _, why = str(error).partition(" ")
        section.fail(file_name(culprit), f"{why} millionths" if culprit.endswith("_ppm") else why)


def _titles(section: Section, most: int) -> tuple[str, ...]:
    titles = section.texts("items")
    if len(titles) > most:
        section.fail("items", f"there are {len(titles)}, but model.maxItems is {most}")
    for index, title in enumerate(titles):
        if len(title.encode()) > MAX_TITLE_BYTES:
            section.fail(f"items[{index}]", f"a title has {MAX_TITLE_BYTES} bytes at most")
    return tuple(titles)


def _ring(section: Section, sealing: Sealing) -> tuple[AccountId, ...]:
    """Who takes turns first."""
    texts = section.texts("ring")
    if sealing is Sealing.RING and not texts:
        section.fail("ring", "must name a producer, as the chain is sealed by a ring")
    if len(texts) > _MAX_RING:
        section.fail("ring", f"there are {len(texts)}, at most {_MAX_RING} are allowed")
    ring: list[AccountId] = []
    for index, text in enumerate(texts):
        try:
            account = parse_account(text)
        except AddressError as error:
            section.fail(f"ring[{index}]", str(error))
        if account in ring:
            section.fail(f"ring[{index}]", "the account occurs twice")
        ring.append(account)
    return tuple(ring)


def _boot_nodes(section: Section) -> tuple[str, ...]:
    addresses = section.texts("bootNodes")
    if len(addresses) > _MAX_BOOT_NODES:
        section.fail("bootNodes", f"there are {len(addresses)}, at most {_MAX_BOOT_NODES} are allowed")
    for index, address in enumerate(addresses):
        if not address.startswith("/") or not address.isprintable() or len(address) > _MAX_ADDRESS:
            section.fail(f"bootNodes[{index}]", f"{shown(address)} is no address such as /ip4/1.2.3.4/tcp/30333")
    return tuple(addresses)


def _properties(section: Section) -> Properties:
    """What wallets ask for. The format of addresses is a constant of the runtime as well."""
    default = Properties()
    ss58_format = section.integer("ss58Format", SS58_PREFIX, SS58_PREFIX, default.ss58_format)
    decimals = section.integer("tokenDecimals", 0, 255, default.token_decimals)
    symbol = section.text("tokenSymbol", default.token_symbol)
    if _SYMBOL.fullmatch(symbol) is None:
        section.fail("tokenSymbol", f"must have 1 to 12 letters and digits, not {shown(symbol)}")
    section.end()
    return Properties(ss58_format, decimals, symbol)


def _limits(section: Section, sealing: Sealing, config: Config) -> BlockLimits:
    """What a block may have. A ring whose blocks cannot carry its votes would never make anything final."""
    length = section.integer("maxBlockLengthBytes", _LEAST_LENGTH, MAX_BLOCK_LENGTH, MAX_BLOCK_LENGTH)
    one = section.integer("maxExtrinsicLengthBytes", _LEAST_LENGTH, length, min(128 << 10, length))
    milliseconds = section.integer("maxBlockWeightMs", _LEAST_WEIGHT_MS, 60_000, 2_000)
    if sealing is Sealing.RING:
        least = least_limits()
        if length < least.length:
            section.fail("maxBlockLengthBytes", _too_little(least.length, "the longest of them", length))
        if one < least.length:
            section.fail("maxExtrinsicLengthBytes", _too_little(least.length, "the longest of them", one))
        if milliseconds < least.milliseconds:
            section.fail("maxBlockWeightMs", _too_little(least.milliseconds, "the heaviest of them", milliseconds))
    # A long list that does not fit could neither be changed nor taken back. New accounts share half of a block.
    heaviest = max(heaviest_call(config, config.max_ratings_per_user), 2 * heaviest_call(config, MAX_BATCH))
    least_weight = -(-(BASE_EXTRINSIC_WEIGHT + heaviest) // MILLISECOND)
    if milliseconds < least_weight:
        which = f"a batch in a list of model.maxRatingsPerUser, {config.max_ratings_per_user}, must fit"
        section.fail("maxBlockWeightMs", f"must be at least {least_weight}, as {which}, not {milliseconds}")
    return BlockLimits(
        weight=milliseconds * MILLISECOND,
        length=length,
        extrinsic_length=one,
        new_accounts=section.integer("maxNewAccountsPerBlock", 1, MAX_U32, 128),
    )


def _too_little(least: int, which: str, value: int) -> str:
    return f"must be at least {least}, as a ring's blocks carry votes and reports and {which} must fit, not {value}"


def _consensus(section: Section) -> Rules:
    """The constants of taking part, each by default what the pallet has."""
    default = Rules()
    values = {
        name: section.integer(file_name(name), low, high, getattr(default, name))
        for name, (low, high) in RULE_LIMITS.items()
    }
    section.end()
    try:
        return Rules(**values)
    except RuleError as error:
        culprit, _, why = str(error).partition(" ")
        section.fail(file_name(culprit), why)


def _trusted(document: Section) -> BlockRef | None:
    """A block that new nodes may rely on; block 0 does not commit to it."""
    text = document.text("trusted", "")
    try:
        return read_block_name(text) if text else None
    except HexError:
        document.fail("trusted", "must be of the form NUMBER:0xHASH, of a block above 0")


def _upgrades(document: Section) -> tuple[Upgrade, ...]:
    """Versions of the runtime by ascending height. This node has one."""
    upgrades: list[Upgrade] = []
    for section in document.sections("upgrades"):
        version = section.integer("specVersion", SPEC_VERSION, SPEC_VERSION)
        upgrades.append(Upgrade(version, BlockNumber(section.integer("height", 0, MAX_U32))))
        section.end()
    if any(after.height <= before.height for before, after in pairwise(upgrades)):
        document.fail("upgrades", "the heights must ascend")
    return tuple(upgrades)
