"""Chain specifications: the shipped ones, strict parsing, whole export, and block 0."""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.chain_spec import (
    MAX_BLOCK_LENGTH,
    SHIPPED,
    ChainSpec,
    ChainType,
    SpecError,
    Upgrade,
    constants,
    genesis,
    load_spec,
    parse_spec,
    render,
)
from node.spec_types import MODEL_LIMITS, Sealing
from pallets.matrix_factorization.calls import build_calls, heaviest_call
from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.fixed_point import RatingScale
from pallets.matrix_factorization.genesis import PARAMETERS, parameters_of
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.storage import ITEM_COUNT, ITEMS
from pallets.producers.config import Config as ProducersConfig
from pallets.producers.storage import BLOCK_SLOT, RING
from pallets.timestamp.pallet import NOW
from runtime.crypto import Scheme
from runtime.executive import BASE_EXTRINSIC_WEIGHT
from runtime.header import Block, DigestKind
from runtime.interface.weights import BlockMeter
from runtime.keys import key_pair_from_uri
from runtime.primitives import ZERO_HASH, BlockNumber, BlockRef, Hash, twox_128
from runtime.scale import encode_compact
from runtime.trie import EMPTY_ROOT, StateVersion, Trie

SPECS = Path(__file__).parents[2] / "node" / "chain_specs"
ITEMS_OF_DEV = (
    "Veep",
    "Archer",
    "13 Reasons Why",
    "Space Force",
    "Game of Thrones",
    "Community",
    "Dark",
    "Snowpiercer",
    "Vikings",
    "Supernatural",
    "The Office",
    "Ozark",
    "Rick and Morty",
    "The 100",
    "Money Heist",
    "Avatar: The Last Airbender",
)
LEAST = {
    "name": "Least",
    "id": "least",
    "chainType": "Live",
    "genesis": {"timestamp": 0},
    "sealing": "interval",
    "rating": {"min": 1, "max": 5, "step": 1},
}

Document = dict[str, Any]


class Pairs:
    """A genesis state as a state to read."""

    def __init__(self, pairs: tuple[tuple[bytes, bytes], ...]) -> None:
        self._pairs = dict(pairs)

    def get(self, key: bytes) -> bytes | None:
        return self._pairs.get(key)


def document(name: str = "dev") -> Document:
    parsed: Document = json.loads(render(load_spec(name)))
    return parsed


def parse(value: object) -> ChainSpec:
    return parse_spec(json.dumps(value).encode())


def account(name: str) -> bytes:
    return key_pair_from_uri(f"//{name}", Scheme.ED25519).public


# What is shipped


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_file_is_what_is_exported(name: str) -> None:
    spec = load_spec(name)
    assert (SPECS / f"{name}.json").read_bytes() == render(spec)
    assert parse_spec(render(spec)) == spec
    assert spec.id == name


def test_nothing_but_the_shipped_chains_is_shipped() -> None:
    assert sorted(path.name for path in SPECS.iterdir()) == sorted(f"{name}.json" for name in SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_chains_have_the_model_that_was_measured(name: str) -> None:
    spec = load_spec(name)
    assert spec.matrix_factorization == Config(spec.matrix_factorization.scale, ModelParameters())


def test_dev() -> None:
    spec = load_spec("dev")
    assert spec.chain_type is ChainType.DEVELOPMENT
    assert spec.sealing is Sealing.INSTANT
    assert spec.items == ITEMS_OF_DEV
    assert spec.matrix_factorization.scale == RatingScale(-1, 1, 2)
    assert spec.rating_labels == (("-1", "dislike"), ("1", "like"))
    assert spec.limits.weight == 2 * 10**12
    assert spec.limits.new_accounts == 128


def test_local() -> None:
    spec = load_spec("local")
    assert spec.chain_type is ChainType.LOCAL
    assert spec.items == ITEMS_OF_DEV
    assert spec.ring == tuple(account(name) for name in ("Alice", "Bob", "Charlie"))
    assert spec.sealing is Sealing.RING


def test_movielens() -> None:
    spec = load_spec("movielens")
    assert spec.chain_type is ChainType.LIVE
    assert spec.items == ()
    assert spec.ring == (account("Alice"),)
    assert spec.matrix_factorization.scale == RatingScale(1, 5, 1)
    assert spec.slot_duration == 2_000
    assert spec.limits.new_accounts == 1_000


def test_halfstars() -> None:
    spec = load_spec("halfstars")
    assert spec.chain_type is ChainType.LIVE
    assert spec.matrix_factorization.scale == RatingScale(1, 9, 1)
    assert spec.rating_labels == tuple((str(rating), f"{(rating + 1) / 2:.1f}") for rating in range(1, 10))


def test_properties_are_those_that_clients_ask_for() -> None:
    assert load_spec("dev").properties.to_json() == {
        "ss58Format": 42,
        "tokenDecimals": 0,
        "tokenSymbol": "MF",
    }


# Parsing


def test_a_file_may_leave_out_what_has_a_default() -> None:
    spec = parse(LEAST)
    assert spec.matrix_factorization == Config(RatingScale(1, 5, 1))
    assert spec.slot_duration == 2_000
    assert spec.limits.length == MAX_BLOCK_LENGTH
    assert spec.limits.extrinsic_length == 131_072
    assert spec.limits.new_accounts == 128
    assert spec.matrix_factorization.max_items_per_block == 256
    assert (spec.items, spec.ring, spec.boot_nodes, spec.rating_labels, spec.upgrades) == ((), (), (), (), ())


@pytest.mark.parametrize("path", ["name", "id", "chainType", "genesis", "sealing", "rating"])
def test_a_file_must_have_what_has_no_default(path: str) -> None:
    missing = {"genesis": "genesis.timestamp", "rating": "rating.min"}.get(path, path)
    with pytest.raises(SpecError) as caught:
        parse({name: value for name, value in LEAST.items() if name != path})
    assert str(caught.value) == f"{missing}: is missing"


def test_every_limit_of_the_model_can_be_set() -> None:
    apart = {"scale", "model", "max_items_per_block"}
    assert set(MODEL_LIMITS) == {field.name for field in fields(Config)} - apart
    names = {*document()["model"]}
    assert len(names) == len(fields(ModelParameters)) + len(MODEL_LIMITS)


def test_decimals_are_read_as_written() -> None:
    text = render(load_spec("dev")).decode().replace('"amplitude": 0.02', '"amplitude": 2.9e-1')
    assert parse_spec(text.encode()).matrix_factorization.model.amplitude_ppm == 290_000


@given(st.integers(1, 2**32 - 1))
def test_every_millionth_is_exported_exactly(ppm: int) -> None:
    spec = load_spec("dev")
    model = replace(spec.matrix_factorization.model, pseudo_observations_ppm=ppm)
    changed = replace(spec, matrix_factorization=replace(spec.matrix_factorization, model=model))
    assert parse_spec(render(changed)) == changed


def change(*path: str | int, to: object) -> Callable[[Document], None]:
    def apply(value: Document) -> None:
        target: Any = value
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = to

    return apply


NO_NUMBER = 'must have 1 to 32 printable characters and be no whole number, not "5"'
ID = "must have 1 to 64 of the characters a-z, 0-9, - and _, a letter or digit first"
BAD_MEMBERS: list[tuple[Callable[[Document], None], str]] = [
    (change("genesys", to={}), "genesys: there is no such member"),
    (change("genesis", "a b", to=1), 'genesis."a b": there is no such member'),
    (change("model", "user_bias_variance", to=1), "model.user_bias_variance: there is no such member"),
    (change("rating", "maximum", to=1), "rating.maximum: there is no such member"),
    (change("limits", "maxWeight", to=1), "limits.maxWeight: there is no such member"),
    (change("properties", "isEthereum", to=True), "properties.isEthereum: there is no such member"),
    (change("consensus", "lapse", to=540), "consensus.lapse: there is no such member"),
    (change("consensus", "epochSlots", to=0), "consensus.epochSlots: must be from 1 to 1000, not 0"),
    (change("consensus", "joinAge", to=4_001), "consensus.joinAge: must be from 1 to 4000, not 4001"),
    (
        change("consensus", "leakCheckpoints", to=540),
        "consensus.lapseCheckpoints: must be less than the checkpoints of leaking",
    ),
    (
        change("consensus", "barEpochs", to=1_079),
        "consensus.barEpochs: must not be less than the checkpoints of leaking",
    ),
    (change("name", to="two\nlines"), "name: must have 1 to 128 printable characters"),
    (change("name", to=""), "name: must have 1 to 128 printable characters"),
    (change("name", to="x" * 129), "name: must have 1 to 128 printable characters"),
    (change("id", to="../dev"), f"id: {ID}"),
    (change("id", to="Dev"), f"id: {ID}"),
    (change("id", to="-dev"), f"id: {ID}"),
    (change("id", to="x" * 65), f"id: {ID}"),
    (change("chainType", to="live"), 'chainType: must be one of Development, Local, Live, not "live"'),
    (change("sealing", to="slow"), 'sealing: must be one of instant, interval, ring, not "slow"'),
    (change("sealing", to=None), "sealing: must be a text, not null"),
    (change("genesis", to=[]), "genesis: must be an object, not []"),
    (change("genesis", "timestamp", to=1.5), "genesis.timestamp: must be a whole number, not 1.5"),
    (change("genesis", "timestamp", to=True), "genesis.timestamp: must be a whole number, not true"),
    (
        change("genesis", "timestamp", to=-1),
        "genesis.timestamp: must be from 0 to 9007199254740991, not -1",
    ),
    (change("genesis", "items", to={}), "genesis.items: must be a list, not {}"),
    (change("genesis", "items", 3, to=5), "genesis.items[3]: must be a text, not 5"),
    (change("genesis", "items", 3, to="x" * 129), "genesis.items[3]: a title has 128 bytes at most"),
    (change("genesis", "items", 3, to="é" * 65), "genesis.items[3]: a title has 128 bytes at most"),
    (change("genesis", "items", 3, to="\ud800"), "genesis.items[3]: is not valid Unicode text"),
    (change("model", "maxItems", to=15), "genesis.items: there are 16, but model.maxItems is 15"),
    (
        change("genesis", "ring", to=["5FA9nQDVg267DEd8m1ZypXLBnvN7SFxYwV7ndqSYGiN9TTpv"]),
        "genesis.ring[0]: address has a wrong checksum: it is mistyped or cut",
    ),
    (
        change("genesis", "ring", to=["0x" + "11" * 32, "0x" + "11" * 32]),
        "genesis.ring[1]: the account occurs twice",
    ),
    (
        change("sealing", to="ring"),
        "genesis.ring: must name a producer, as the chain is sealed by a ring",
    ),
    (change("genesis", "ring", to=["x"] * 1_025), "genesis.ring: there are 1025, at most 1024 are allowed"),
    (change("bootNodes", to="x"), 'bootNodes: must be a list, not "x"'),
    (change("bootNodes", to=["x"]), 'bootNodes[0]: "x" is no address such as /ip4/1.2.3.4/tcp/30333'),
    (change("bootNodes", to=["/"] * 257), "bootNodes: there are 257, at most 256 are allowed"),
    (change("properties", "ss58Format", to=0), "properties.ss58Format: must be 42, not 0"),
    (
        change("properties", "tokenDecimals", to=256),
        "properties.tokenDecimals: must be from 0 to 255, not 256",
    ),
    (
        change("properties", "tokenSymbol", to="M F"),
        'properties.tokenSymbol: must have 1 to 12 letters and digits, not "M F"',
    ),
    (change("slotDurationMs", to=99), "slotDurationMs: must be from 100 to 60000, not 99"),
    (change("rating", "max", to=32_768), "rating.max: must be from -32768 to 32767, not 32768"),
    (change("rating", "step", to=0), "rating.step: must be from 1 to 32767, not 0"),
    (change("rating", "min", to=1), "rating: rating scale 1 to 1 must ascend within 32 bits"),
    (
        change("rating", to={"min": 1, "max": 10, "step": 1}),
        "rating: rating scale 1 to 10 step 1: a step is 256/9 units of 1/128, which is not whole",
    ),
    (change("rating", "labels", "0", to="meh"), "rating.labels.0: is no rating of this chain"),
    (change("rating", "labels", "01", to="like"), "rating.labels.01: is no rating of this chain"),
    (change("rating", "labels", "one", to="like"), "rating.labels.one: is no rating of this chain"),
    (change("rating", "labels", "1", to="5"), f"rating.labels.1: {NO_NUMBER}"),
    (
        change("rating", "labels", "1", to="dislike"),
        'rating.labels.1: another rating is called "dislike" too',
    ),
    (change("rating", "labels", "1", to=1), "rating.labels.1: must be a text, not 1"),
    (change("model", "amplitude", to="0.02"), 'model.amplitude: must be a number, not "0.02"'),
    (change("model", "amplitude", to=None), "model.amplitude: must be a number, not null"),
    (change("model", "amplitude", to=1e-07), "model.amplitude: must have 6 decimals at most, not 1E-7"),
    (change("model", "amplitude", to=-0.1), "model.amplitude: must be from 0 to 4294.967295, not -0.1"),
    (change("model", "amplitude", to=5_000), "model.amplitude: must be from 0 to 4294.967295, not 5000"),
    (
        change("model", "amplitude", to=1.5),
        "model.amplitude: must be between 0 and 1000000, not 1500000 millionths",
    ),
    (
        change("model", "initialPrecision", to=17),
        "model.initialPrecision: must be between 500000 and 16000000, not 17000000 millionths",
    ),
    (change("model", "dimension", to=17), "model.dimension: must be between 1 and 16, not 17"),
    (change("model", "sweeps", to=65), "model.sweeps: must be between 1 and 64, not 65"),
    (change("model", "entityWork", to=1_025), "model.entityWork: must be from 0 to 1024, not 1025"),
    (change("model", "dimension", to=8.0), "model.dimension: must be a whole number, not 8.0"),
    (change("model", "quietBlocks", to=0), "model.quietBlocks: must be from 1 to 4294967295, not 0"),
    (
        change("model", "maxRatingsPerUser", to=32_769),
        "model.maxRatingsPerUser: must be from 1 to 32768, not 32769",
    ),
    (
        change("model", "ratingsPerDelayBlock", to=0),
        "model.ratingsPerDelayBlock: must be from 1 to 4294967295, not 0",
    ),
    (
        change("limits", "maxBlockLengthBytes", to=5 << 20),
        f"limits.maxBlockLengthBytes: must be from 8192 to {MAX_BLOCK_LENGTH}, not 5242880",
    ),
    (
        change("limits", "maxBlockLengthBytes", to=100_000),
        "limits.maxExtrinsicLengthBytes: must be from 8192 to 100000, not 131072",
    ),
    (
        change("limits", "maxBlockWeightMs", to=49),
        "limits.maxBlockWeightMs: must be from 50 to 60000, not 49",
    ),
    (
        change("limits", "maxNewAccountsPerBlock", to=0),
        "limits.maxNewAccountsPerBlock: must be from 1 to 4294967295, not 0",
    ),
    (
        change("limits", "maxItemsPerBlock", to=0),
        "limits.maxItemsPerBlock: must be from 1 to 4294967295, not 0",
    ),
    (change("trusted", to="5"), "trusted: must be of the form NUMBER:0xHASH, of a block above 0"),
    (change("trusted", to="0:0x" + "ab" * 32), "trusted: must be of the form NUMBER:0xHASH, of a block above 0"),
    (change("upgrades", to=[5]), "upgrades[0]: must be an object, not 5"),
    (
        change("upgrades", to=[{"specVersion": 101, "height": 1}]),
        "upgrades[0].specVersion: must be 100, not 101",
    ),
    (
        change("upgrades", to=[{"specVersion": 100, "height": 1, "at": 1}]),
        "upgrades[0].at: there is no such member",
    ),
    (
        change("upgrades", to=[{"specVersion": 100, "height": 9}, {"specVersion": 100, "height": 9}]),
        "upgrades: the heights must ascend",
    ),
]


@pytest.mark.parametrize(("apply", "message"), BAD_MEMBERS, ids=[message for _, message in BAD_MEMBERS])
def test_a_bad_member_is_named(apply: Callable[[Document], None], message: str) -> None:
    value = document()
    apply(value)
    with pytest.raises(SpecError) as caught:
        parse(value)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not JSON: Expecting value (line 1, column 1)"),
        (b'{"name": }', "not JSON: Expecting value (line 1, column 10)"),
        (b"[]", "the document: must be an object, not []"),
        (b"\xff", "not UTF-8 text (at byte 0)"),
        (b'{"name": NaN}', "not JSON: NaN is no number of JSON"),
        (b'{"name": -Infinity}', "not JSON: -Infinity is no number of JSON"),
        (b'{"a": {"b": 1, "b": 2}}', 'the member "b" occurs twice in one object'),
        (b'{"a": 1e99999999999999999999}', "a number in it is out of every range"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "a number in it is out of every range"),
        (b'{"a": ' + b"[" * 100_000, "not JSON of ours: it is nested too deep"),
        (
            b'{"rating": {"min": ' + b"9" * 1_000 + b"}}",
            "rating.min: must be from -32768 to 32767, not a number with too many digits",
        ),
        (
            b'{"rating": {"min": "' + b"9" * 1_000 + b'"}}',
            f'rating.min: must be a whole number, not "{"9" * 36}...',
        ),
        (
            b'{"model": {"amplitude": 1e999999999}, "rating": {"min": 1, "max": 5, "step": 1}}',
            "model.amplitude: must be from 0 to 4294.967295, not 1E+999999999",
        ),
        (b" " * ((64 << 20) + 1), "a chain spec has 67108864 bytes at most"),
    ],
    ids=lambda value: value[:30].decode(errors="replace") if isinstance(value, bytes) else "",
)
def test_what_is_no_document_of_ours_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(data)
    assert str(caught.value) == message


def spec_or_reason(value: object) -> ChainSpec | str:
    try:
        return parse(value)
    except SpecError as error:
        return str(error)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
PATHS = sorted(
    [(name,) for name in document()]
    + [(name, inner) for name, value in document().items() if isinstance(value, dict) for inner in value]
)


@given(st.sampled_from(PATHS), JSON)
def test_whatever_stands_for_a_member_gives_a_spec_or_a_reason(path: tuple[str, ...], value: object) -> None:
    changed = document()
    change(*path, to=value)(changed)
    outcome = spec_or_reason(changed)
    if isinstance(outcome, str):
        assert len(outcome.splitlines()) == 1
    else:
        assert parse_spec(render(outcome)) == outcome


@given(st.binary(max_size=64))
def test_no_bytes_make_the_parser_fail_otherwise(data: bytes) -> None:
    with pytest.raises(SpecError):
        parse_spec(data)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """A valid document with everything set that can be."""
    low = draw(st.integers(-32_768, 32_000))
    accounts = st.binary(min_size=32, max_size=32).map(lambda data: "0x" + data.hex())
    heights = draw(st.lists(st.integers(0, 2**32 - 1), max_size=3, unique=True))
    labels = draw(st.lists(st.sampled_from(["bad", "fair", "good", "1.5", "★"]), unique=True, max_size=3))
    sealing = draw(st.sampled_from(Sealing))
    shortest, lightest = (32_783, 61) if sealing is Sealing.RING else (8_192, 50)
    length = draw(st.integers(shortest, MAX_BLOCK_LENGTH))
    titles = st.text(st.characters(exclude_categories=["Cs"]), max_size=32)
    return {
        "name": draw(st.text(st.sampled_from("aé b-"), min_size=1, max_size=128)),
        "id": draw(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,63}", fullmatch=True)),
        "chainType": draw(st.sampled_from([kind.value for kind in ChainType])),
        "genesis": {
            "timestamp": draw(st.integers(0, 2**53 - 1)),
            "items": draw(st.lists(titles, max_size=4)),
            "ring": draw(st.lists(accounts, min_size=sealing is Sealing.RING, max_size=3, unique=True)),
        },
        "bootNodes": draw(st.lists(st.just("/ip4/192.0.2.1/tcp/30333"), max_size=2)),
        "properties": {"ss58Format": 42, "tokenDecimals": draw(st.integers(0, 255)), "tokenSymbol": "UNIT"},
        "sealing": sealing.value,
        "slotDurationMs": draw(st.integers(100, 60_000)),
        "rating": {
            "min": low,
            "max": low + 4,
            "step": 1,
            "labels": {str(low + offset): label for offset, label in enumerate(labels)},
        },
        "model": {
            "dimension": draw(st.integers(1, 8)),
            "maxRatingsPerUser": draw(st.integers(1, 1_000)),
            "amplitude": draw(st.integers(0, 10**6)) / 10**6,
            "maxItems": draw(st.integers(4, 2**32 - 1)),
            "itemCommitsPerBlock": draw(st.integers(0, 2**32 - 1)),
        },
        "consensus": {"epochSlots": draw(st.integers(1, 1_000)), "joinWork": draw(st.integers(1, 2**62))},
        "limits": {
            "maxBlockWeightMs": draw(st.integers(lightest, 60_000)),
            "maxBlockLengthBytes": length,
            "maxExtrinsicLengthBytes": draw(st.integers(shortest, length)),
            "maxNewAccountsPerBlock": draw(st.integers(1, 2**32 - 1)),
            "maxItemsPerBlock": draw(st.integers(1, 2**32 - 1)),
        },
        "upgrades": [{"specVersion": 100, "height": height} for height in sorted(heights)],
    }


@given(documents())
def test_an_exported_spec_is_the_spec(value: Document) -> None:
    spec = parse(value)
    exported = render(spec)
    assert parse_spec(exported) == spec
    whole = json.loads(exported)
    assert {name: whole[name] for name in ("name", "id", "slotDurationMs", "limits", "upgrades", "rating")} == {
        name: value[name] for name in ("name", "id", "slotDurationMs", "limits", "upgrades", "rating")
    }


# Loading


def test_a_spec_is_loaded_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(LEAST))
    assert load_spec(str(path)) == parse(LEAST)


def test_a_chain_that_is_neither_shipped_nor_a_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(f"{tmp_path}/none")
    assert str(caught.value) == (
        f"there is no chain {tmp_path}/none: name one of dev, local, movielens, halfstars, or a file"
    )


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(str(tmp_path))
    assert str(caught.value) == f"the chain spec {tmp_path} cannot be read: Is a directory"
    with pytest.raises(SpecError) as caught:
        load_spec("a\0b")
    assert str(caught.value) == "the chain spec a\0b cannot be read: embedded null byte"


def test_a_bad_file_is_named_with_its_fault(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(LEAST | {"id": "A"}))
    with pytest.raises(SpecError) as caught:
        load_spec(str(path))
    assert str(caught.value) == f"the chain spec {path}: id: {ID}"


# Block 0


def test_the_runtime_takes_its_constants_from_the_spec() -> None:
    spec = load_spec("movielens")
    taken = constants(spec)
    assert taken.genesis_time == spec.genesis_time
    assert taken.minimum_period == 1
    assert taken.items == ()
    assert taken.limits == spec.limits
    assert taken.matrix_factorization == spec.matrix_factorization
    assert constants(replace(spec, sealing=Sealing.INTERVAL)).producers == ProducersConfig(2_000)
    assert constants(replace(spec, sealing=Sealing.RING)).producers == ProducersConfig(2_000, (account("Alice"),))


@pytest.mark.parametrize("name", SHIPPED)
def test_block_0_commits_to_its_state(name: str) -> None:
    spec = load_spec(name)
    first = genesis(spec)
    header, state, runtime = first
    assert list(state) == sorted(state)
    assert header.state_root == Trie.from_items(state, StateVersion.V1).root()
    assert (header.parent_hash, header.number, header.extrinsics_root) == (ZERO_HASH, 0, EMPTY_ROOT)
    assert runtime.limits == spec.limits
    reader = Pairs(state)
    assert NOW.get(reader) == spec.genesis_time
    assert PARAMETERS.get(reader) == parameters_of(spec.matrix_factorization)
    assert ITEM_COUNT.get(reader) == len(spec.items)
    assert [ITEMS.find(reader, item).title for item in range(len(spec.items))] == list(spec.items)
    assert genesis(spec).header.hash() == header.hash()


def test_shipped_chains_are_different_chains() -> None:
    assert len({genesis(load_spec(name)).header.hash() for name in SHIPPED}) == len(SHIPPED)


@pytest.mark.parametrize(
    "apply",
    [
        change("id", to="other"),
        change("genesis", "timestamp", to=1),
        change("genesis", "items", 0, to="other"),
        change("genesis", "ring", to=["0x" + "11" * 32]),
        change("slotDurationMs", to=1_000),
        change("rating", to={"min": 0, "max": 1, "step": 1}),
        change("model", "amplitude", to=0.03),
        change("model", "quietBlocks", to=11),
        change("limits", "maxBlockWeightMs", to=1_000),
        change("limits", "maxBlockLengthBytes", to=1_000_000),
        change("limits", "maxExtrinsicLengthBytes", to=10_000),
        change("limits", "maxNewAccountsPerBlock", to=1),
        change("limits", "maxItemsPerBlock", to=1),
        change("upgrades", to=[{"specVersion": 100, "height": 1}]),
    ],
)
def test_other_rules_are_another_chain(apply: Callable[[Document], None]) -> None:
    value = document()
    apply(value)
    assert genesis(parse(value)).header.hash() != genesis(load_spec("dev")).header.hash()


@pytest.mark.parametrize(
    "apply",
    [
        change("name", to="other"),
        change("chainType", to="Live"),
        change("bootNodes", to=["/ip4/192.0.2.1/tcp/30333"]),
        change("properties", "tokenSymbol", to="X"),
        change("sealing", to="interval"),
        change("rating", "labels", to={}),
    ],
)
def test_what_decides_about_no_block_is_not_committed_to(apply: Callable[[Document], None]) -> None:
    value = document()
    apply(value)
    assert genesis(parse(value)).header == genesis(load_spec("dev")).header


def test_a_ring_is_a_rule_of_its_own() -> None:
    value = document("local")
    pairs = []
    for sealing in ("instant", "interval", "ring"):
        value["sealing"] = sealing
        pairs.append(genesis(parse(value)))
    instant, interval, ring = pairs
    assert instant.header == interval.header != ring.header
    others, ours = Pairs(interval.state), Pairs(ring.state)
    assert (RING.find(others), BLOCK_SLOT.find(others)) == (None, None), "the ring in the file is of no consequence"
    assert RING.find(ours) == tuple(account(name) for name in ("Alice", "Bob", "Charlie"))
    assert BLOCK_SLOT.find(ours) == 1_735_689_600_000 // 2_000
    pallets = {key[:16] for key, _ in ring.state if others.get(key) is None}
    assert pallets == {twox_128(b"Producers"), twox_128(b"Finality")}
    assert not [key for key, _ in interval.state if key[:16] in pallets]


def test_rules_that_the_state_does_not_say_are_in_the_digest() -> None:
    (item,) = genesis(load_spec("dev")).header.digest
    assert item.kind is DigestKind.OTHER
    assert len(item.payload) == 32


# Bounds that belong together


def test_the_largest_call_of_a_new_account_fits_the_smallest_block() -> None:
    small = {"model": {"maxRatingsPerUser": 256}, "limits": {"maxBlockWeightMs": 50, "maxExtrinsicLengthBytes": 8_192}}
    limits = parse(LEAST | small).limits
    batch = next(call for call in build_calls(Config(RatingScale(-1, 1, 2))) if call.name == "submit_ratings")
    weight = BASE_EXTRINSIC_WEIGHT + batch.weight([(0, 1)] * 256)
    BlockMeter(limits).check(weight=weight, length=limits.extrinsic_length, is_new=True)


@pytest.mark.parametrize(
    ("model", "least"),
    [({}, 520), ({"maxRatingsPerUser": 1_000}, 29), ({"maxRatingsPerUser": 20_000}, 322), ({"dimension": 16}, 2_353)],
)
def test_a_batch_in_the_longest_list_must_fit_a_block(model: Document, least: int) -> None:
    spec = LEAST | {"model": model, "limits": {"maxBlockWeightMs": max(least, 50)}}
    chain = parse(spec)
    assert chain.limits.weight >= heaviest_call(
        chain.matrix_factorization, chain.matrix_factorization.max_ratings_per_user
    )
    if least <= 50:
        return
    most = chain.matrix_factorization.max_ratings_per_user
    with pytest.raises(SpecError) as caught:
        parse(spec | {"limits": {"maxBlockWeightMs": least - 1}})
    assert str(caught.value) == (
        f"limits.maxBlockWeightMs: must be at least {least}, "
        f"as a batch in a list of model.maxRatingsPerUser, {most}, must fit, not {least - 1}"
    )


RING_NEEDS = "as a ring's blocks carry votes and reports and the"


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (
            change("limits", "maxExtrinsicLengthBytes", to=32_782),
            f"limits.maxExtrinsicLengthBytes: must be at least 32783, {RING_NEEDS} longest of them must fit, not 32782",
        ),
        (
            change("limits", to={"maxBlockLengthBytes": 10_000}),
            f"limits.maxBlockLengthBytes: must be at least 32783, {RING_NEEDS} longest of them must fit, not 10000",
        ),
        (
            change("limits", "maxBlockWeightMs", to=50),
            f"limits.maxBlockWeightMs: must be at least 61, {RING_NEEDS} heaviest of them must fit, not 50",
        ),
    ],
)
def test_a_ring_whose_blocks_could_not_carry_votes_is_refused(apply: Callable[[Document], None], message: str) -> None:
    value = document("local")
    value["model"]["maxRatingsPerUser"] = 1_000
    apply(value)
    with pytest.raises(SpecError) as caught:
        parse(value)
    assert str(caught.value) == message
    assert parse(value | {"sealing": "interval"}).sealing is Sealing.INTERVAL, "nobody votes there"


def test_a_ring_may_have_blocks_that_just_carry_votes() -> None:
    value = document("local")
    value["model"]["maxRatingsPerUser"] = 1_000
    value["limits"] |= {"maxBlockLengthBytes": 32_783, "maxExtrinsicLengthBytes": 32_783, "maxBlockWeightMs": 61}
    assert parse(value).limits.extrinsic_length == 32_783


def test_the_longest_block_can_be_decoded() -> None:
    room = MAX_BLOCK_LENGTH - 4
    raw = encode_compact(room) + bytes(room)
    inherents = tuple(encode_compact(n) + bytes(n) for n in (11, 60_000))
    header = replace(genesis(load_spec("dev")).header, number=BlockNumber(1))
    block = Block(header, (*inherents, raw))
    assert len(raw) == MAX_BLOCK_LENGTH
    assert Block.decode(block.encode()) == block


def test_upgrades_are_kept() -> None:
    upgrades = [{"specVersion": 100, "height": 0}, {"specVersion": 100, "height": 7}]
    assert parse(LEAST | {"upgrades": upgrades}).upgrades == (
        Upgrade(100, BlockNumber(0)),
        Upgrade(100, BlockNumber(7)),
    )


def test_a_trusted_block_is_read_and_written_and_changes_nothing_else() -> None:
    document = json.loads(render(load_spec("local")))
    assert "trusted" not in document
    spec = parse_spec(json.dumps(document | {"trusted": "1200:0x" + "ab" * 32}).encode())
    assert spec.trusted == BlockRef(BlockNumber(1200), Hash(b"\xab" * 32))
    assert parse_spec(render(spec)) == spec
    assert genesis(spec).header == genesis(load_spec("local")).header
