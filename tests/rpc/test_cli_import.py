"""mfchain import against a chain on a real socket: everything gets in once and in order, whatever breaks."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rpc.cli import app
from rpc.errors import (
    Reason,
    RpcError,
    bad_format,
    invalid_transaction,
    named_error,
    not_ready,
    temporarily_banned,
)
from rpc.failure import CommandError
from rpc.importing.link import Link
from rpc.importing.run import Import, Options, Outcome
from rpc.importing.sender import Bounds
from rpc.transactions import submit_rating
from runtime.crypto import Scheme
from runtime.extrinsic import Extrinsic
from runtime.interface.errors import InvalidReason
from runtime.keys import key_pair_from_uri
from runtime.primitives import AccountId, to_hex
from tests.rpc.fake_chain import DroppedError, FakeChain

pytestmark = pytest.mark.full

ROOT = Path(__file__).parents[2]
QUICK = Bounds(poll=0.01, retry=0.02, stall=0.1)

Rating = tuple[int, int, int]


@pytest.fixture
def chain() -> Iterator[FakeChain]:
    with FakeChain().running() as made:
        yield made


def ratings(count: int = 60, users: int = 7, items: int = 11) -> list[Rating]:
    """Ratings that mix users and rate some items twice."""
    return [(100 + n * n % users, 1000 - n * 3 % items, 1 + n % 5) for n in range(count)]


def write(path: Path, rows: list[Rating]) -> Path:
    path.write_text("user,item,rating\n" + "".join(f"{u},{i},{r}\n" for u, i, r in rows))
    return path


def write_titles(path: Path, titles: dict[int, str]) -> Path:
    path.write_text("".join(f'{item},"{title}"\n' for item, title in titles.items()))
    return path


def run(chain: FakeChain, *words: object) -> Result:
    return CliRunner().invoke(app, ["--url", chain.url, "import", *map(str, words)])


def account(name: object, prefix: str = "//user") -> AccountId:
    return key_pair_from_uri(f"{prefix}//{name}", Scheme.ED25519).public


def expected(rows: list[Rating], mapping: dict[int, int]) -> dict[AccountId, dict[int, int]]:
    """What the chain should know after an import."""
    state: dict[AccountId, dict[int, int]] = {}
    for user, item, rating in rows:
        state.setdefault(account(user), {})[mapping[item]] = rating
    return state


def mapping_of(path: Path) -> dict[int, int]:
    return {int(item): number for item, number in json.loads(Path(f"{path}.items.json").read_bytes()).items()}


def assert_imported(chain: FakeChain, path: Path, rows: list[Rating]) -> None:
    assert dict(chain.state.ratings) == expected(rows, mapping_of(path))


@dataclass
class Told:
    """Reports, kept."""

    notes: list[str] = field(default_factory=list)
    stages: list[tuple[str, int, list[int]]] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def stage(self, name: str, total: int) -> Callable[[int], None]:
        done: list[int] = []
        self.stages.append((name, total, done))
        return done.append


def import_quickly(chain: FakeChain, path: Path, told: Told | None = None, **options: Any) -> Outcome:
    link = Link(chain.url)
    try:
        return Import(link, path, Options(**options), told or Told(), QUICK).run()
    finally:
        link.close()


def on_submission(chain: FakeChain, number: int, act: Callable[[], None]) -> None:
    """Act before the given submission of this chain is looked at, once."""
    count = [0]

    def before(method: str, _: list[Any]) -> None:
        if method == "author_submitExtrinsic":
            count[0] += 1
            if count[0] == number:
                act()

    chain.before = before


# What is sent


def test_an_import_with_titles(chain: FakeChain, tmp_path: Path) -> None:
    rows = ratings()
    path = write(tmp_path / "r.csv", rows)
    items = sorted({item for _, item, _ in rows})
    titles = write_titles(tmp_path / "t.csv", {item: f"Title {item}" for item in [5000, *reversed(items)]})
    result = run(chain, path, "--titles", titles)
    assert (result.stderr, result.exit_code) == ("", 0)
    assert re.fullmatch(
        r"imported 60 ratings of 4 users on 11 items: \d+\.\d s, [\d,]+ ratings/s, \d+ blocks\n",
        result.stdout,
    )
    assert [title for title, _ in chain.state.items] == [f"Title {item}" for item in [*items, 5000]]
    assert {registrar for _, registrar in chain.state.items} == {account("registrar")}
    assert mapping_of(path) == {item: number for number, item in enumerate([*items, 5000])}
    assert_imported(chain, path, rows)


def test_an_import_without_titles_as_json(chain: FakeChain, tmp_path: Path) -> None:
    rows = ratings(20)
    path = write(tmp_path / "r.csv", rows)
    result = run(chain, path, "--json", "--suri-prefix", "//me", "--batch", 2)
    told = json.loads(result.stdout)
    assert told.pop("seconds") >= 0
    assert told.pop("ratingsPerSecond") >= 0
    assert told.pop("blocks") >= 1
    assert told == {
        "ratings": 20,
        "already": 0,
        "users": 4,
        "items": 11,
        "transactions": 11,
        "block": chain.block(),
    }
    assert [title for title, _ in chain.state.items] == [
        f"item {item}" for item in sorted({item for _, item, _ in rows})
    ]
    assert set(chain.state.ratings) == {account(user, "//me") for user, _, _ in rows}


def test_single_ratings_go_one_by_one(chain: FakeChain, tmp_path: Path) -> None:
    rows = ratings(30)
    path = write(tmp_path / "r.csv", rows)
    assert run(chain, path, "--batch", 1).exit_code == 0
    mapping = mapping_of(path)
    calls = [Extrinsic.decode(raw).call for raw in chain.submitted[len(mapping) :]]
    assert calls == [submit_rating(mapping[item], rating) for _, item, rating in rows]
    assert_imported(chain, path, rows)


def test_items_without_a_title_are_told(chain: FakeChain, tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", [(1, 7, 3), (1, 8, 3)])
    titles = write_titles(tmp_path / "t.csv", {7: "Seven", 9: "Nine"})
    assert run(chain, path, "--titles", titles).stderr == '1 items have no title and are called "item N"\n'
    assert [title for title, _ in chain.state.items] == ["Seven", "item 8", "Nine"]


def test_items_of_one_title_stay_apart(chain: FakeChain, tmp_path: Path) -> None:
    chain.state.items.append(("Twin", bytes(32)))
    path = write(tmp_path / "r.csv", [(1, 7, 1), (1, 9, 5), (1, 8, 3)])
    titles = write_titles(tmp_path / "t.csv", {7: "Twin", 8: "Other", 9: "Twin"})
    assert run(chain, path, "--titles", titles).exit_code == 0
    assert mapping_of(path) == {7: 1, 8: 2, 9: 3}
    assert dict(chain.state.ratings) == {account(1): {1: 1, 2: 3, 3: 5}}


def test_a_second_file_uses_the_items_of_the_first(chain: FakeChain, tmp_path: Path) -> None:
    titles = write_titles(tmp_path / "t.csv", {item: f"Title {item % 3}" for item in range(970, 1001)})
    rows = ratings(80)
    train, test = write(tmp_path / "train.csv", rows[:60]), write(tmp_path / "test.csv", rows[60:])
    assert run(chain, train, "--titles", titles).exit_code == 0
    items = list(chain.state.items)
    assert run(chain, test, "--titles", titles).exit_code == 0
    assert chain.state.items == items
    assert mapping_of(train) == mapping_of(test)
    assert_imported(chain, train, rows)


def test_importing_again_sends_nothing(chain: FakeChain, tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", ratings())
    run(chain, path)
    sent = len(chain.submitted)
    result = run(chain, path)
    assert result.stdout.startswith("all 60 ratings were imported before, block ")
    assert len(chain.submitted) == sent


def test_more_users_than_one_question_takes(tmp_path: Path) -> None:
    rows = [(user, 1, 1 + user % 5) for user in range(1_101)]
    path = write(tmp_path / "r.csv", rows)
    with FakeChain(keep_states=False, check_signatures=False).running() as chain:
        chain.states = Forgetful(chain)
        assert run(chain, path).exit_code == 0
        assert_imported(chain, path, rows)


class Forgetful(dict[str, Any]):
    """States of all blocks, each of which is the newest: good where a test asks for nothing older."""

    def __init__(self, chain: FakeChain) -> None:
        self.chain = chain

    def __missing__(self, block: str) -> Any:
        return self.chain.state


def test_strict_order_waits_for_each_window(chain: FakeChain, tmp_path: Path) -> None:
    rows = ratings(50)
    path = write(tmp_path / "r.csv", rows)
    begun: list[int] = []

    def before(method: str, params: list[Any]) -> None:
        if method == "author_submitExtrinsic" and len(chain.state.items) == 11:
            begun.append(sum(len(queue) for queue in chain.pool.values()))

    chain.before = before
    import_quickly(chain, path, window=10, strict=True)
    # A window's transactions go in one message; nothing of the window before is in the pool by then.
    assert begun.count(0) == 5
    assert_imported(chain, path, rows)


def test_the_rate_is_kept(chain: FakeChain, tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", ratings(60))
    outcome = import_quickly(chain, path, batch=1, rate=200.0)
    assert outcome.seconds >= 0.25  # 60 ratings at 200 a second take .3 s, the first of them none


def test_progress_is_told(chain: FakeChain, tmp_path: Path) -> None:
    told = Told()
    import_quickly(chain, write(tmp_path / "r.csv", ratings()), told)
    assert [(name, total, done[-1]) for name, total, done in told.stages] == [
        ("items", 11, 11),
        ("ratings", 60, 60),
        ("checking users", 4, 4),
    ]
    assert all(done == sorted(done) for _, _, done in told.stages)
    assert told.notes == []


# What breaks


def test_a_small_pool_is_waited_for(tmp_path: Path) -> None:
    rows = ratings(90)
    path = write(tmp_path / "r.csv", rows)
    with FakeChain(pool_limit=7).running() as chain:
        import_quickly(chain, path, batch=1)
        assert_imported(chain, path, rows)


def test_no_more_is_on_its_way_than_bounds_allow(chain: FakeChain, tmp_path: Path) -> None:
    rows = ratings(90)
    path = write(tmp_path / "r.csv", rows)
    most = [0]

    def before(method: str, _: list[Any]) -> None:
        most[0] = max(most[0], sum(len(queue) for queue in chain.pool.values()))

    chain.before = before
    link = Link(chain.url)
    bounds = Bounds(transactions_in_flight=5, poll=0.01, retry=0.02)
    Import(link, path, Options(batch=1), Told(), bounds).run()
    link.close()
    assert_imported(chain, path, rows)
    assert most[0] == 4  # what is there when the fifth arrives


@pytest.mark.parametrize("number", [3, 14, 30])
def test_a_lost_connection_and_pool_lose_nothing(chain: FakeChain, tmp_path: Path, number: int) -> None:
    rows = ratings(80)
    path = write(tmp_path / "r.csv", rows)

    def cut() -> None:
        chain.pool.clear()
        raise DroppedError

    on_submission(chain, number, cut)
    import_quickly(chain, path, batch=2)
    assert_imported(chain, path, rows)


def test_a_restarted_node_is_found_again(chain: FakeChain, tmp_path: Path) -> None:
    rows = ratings(80)
    path = write(tmp_path / "r.csv", rows)

    def restart() -> None:
        threading.Thread(target=chain.restart).start()
        raise DroppedError

    on_submission(chain, 20, restart)
    import_quickly(chain, path, batch=1)
    assert_imported(chain, path, rows)


def test_transactions_that_vanish_are_sent_again(chain: FakeChain, tmp_path: Path) -> None:
    rows = ratings(80)
    path = write(tmp_path / "r.csv", rows)
    on_submission(chain, 40, chain.pool.clear)
    import_quickly(chain, path, batch=1)
    assert_imported(chain, path, rows)


@pytest.mark.parametrize(
    "refusal",
    [
        temporarily_banned(),
        not_ready("catching up"),
        named_error(Reason.RATE_LIMITED, "too fast"),
        invalid_transaction(InvalidReason.ANCIENT_BIRTH_BLOCK),
        invalid_transaction(InvalidReason.FUTURE),
    ],
)
def test_a_refusal_that_passes_is_waited_for(chain: FakeChain, tmp_path: Path, refusal: RpcError) -> None:
    rows = ratings(40)
    path = write(tmp_path / "r.csv", rows)

    def refuse() -> None:
        raise refusal

    on_submission(chain, 25, refuse)
    import_quickly(chain, path, batch=1)
    assert_imported(chain, path, rows)


def test_a_refusal_for_good_ends_the_import(chain: FakeChain, tmp_path: Path) -> None:
    def refuse() -> None:
        raise bad_format("too short")

    on_submission(chain, 25, refuse)
    result = run(chain, write(tmp_path / "r.csv", ratings(40)), "--batch", 1, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "error": {
            "reason": "BadFormat",
            "message": "Extrinsic has invalid format: too short",
            "data": "too short",
        }
    }


def test_ratings_that_failed_on_the_chain_are_told(chain: FakeChain, tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", [(1, 7, 3), (1, 8, 4), (2, 8, 5)])
    chain.failing_calls[submit_rating(1, 5)] = "TooManyRatings"
    result = run(chain, path, "--batch", 1, "--json")
    assert json.loads(result.stdout) == {
        "error": {
            "reason": "RatingsMissing",
            "message": "1 of 3 ratings are not on the chain although their transactions are in blocks, "
            "the first of them user 2, item 8",
            "data": {"missing": 1, "user": 2, "item": 8},
        }
    }


def test_items_that_the_chain_refuses_are_told(chain: FakeChain, tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", [(1, 7, 3), (1, 8, 4)])
    chain.failing_calls[bytes.fromhex("0803") + bytes([6 << 2]) + b"item 8"] = "TooManyItems"
    result = run(chain, path, "--json")
    assert json.loads(result.stdout)["error"] == {
        "reason": "ItemsRefused",
        "message": "the chain did not register 1 items, the first of them 'item 8'",
        "data": {"item": 8, "title": "item 8"},
    }


def test_a_reorganisation_that_loses_ratings_is_noticed(chain: FakeChain, tmp_path: Path) -> None:
    rows = ratings(80)
    path = write(tmp_path / "r.csv", rows)
    undone: list[int] = []

    def before(method: str, _: list[Any]) -> None:
        known = sum(len(own) for own in chain.state.ratings.values())
        if method == "state_queryStorageAt" and not undone and known == len(expected_pairs):
            undone.append(known)
            states = [chain.states[to_hex(header.hash())] for header in chain.headers]
            chain.state = next(state for state in states if len(state.items) == 11).copy()

    expected_pairs = {(user, item) for user, item, _ in rows}
    chain.before = before
    import_quickly(chain, path, batch=3)
    assert undone == [len(expected_pairs)]
    assert_imported(chain, path, rows)


def test_no_block_ends_the_wait(tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", [(1, 7, 3)])
    bounds = Bounds(poll=0.01, retry=0.01, stall=0.02, give_up=0.1)
    with FakeChain(instant=False).running() as chain:
        link = Link(chain.url)
        with pytest.raises(CommandError) as raised:
            Import(link, path, Options(), Told(), bounds).run()
        link.close()
    assert raised.value.message == "no block has taken a transaction of this import for 0.1 seconds"


def test_another_chain_behind_the_same_address_is_not_taken_for_the_first(chain: FakeChain, tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", ratings(40))

    def swap() -> None:
        other = FakeChain(chain_type="Other")
        chain.headers, chain.states, chain.state = other.headers, other.states, other.state
        raise DroppedError

    on_submission(chain, 25, swap)
    with pytest.raises(CommandError) as raised:
        import_quickly(chain, path, batch=1)
    assert raised.value.reason == "ChainChanged"
    assert raised.value.message == ("the node has another chain now, or an earlier state of it: start the import again")


def test_a_chain_that_began_anew_is_imported_into_anew(tmp_path: Path) -> None:
    rows = ratings(40)
    path = write(tmp_path / "r.csv", rows)
    with FakeChain().running() as first:
        import_quickly(first, path)
    with FakeChain(titles=("Somebody's",)).running() as second:
        assert second.genesis == first.genesis
        import_quickly(second, path)
        assert_imported(second, path, rows)
        assert min(mapping_of(path).values()) == 1


def test_accounts_with_a_past_are_counted_from_there(chain: FakeChain, tmp_path: Path) -> None:
    chain.state.nonces[account(100)] = 5
    rows = ratings(40)
    path = write(tmp_path / "r.csv", rows)
    import_quickly(chain, path)
    assert_imported(chain, path, rows)
    record = json.loads(Path(f"{path}.progress.json").read_bytes())
    assert record["first_nonces"] == {"100": 5}
    assert import_quickly(chain, path).already == 40


def test_an_unreadable_record_is_no_record(chain: FakeChain, tmp_path: Path) -> None:
    rows = ratings(20)
    path = write(tmp_path / "r.csv", rows)
    for text in ("", "[]", '{"version": 9}', '{"version": 1, "batch": 0}', "{"):
        Path(f"{path}.progress.json").write_text(text)
        import_quickly(chain, path)
        assert_imported(chain, path, rows)


def command(chain: FakeChain, path: Path, *words: str) -> subprocess.Popen[str]:
    """The import in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "rpc.cli", "--url", chain.url, "import", str(path), *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize("number", [5, 30, 60])
def test_a_killed_import_goes_on_where_it_was(chain: FakeChain, tmp_path: Path, number: int, settled: bool) -> None:
    rows = ratings(80)
    path = write(tmp_path / "r.csv", rows)
    processes: list[subprocess.Popen[str]] = []

    def kill() -> None:
        os.kill(processes[0].pid, signal.SIGKILL)
        raise DroppedError

    on_submission(chain, number, kill)
    with chain.lock:
        processes.append(command(chain, path, "--batch", "1"))
    assert processes[0].communicate(timeout=60) == ("", "")
    assert processes[0].returncode == -signal.SIGKILL
    if settled:  # else the pool still has what was sent before
        chain.make_block()

    told = Told()
    outcome = import_quickly(chain, path, told, batch=9)
    assert_imported(chain, path, rows)
    assert len(chain.state.items) == 11
    if number == 5:  # among the items: the ratings' plan was not made yet
        assert (outcome.already, outcome.transactions, told.notes) == (0, 11, [])
        return
    assert told.notes == ["going on with --batch 1 --window 4096, as this import began"]
    assert outcome.already == number - 12
    # Each transaction of the plan is in once.
    users = [user for user, _, _ in rows]
    assert {user: chain.state.nonces[account(user)] for user in users} == Counter(users)


def test_an_interrupted_import_says_how_far_it_is(chain: FakeChain, tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", ratings(80))
    processes: list[subprocess.Popen[str]] = []

    def before(method: str, _: list[Any]) -> None:
        chain.instant = len(chain.state.items) < 11
        if method == "state_queryStorageAt" and chain.pool and not chain.instant:
            chain.before = lambda method, params: None
            processes[0].send_signal(signal.SIGINT)

    chain.before = before
    with chain.lock:
        processes.append(command(chain, path))
    out, told = processes[0].communicate(timeout=60)
    assert (out, processes[0].returncode) == ("", 1)
    assert told == "mfchain: interrupted with 0 of 80 ratings in: the same command goes on from there\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--suri-prefix", "no phrase"), "--suri-prefix: "),
        (("--titles", "absent.csv"), "absent.csv cannot be read: No such file or directory"),
    ],
)
def test_unusable_options_are_told_before_anything_is_sent(
    chain: FakeChain, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    result = run(chain, write(tmp_path / "r.csv", ratings(5)), *words)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"mfchain: {message}")
    assert chain.submitted == []


def test_a_link_gives_up_after_its_patience(chain: FakeChain) -> None:
    chain.stop()
    link = Link(chain.url, patience=0.05)
    with pytest.raises(ConnectionError) as raised:
        link.reconnect()
    assert str(raised.value) == f"no node answers at {chain.url}: start one with scripts/run"
    chain.start()
