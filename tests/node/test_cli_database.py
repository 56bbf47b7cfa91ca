"""The subcommands that work on the database of a stopped node."""

import io
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.chain import Chain
from node.chain_spec import ChainSpec, genesis, load_spec, render
from node.commands.block_stream import MAX_BLOCK, StreamError, read_blocks, write_block
from node.config import database_path
from node.keystore import Keystore
from runtime.crypto import Scheme
from runtime.extrinsic import IMMORTAL, sign_extrinsic
from runtime.header import Block, DigestItem, DigestKind, Header
from runtime.keys import key_pair_from_uri
from runtime.primitives import ZERO_HASH, BlockNumber, Nonce, from_hex, to_hex
from runtime.scale import I64, U64
from runtime.trie import StateVersion, Trie
from storage.columns import body_key
from storage.leveldb import LevelDbStore
from tests.support.node_command import Cli, Ended, command_line, failed

pytestmark = pytest.mark.full

ALICE = key_pair_from_uri("//Alice", Scheme.ED25519)
SUBMIT_RATING = bytes((8, 0))
LENGTH = 5
"""Blocks of a test chain; in each Alice rates one more item."""
ON_DATABASES = [
    ("chain-info",),
    ("export-blocks", "-"),
    ("check-block", "1"),
    ("export-state",),
    ("revert", "1"),
    ("compact",),
]
"""Commands that need a database, and nobody else to use it."""


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return command_line(capsys)


def grow(
    base: Path, spec: ChainSpec, length: int = LENGTH, pruning: int | None = 256, bodies: int | None = None
) -> list[Block]:
    """Make the database of a chain with so many blocks; return them."""
    first = genesis(spec).header.hash()
    store = LevelDbStore(database_path(base, spec))
    blocks = []
    try:
        chain = Chain.open(spec, store, state_pruning=pruning, blocks_pruning=bodies)
        version = chain.runtime.version
        for nonce in range(length):
            call = SUBMIT_RATING + U64.encode(nonce) + I64.encode(1)
            versions = (version.spec_version, version.transaction_version)
            raw = sign_extrinsic(ALICE, call, IMMORTAL, Nonce(nonce), *versions, first, first)
            valid = chain.validator().validate(chain.runtime.prepare(raw))
            built = chain.build([valid], chain.consensus.template(ALICE, spec.genesis_time + 1_000 * (nonce + 1)))
            assert built.refused == ()
            blocks.append(built.head.block)
    finally:
        store.close()
    return blocks


@pytest.fixture
def dev() -> ChainSpec:
    return load_spec("dev")


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Block]]:
    """A chain that no test may touch."""
    base = tmp_path_factory.mktemp("grown")
    return base, grow(base, load_spec("dev"))


@pytest.fixture
def blocks(tmp_path: Path, grown: tuple[Path, list[Block]]) -> list[Block]:
    """A copy of that chain in the directory `here`."""
    shutil.copytree(grown[0], tmp_path / "here")
    return grown[1]


def where(path: Path) -> tuple[object, ...]:
    return ("--dev", "--base-path", path)


def info(cli: Cli, path: Path) -> dict[str, object]:
    shown = cli("chain-info", "--json", *where(path))
    assert (shown.code, shown.err) == (0, "")
    facts: dict[str, object] = json.loads(shown.out)
    return facts


def ref(block: Block) -> dict[str, object]:
    return {"number": block.header.number, "hash": to_hex(block.header.hash())}


def head_of(cli: Cli, path: Path) -> object:
    return info(cli, path)["best"]


# chain-info


def test_chain_info(cli: Cli, blocks: list[Block], dev: ChainSpec, tmp_path: Path) -> None:
    first = to_hex(genesis(dev).header.hash())
    assert info(cli, tmp_path / "here") == {
        "name": "mfchain Development",
        "id": "dev",
        "database": str(tmp_path / "here" / "chains" / "dev" / "db"),
        "statePruning": 256,
        "firstBody": 1,
        "genesis": first,
        "best": ref(blocks[-1]),
        "finalized": ref(blocks[-1]),
        "items": 16,
        "users": 1,
        "ratings": LENGTH,
        "canonical": True,
    }
    head = f"block 5 ({to_hex(blocks[-1].header.hash())})"
    assert cli("chain-info", *where(tmp_path / "here")) == Ended(
        0,
        "chain           mfchain Development\n"
        "id              dev\n"
        f"database        {tmp_path}/here/chains/dev/db\n"
        "state pruning   256\n"
        "bodies from     1\n"
        f"genesis         {first}\n"
        f"best            {head}\n"
        f"finalized       {head}\n"
        "items           16\n"
        "users           1\n"
        "ratings         5\n"
        "model at rest   yes\n",
        "",
    )


def test_chain_info_leaves_an_archive_an_archive(cli: Cli, dev: ChainSpec, tmp_path: Path) -> None:
    grow(tmp_path, dev, pruning=None)
    assert info(cli, tmp_path)["statePruning"] == "archive"
    assert info(cli, tmp_path)["statePruning"] == "archive"


def test_where_there_is_a_database_of_another_chain_it_is_named(cli: Cli, blocks: list[Block], tmp_path: Path) -> None:
    here = tmp_path / "here"
    path = here / "chains" / "local" / "db"
    hint = "there is one of dev, see --chain"
    told = f"there is no database of the chain local in {path}; {hint}"
    assert cli("chain-info", "--base-path", here) == failed(1, told)


@pytest.mark.parametrize("command", ON_DATABASES)
def test_there_must_be_a_database(cli: Cli, command: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "chains" / "dev" / "db"
    assert cli(*command, *where(tmp_path)) == failed(1, f"there is no database of the chain dev in {path}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [*ON_DATABASES, ("import-blocks", "-"), ("purge-chain", "-y")])
@pytest.mark.usefixtures("blocks")
def test_no_node_may_be_running(cli: Cli, command: tuple[str, ...], dev: ChainSpec, tmp_path: Path) -> None:
    path = database_path(tmp_path / "here", dev)
    store = LevelDbStore(path)
    try:
        ended = cli(*command, *where(tmp_path / "here"))
    finally:
        store.close()
    assert ended == failed(3, f"the database in {path} is in use by another process")
    assert head_of(cli, tmp_path / "here") is not None


@pytest.mark.parametrize("command", [*ON_DATABASES, ("import-blocks", "-")])
@pytest.mark.usefixtures("blocks")
def test_a_database_of_another_chain_is_refused(
    cli: Cli, command: tuple[str, ...], dev: ChainSpec, tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    other.write_bytes(render(dev).replace(b'"Veep"', b'"Veeps"'))
    ended = cli(*command, "--chain", other, "--base-path", tmp_path / "here")
    ours, theirs = (genesis(load_spec(name)).header.hash() for name in ("dev", str(other)))
    assert ended == failed(3, f"the database is of the chain with genesis block {to_hex(ours)}, not {to_hex(theirs)}")


def test_a_damaged_database_is_refused(cli: Cli, blocks: list[Block], dev: ChainSpec, tmp_path: Path) -> None:
    (database_path(tmp_path / "here", dev) / "CURRENT").write_text("nonsense\n")
    ended = cli("chain-info", *where(tmp_path / "here"))
    assert (ended.code, ended.out) == (3, "")
    assert len(ended.err.splitlines()) == 1
    assert ended.err.startswith("mfchain-node: the database in ")


# export-blocks, import-blocks


def test_exported_blocks_can_be_imported(cli: Cli, blocks: list[Block], tmp_path: Path) -> None:
    file = tmp_path / "blocks"
    assert cli("export-blocks", file, *where(tmp_path / "here")) == Ended(0, "", "exported 5 blocks\n")
    assert file.read_bytes() == b"".join(
        len(data).to_bytes(4, "little") + data for data in (block.encode() for block in blocks)
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blocks", "here"]
    there = tmp_path / "there"
    assert cli("import-blocks", file, *where(there)) == Ended(0, "", "imported 5 blocks: the best block is 5\n")
    here = info(cli, tmp_path / "here")
    assert info(cli, there) == here | {"database": str(there / "chains" / "dev" / "db")}


def test_blocks_that_are_there_are_passed_over(cli: Cli, blocks: list[Block], tmp_path: Path) -> None:
    file, there = tmp_path / "blocks", tmp_path / "there"
    assert cli("export-blocks", file, "--to", 2, *where(tmp_path / "here")).err == "exported 2 blocks\n"
    assert cli("import-blocks", file, *where(there)).err == "imported 2 blocks: the best block is 2\n"
    assert cli("import-blocks", file, *where(there)).err == "imported 0 blocks: the best block is 2\n"
    assert cli("export-blocks", file, "--from", 0, "--to", 3, *where(tmp_path / "here")).err == "exported 4 blocks\n"
    assert cli("import-blocks", file, *where(there)).err == "imported 1 block: the best block is 3\n"
    assert head_of(cli, there) == ref(blocks[2])


class Binary:
    """A standard stream over bytes."""

    def __init__(self, data: bytes = b"") -> None:
        self.buffer = io.BytesIO(data)


def test_standard_streams(cli: Cli, blocks: list[Block], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        out = Binary()
        patched.setattr(sys, "stdout", out)
        assert cli("export-blocks", "-", *where(tmp_path / "here")).code == 0
    data = out.buffer.getvalue()
    assert list(read_blocks(io.BytesIO(data))) == blocks
    monkeypatch.setattr(sys, "stdin", Binary(data))
    assert cli("import-blocks", "-", *where(tmp_path / "there")).code == 0
    assert head_of(cli, tmp_path / "there") == ref(blocks[-1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--to", 6), "--to: the best block is 5"),
        (("--from", 7), "--from: the last block to write is 5"),
        (("--from", 3, "--to", 1), "--from: the last block to write is 1"),
    ],
)
@pytest.mark.usefixtures("blocks")
def test_blocks_that_are_not_there(cli: Cli, options: tuple[object, ...], message: str, tmp_path: Path) -> None:
    assert cli("export-blocks", tmp_path / "blocks", *options, *where(tmp_path / "here")) == failed(2, message)
    assert not (tmp_path / "blocks").exists()


@pytest.mark.usefixtures("blocks")
def test_files_that_cannot_be_used(cli: Cli, tmp_path: Path) -> None:
    none = tmp_path / "none" / "blocks"
    assert cli("export-blocks", none, *where(tmp_path / "here")) == failed(
        1, f"the file {none} cannot be written: No such file or directory"
    )
    assert cli("import-blocks", none, *where(tmp_path / "there")) == failed(
        1, f"the file {none} cannot be read: No such file or directory"
    )
    assert cli("import-blocks", tmp_path, *where(tmp_path / "there")) == failed(
        1, f"the file {tmp_path} cannot be read: Is a directory"
    )
    assert not (tmp_path / "there").exists()


def test_a_block_that_is_lost(cli: Cli, blocks: list[Block], dev: ChainSpec, tmp_path: Path) -> None:
    store = LevelDbStore(database_path(tmp_path / "here", dev))
    store.write([(body_key(blocks[2].header.hash()), None)], sync=True)
    store.close()
    assert cli("export-blocks", tmp_path / "blocks", *where(tmp_path / "here")) == failed(
        3, "the database is damaged: block 3 is missing"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


class Broken(io.BytesIO):
    """A stream that fails, in whatever way, after what it holds."""

    def __init__(self, data: bytes, fail: Callable[[], None]) -> None:
        super().__init__(data)
        self._fail = fail

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if not data:
            self._fail()
        return data


def fail_to_read() -> None:
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize(
    ("fail", "message"),
    [
        (fail_to_read, "the file - cannot be read: Input/output error"),
        (lambda: signal.raise_signal(signal.SIGINT), "interrupted"),
    ],
)
def test_an_import_that_breaks_off_can_go_on(
    cli: Cli,
    blocks: list[Block],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fail: Callable[[], None],
    message: str,
) -> None:
    there = tmp_path / "there"
    file = write(tmp_path / "blocks", *blocks[:2])
    stream = Binary()
    stream.buffer = Broken(file.read_bytes(), fail)
    monkeypatch.setattr(sys, "stdin", stream)
    assert cli("import-blocks", "-", *where(there)) == failed(1, message)
    assert head_of(cli, there) == ref(blocks[1])
    file = write(tmp_path / "blocks", *blocks)
    assert cli("import-blocks", file, *where(there)).err == "imported 3 blocks: the best block is 5\n"


def write(path: Path, *blocks: Block, tail: bytes = b"") -> Path:
    with path.open("wb") as file:
        for block in blocks:
            write_block(file, block)
        file.write(tail)
    return path


def test_a_cut_file_keeps_what_came_before(cli: Cli, blocks: list[Block], tmp_path: Path) -> None:
    there = tmp_path / "there"
    file = write(tmp_path / "blocks", *blocks[:2], tail=b"\xff\x00\x00\x00abc")
    offset = file.stat().st_size - 7
    assert cli("import-blocks", file, *where(there)) == failed(
        1,
        f"{file}: the file is cut: the block at byte {offset} has 255 bytes, 3 are there; 2 blocks came before it",
    )
    assert head_of(cli, there) == ref(blocks[1])


def test_a_gap_in_a_file(cli: Cli, blocks: list[Block], tmp_path: Path) -> None:
    file = write(tmp_path / "blocks", blocks[0], blocks[2])
    assert cli("import-blocks", file, *where(tmp_path / "there")) == failed(
        1, "block 3 does not follow the best block, which is 1"
    )


def test_blocks_of_another_history(cli: Cli, blocks: list[Block], dev: ChainSpec, tmp_path: Path) -> None:
    first = Header(ZERO_HASH, BlockNumber(1), ZERO_HASH, ZERO_HASH)
    file = write(tmp_path / "blocks", Block(first, ()))
    assert cli("import-blocks", file, *where(tmp_path / "here")) == failed(
        1, "block 1 is not the block 1 of this chain"
    )
    assert head_of(cli, tmp_path / "here") == ref(blocks[-1])


def test_a_block_that_breaks_a_rule(cli: Cli, blocks: list[Block], tmp_path: Path) -> None:
    good = blocks[1].header
    bad = Header(good.parent_hash, good.number, ZERO_HASH, good.extrinsics_root, good.digest)
    file = write(tmp_path / "blocks", blocks[0], Block(bad, blocks[1].extrinsics))
    there = tmp_path / "there"
    assert cli("import-blocks", file, *where(there)) == failed(
        1,
        "block 2 is not valid: StateRootMismatch: execution gives "
        f"{good.state_root.hex()}, the header says {ZERO_HASH.hex()}",
    )
    assert head_of(cli, there) == ref(blocks[0])


def test_the_pruning_of_an_import(cli: Cli, blocks: list[Block], tmp_path: Path) -> None:
    file, there = write(tmp_path / "blocks", *blocks), tmp_path / "there"
    assert cli("import-blocks", file, "--state-pruning", "archive", *where(there)).code == 0
    assert info(cli, there)["statePruning"] == "archive"
    assert cli("import-blocks", file, *where(there)).code == 0
    assert info(cli, there)["statePruning"] == "archive"
    assert cli("import-blocks", file, "--state-pruning", "9", *where(there)) == failed(
        3, "the database is an archive, and cannot keep only the last 9 states"
    )
    assert cli("import-blocks", file, "--state-pruning", "x", *where(there)) == failed(
        2, "--state-pruning: must be archive or a number from 1 to 4294967295, not 'x'"
    )


def test_the_largest_header_and_body_fit_a_record() -> None:
    item = DigestItem(DigestKind.SEAL, b"rrbn", bytes(1 << 16))
    header = Header(ZERO_HASH, BlockNumber(2**32 - 1), ZERO_HASH, ZERO_HASH, (item,) * 32)
    body = 5 << 20
    assert len(header.encode()) + body <= MAX_BLOCK


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x01", "the file is cut: it ends within the length of the block at byte 0"),
        (b"\xff\xff\xff\xff", f"the block at byte 0 has 4294967295 bytes, at most {MAX_BLOCK} are allowed"),
        (b"\x01\x00\x00\x00x", "what stands at byte 0 is no block: parent hash at offset 0 needs 32 bytes, 1 are left"),
    ],
)
def test_what_is_no_file_of_blocks(data: bytes, message: str) -> None:
    with pytest.raises(StreamError) as caught:
        list(read_blocks(io.BytesIO(data)))
    assert str(caught.value) == message


@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_fail_otherwise(data: bytes) -> None:
    try:
        read = list(read_blocks(io.BytesIO(data)))
    except StreamError:
        return
    stream = io.BytesIO()
    for block in read:
        write_block(stream, block)
    assert stream.getvalue() == data


# check-block


def test_a_block_is_executed_again(cli: Cli, blocks: list[Block], dev: ChainSpec, tmp_path: Path) -> None:
    here = tmp_path / "here"
    before = content(here, dev)
    for number, block in enumerate(blocks, start=1):
        name, root = to_hex(block.header.hash()), to_hex(block.header.state_root)
        told = f"block {number} ({name}) is valid: state root {root}\n2 extrinsics, of which 0 failed, in "
        for argument in (number, name):
            ended = cli("check-block", argument, *where(here))
            assert (ended.code, ended.err, ended.out[: len(told)]) == (0, "", told)
            assert re.fullmatch(r"[0-9]+ ms\n", ended.out[len(told) :])
    assert content(here, dev) == before


def content(base: Path, spec: ChainSpec) -> list[tuple[bytes, bytes]]:
    """Everything that a chain's database holds."""
    store = LevelDbStore(database_path(base, spec))
    try:
        return list(store.items(b""))
    finally:
        store.close()


def test_calls_that_fail_are_counted(cli: Cli, dev: ChainSpec, tmp_path: Path) -> None:
    grow(tmp_path, dev, length=len(dev.items) + 1)
    ended = cli("check-block", len(dev.items) + 1, *where(tmp_path))
    assert ended.code == 0
    assert "\n2 extrinsics, of which 1 failed, in " in ended.out


def test_a_block_with_another_outcome(cli: Cli, blocks: list[Block], dev: ChainSpec, tmp_path: Path) -> None:
    good, store = blocks[2], LevelDbStore(database_path(tmp_path / "here", dev))
    store.write([(body_key(good.header.hash()), read_body_of(blocks[1], store))], sync=True)
    store.close()
    ended = cli("check-block", 3, *where(tmp_path / "here"))
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("mfchain-node: block 3 is not valid: ExtrinsicsRootMismatch: ")


def read_body_of(block: Block, store: LevelDbStore) -> bytes:
    data = store.get(body_key(block.header.hash()))
    assert data is not None
    return data


def test_what_cannot_be_executed_again(cli: Cli, dev: ChainSpec, tmp_path: Path) -> None:
    blocks = grow(tmp_path, dev, pruning=2)
    assert cli("check-block", 4, *where(tmp_path)).code == 0
    parent = f"block 2 ({to_hex(blocks[1].header.hash())})"
    assert cli("check-block", 3, *where(tmp_path)) == failed(
        1,
        f"block 3 cannot be executed again: the state of {parent} is not kept: "
        "the oldest that is kept is that of block 3",
    )
    assert cli("check-block", 0, *where(tmp_path)) == failed(
        1, "block 0 is where the chain begins: there is nothing to execute"
    )
    store = LevelDbStore(database_path(tmp_path, dev))
    store.write([(body_key(blocks[0].header.hash()), None)], sync=True)
    store.close()
    assert cli("check-block", 1, *where(tmp_path)) == failed(1, "the extrinsics of block 1 are not kept")


@pytest.mark.parametrize("command", ["check-block", "export-state"])
@pytest.mark.parametrize(
    ("block", "code", "message"),
    [
        ("6", 1, "there is no block 6: the best block is 5"),
        ("0x" + "11" * 32, 1, f"no block with hash 0x{'11' * 32} is stored"),
        ("five", 2, "BLOCK: must be a number or a hash, not 'five'"),
        ("12345678901", 2, "BLOCK: must be a number or a hash, not '12345678901'"),
        ("0x11", 2, "BLOCK: hex text must hold 32 bytes, this one holds 1"),
    ],
)
@pytest.mark.usefixtures("blocks")
def test_blocks_that_do_not_exist(cli: Cli, command: str, block: str, code: int, message: str, tmp_path: Path) -> None:
    assert cli(command, block, *where(tmp_path / "here")) == failed(code, message)


# export-state


def test_the_state_is_that_of_the_block(cli: Cli, blocks: list[Block], tmp_path: Path) -> None:
    here = tmp_path / "here"
    for block, argument in [(blocks[-1], ()), (blocks[2], (3,)), (blocks[0], (to_hex(blocks[0].header.hash()),))]:
        ended = cli("export-state", *argument, *where(here))
        assert (ended.code, ended.err) == (0, "")
        told = json.loads(ended.out)
        pairs = [(from_hex(key), from_hex(value)) for key, value in told.pop("state").items()]
        assert told == ref(block) | {"stateRoot": to_hex(block.header.state_root)}
        assert Trie.from_items(pairs, StateVersion.V1).root() == block.header.state_root


def test_a_state_that_is_not_kept(cli: Cli, dev: ChainSpec, tmp_path: Path) -> None:
    blocks = grow(tmp_path, dev, pruning=2)
    block = f"block 2 ({to_hex(blocks[1].header.hash())})"
    assert cli("export-state", 2, *where(tmp_path)) == failed(
        1, f"the state of {block} is not kept: the oldest that is kept is that of block 3"
    )


# revert


def test_revert_takes_blocks_back(cli: Cli, blocks: list[Block], tmp_path: Path) -> None:
    here = tmp_path / "here"
    told = f"took back 2 blocks: the best block is 3 ({to_hex(blocks[2].header.hash())})\n"
    assert cli("revert", 2, *where(here)) == Ended(0, told, "")
    after = info(cli, here)
    assert (after["best"], after["finalized"], after["ratings"]) == (ref(blocks[2]), ref(blocks[2]), 3)
    file = write(tmp_path / "blocks", *blocks)
    assert cli("import-blocks", file, *where(here)).err == "imported 2 blocks: the best block is 5\n"
    assert head_of(cli, here) == ref(blocks[-1])


def test_revert_to_the_beginning_and_not_further(cli: Cli, blocks: list[Block], tmp_path: Path) -> None:
    here = tmp_path / "here"
    assert cli("revert", 6, *where(here)) == failed(1, "the best block is 5: 5 blocks can be taken back at most")
    assert head_of(cli, here) == ref(blocks[-1])
    assert cli("revert", 5, *where(here)).code == 0
    assert info(cli, here)["ratings"] == 0
    assert cli("revert", 1, *where(here)) == failed(1, "the best block is 0: 0 blocks can be taken back at most")


def test_revert_within_what_is_kept(cli: Cli, dev: ChainSpec, tmp_path: Path) -> None:
    blocks = grow(tmp_path, dev, pruning=1)
    assert cli("revert", 2, *where(tmp_path)) == failed(1, "the best block is 5: 1 block can be taken back at most")
    assert cli("revert", 1, *where(tmp_path)).code == 0
    assert head_of(cli, tmp_path) == ref(blocks[3])


# compact


def test_compact_gives_back_what_was_deleted(cli: Cli, blocks: list[Block], dev: ChainSpec, tmp_path: Path) -> None:
    here = tmp_path / "here"
    path = database_path(here, dev)
    kept = info(cli, here)
    junk = [b"junk%d" % number for number in range(4)]
    for value in (os.urandom(1 << 20), None):
        store = LevelDbStore(path)
        store.write([(key, value) for key in junk], sync=True)
        store.close()
    before = size(path)
    ended = cli("compact", *where(here))
    after = size(path)
    assert before > 4 << 20
    assert after < 1 << 20
    sizes = f"{after / 1e6:.1f} MB, {before / 1e6:.1f} MB before"
    assert ended == Ended(0, f"compacted the database of the chain dev in {path}: {sizes}\n", "")
    assert info(cli, here) == kept


def size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.iterdir())


# purge-chain


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda text: monkeypatch.setattr(sys, "stdin", io.StringIO(text))


@pytest.mark.parametrize("text", ["y\n", "YES\n"])
@pytest.mark.usefixtures("blocks")
def test_purge_deletes_the_database_and_nothing_else(
    cli: Cli, answer: Callable[[str], None], text: str, dev: ChainSpec, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    path = database_path(here, dev)
    keystore = Keystore(here / "chains" / "dev" / "keystore")
    keystore.insert("//Alice")
    answer(text)
    assert cli("purge-chain", *where(here)) == Ended(
        0,
        f"deleted the database of the chain dev in {path}\n",
        f"Delete the database of the chain dev in {path}? [y/N] ",
    )
    assert not path.exists()
    assert keystore.producer() == ALICE
    assert cli("purge-chain", *where(here)) == Ended(0, f"there is no database of the chain dev in {path}\n", "")


@pytest.mark.parametrize("text", ["n\n", "\n", "yesterday\n"])
def test_purge_does_nothing_unless_confirmed(
    cli: Cli, answer: Callable[[str], None], text: str, blocks: list[Block], tmp_path: Path
) -> None:
    answer(text)
    ended = cli("purge-chain", *where(tmp_path / "here"))
    assert (ended.code, ended.out) == (0, "nothing was deleted\n")
    assert head_of(cli, tmp_path / "here") == ref(blocks[-1])


def test_purge_asks_nobody_who_is_not_there(
    cli: Cli, answer: Callable[[str], None], blocks: list[Block], tmp_path: Path
) -> None:
    answer("")
    ended = cli("purge-chain", *where(tmp_path / "here"))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.endswith("[y/N] mfchain-node: nobody is there to confirm: say --yes\n")
    assert head_of(cli, tmp_path / "here") == ref(blocks[-1])


@pytest.mark.usefixtures("blocks")
def test_purge_deletes_a_damaged_database(cli: Cli, dev: ChainSpec, tmp_path: Path) -> None:
    path = database_path(tmp_path / "here", dev)
    (path / "CURRENT").write_text("nonsense\n")
    assert cli("purge-chain", "-y", *where(tmp_path / "here")) == Ended(
        0, f"deleted the database of the chain dev in {path}\n", ""
    )
    assert not path.exists()


@pytest.mark.usefixtures("blocks")
def test_purge_that_fails(cli: Cli, dev: ChainSpec, tmp_path: Path) -> None:
    path = database_path(tmp_path / "here", dev)
    target = tmp_path / "elsewhere"
    path.rename(target)
    path.symlink_to(target)
    assert cli("purge-chain", "-y", *where(tmp_path / "here")) == failed(
        1, f"the database in {path} cannot be deleted: Cannot call rmtree on a symbolic link"
    )
    assert (target / "CURRENT").is_file()


# Bodies that are not kept


def test_bodies_that_are_not_kept_are_missed_by_name(cli: Cli, dev: ChainSpec, tmp_path: Path) -> None:
    blocks = grow(tmp_path, dev, bodies=2)
    here, file = where(tmp_path), tmp_path / "blocks"
    assert info(cli, tmp_path)["firstBody"] == 4
    gone = "block 1 is not kept: the history of this database begins with block 4"
    assert cli("export-blocks", file, *here) == failed(1, gone)
    assert cli("export-blocks", file, "--from", 4, *here).code == 0
    assert cli("check-block", 3, *here) == failed(1, "the extrinsics of block 3 are not kept")
    assert cli("check-block", 4, *here).code == 0
    kept = "block 3 cannot be the best block again: bodies are kept from block 4 on"
    assert cli("revert", 2, *here) == failed(1, kept)
    assert cli("revert", 1, *here).code == 0
    assert head_of(cli, tmp_path) == ref(blocks[3])
