"""What clients read of the past: as it was then, proven, or not at all."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from rpc.client import RpcClient
from rpc.errors import RpcError
from rpc.transactions import account_key, head_of, signing_now, submit_and_wait, submit_rating
from runtime.crypto import KeyPair, Scheme
from runtime.header import Header
from runtime.keys import key_pair_from_uri
from runtime.primitives import Hash, from_hex, to_hex, twox_128
from runtime.trie import verify_proof
from tests.support.processes import PATIENCE, NodeProcess, Nodes

pytestmark = pytest.mark.full

WINDOW = 256
BLOCKS = 300
READERS = 20
NOTED_EVERY = 10
HEAD = BLOCKS

NUMBER_KEY = to_hex(twox_128(b"System") + twox_128(b"Number"))
PALLET_PREFIX = to_hex(twox_128(b"MatrixFactorization"))
UNKNOWN_KEY = to_hex(twox_128(b"Nothing") + bytes(16))


def reader(number: int) -> KeyPair:
    return key_pair_from_uri(f"//reader//{number}", Scheme.ED25519)


@dataclass(frozen=True, slots=True)
class Answers:
    """What a node said of its head."""

    number: int
    digest: str
    predictions: list[Any]
    storage: dict[str, str | None]
    model: Any

    @classmethod
    def ask(cls, client: RpcClient, digest: str, at: tuple[str, ...] = ()) -> "Answers":
        """Ask for the head, or with `at` for that block."""
        header = client.call("chain_getHeader", digest)
        whom = [to_hex(reader(number).public) for number in (0, 7, READERS)]
        return cls(
            number=int(header["number"], 16),
            digest=digest,
            predictions=[client.call("mf_predict", who, item, *at) for who in whom for item in (1, 9)],
            storage={key: client.call("state_getStorage", key, *at) for key in watched_keys(client, *at)},
            model=client.call("mf_model", *at),
        )


def watched_keys(client: RpcClient, *at: str) -> list[str]:
    """Keys of the system, of an account, all of the pallet's, and one that does not exist."""
    paged = client.call("state_getKeysPaged", PALLET_PREFIX, 1_000, None, *at)
    assert 16 < len(paged) < 1_000
    return [NUMBER_KEY, account_key(reader(0).public), UNKNOWN_KEY, *paged]


@dataclass(slots=True)
class Past:
    """A node of `BLOCKS` blocks with a rating each, and what it said on the way."""

    node: NodeProcess
    noted: dict[int, Answers] = field(default_factory=dict)
    hashes: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    with Nodes(tmp_path_factory.mktemp("past") / "temporary") as running:
        node = running.start("--dev", "--state-pruning", WINDOW)
        made = Past(node)
        with node.client() as client:
            made.hashes.append(client.call("chain_getBlockHash", 0))
            made.noted[0] = Answers.ask(client, made.hashes[0])
            for number in range(1, BLOCKS + 1):
                made.hashes.append(rate(client, number))
                if number % NOTED_EVERY == 0 or number == HEAD - WINDOW:
                    made.noted[number] = Answers.ask(client, made.hashes[number])
        yield made


def rate(client: RpcClient, number: int) -> str:
    """Put the rating of this number into a block; return the block's hash. Some ratings replace others."""
    turn, who = divmod(number - 1, READERS)
    item = (turn * 7 + who) % 16
    rating = 1 if (who * 3 + item * 5 + turn // 11) % 4 < 2 else -1
    raw = signing_now(client).sign(reader(who), submit_rating(item, rating), turn)
    return submit_and_wait(client, raw, PATIENCE)


def refusal(client: RpcClient, method: str, *params: object) -> dict[str, object]:
    with pytest.raises(RpcError) as refused:
        client.call(method, *params)
    return refused.value.to_json()


def pruned(digest: str) -> dict[str, object]:
    return {
        "code": 8003,
        "message": f"the state of block {digest} is not kept any more",
        "data": {"reason": "StatePruned", "block": digest},
    }


def test_within_the_window_answers_stay_what_they_were(past: Past) -> None:
    with past.node.client() as client:
        assert client.call("chain_getBlockHash", list(range(BLOCKS + 1))) == past.hashes
        assert client.call("chain_getHeader")["number"] == hex(HEAD)
        recent = [number for number in past.noted if number >= HEAD - WINDOW]
        assert {HEAD - WINDOW, HEAD - 200, HEAD - 100, HEAD} <= set(recent)
        for number in recent:
            digest = past.hashes[number]
            assert Answers.ask(client, digest, (digest,)) == past.noted[number]
        models = [past.noted[number].model for number in recent]
        assert len({model["digest"] for model in models}) == len(models)


def test_older_states_are_refused_but_blocks_are_not(past: Past) -> None:
    someone = to_hex(reader(0).public)
    with past.node.client() as client:
        for number in (0, 1, 10, HEAD - WINDOW - 1):
            digest = past.hashes[number]
            for method, params in (
                ("state_getStorage", (NUMBER_KEY,)),
                ("state_getKeysPaged", (PALLET_PREFIX, 10, None)),
                ("state_getReadProof", ([NUMBER_KEY],)),
                ("mf_predict", (someone, 1)),
                ("mf_predictBatch", ([[someone, 1]],)),
                ("mf_recommend", (someone, 3, {})),
                ("mf_items", (0, 3)),
                ("mf_user", (someone,)),
                ("mf_model", ()),
            ):
                assert refusal(client, method, *params, digest) == pruned(digest), method
            header = Header.from_json(client.call("chain_getHeader", digest))
            assert (header.number, to_hex(header.hash())) == (number, digest)
            assert client.call("chain_getBlock", digest)["block"]["header"]["number"] == hex(number)


def test_proofs_hold_against_the_header(past: Past) -> None:
    account = account_key(reader(3).public)
    keys = [NUMBER_KEY, account, UNKNOWN_KEY]
    with past.node.client() as client:
        keys += client.call("state_getKeysPaged", PALLET_PREFIX, 20)
        for number in (HEAD, HEAD - 100, HEAD - WINDOW):
            digest = past.hashes[number]
            header = Header.from_json(client.call("chain_getHeader", digest))
            told = client.call("state_getReadProof", keys, *(() if number == HEAD else (digest,)))
            assert told["at"] == digest
            nodes = [from_hex(node) for node in told["proof"]]
            proven = verify_proof(Hash(header.state_root), nodes, [from_hex(key) for key in keys])
            stored = {key: client.call("state_getStorage", key, digest) for key in keys}
            assert {to_hex(key): value and to_hex(value) for key, value in proven.items()} == stored
            assert proven[from_hex(NUMBER_KEY)] == number.to_bytes(4, "little")
            assert stored[UNKNOWN_KEY] is None
            assert stored[account] is not None


def test_subscriptions_tell_of_every_block(past: Past, nodes: Nodes) -> None:
    node = nodes.start("--dev")
    account = account_key(reader(0).public)
    with node.client() as client, node.client() as sender:
        heads = client.subscribe("chain_subscribeNewHeads")
        finalized = client.subscribe("chain_subscribeFinalizedHeads")
        storage = client.subscribe("state_subscribeStorage", [NUMBER_KEY, account])
        models = client.subscribe("mf_subscribeModel")
        first = head_of(heads.next())
        assert head_of(finalized.next()) == first == (past.hashes[0], 0)
        known = dict(storage.next()["changes"])
        assert known[account] is None
        parent = first[0]
        for number in range(1, 1 + 2 * READERS):
            block = rate(sender, number)
            header = heads.next()
            assert head_of(header) == head_of(finalized.next()) == (block, number)
            assert header["parentHash"] == parent
            parent = block
            change = storage.next()
            assert change["block"] == block
            expected = {NUMBER_KEY: sender.call("state_getStorage", NUMBER_KEY, block)}
            if (number - 1) % READERS == 0:
                expected[account] = sender.call("state_getStorage", account, block)
            assert dict(change["changes"]) == expected
            model = models.next()
            assert model["block"] == {"hash": block, "number": number}
            assert model == sender.call("mf_model", block)
        for subscription in (heads, finalized, storage, models):
            assert subscription.unsubscribe() is True
            with pytest.raises(TimeoutError):
                subscription.next(0.0)


def test_after_a_restart_the_window_is_still_there(nodes: Nodes, tmp_path_factory: Any) -> None:
    base_path = tmp_path_factory.mktemp("again")
    node = nodes.start("--dev", "--base-path", base_path, "--state-pruning", 8)
    noted = []
    with node.client() as client:
        for number in range(1, 13):
            noted.append(Answers.ask(client, rate(client, number)))
    node.kill()
    node = nodes.restart(node)
    with node.client() as client:
        for answers in noted[3:]:
            assert Answers.ask(client, answers.digest, (answers.digest,)) == answers
        oldest = noted[2].digest
        assert refusal(client, "mf_model", oldest) == pruned(oldest)
