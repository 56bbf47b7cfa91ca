"""What blocks and epochs cost, how that grows, and whether calls pay for what they cause."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median

import numpy as np

from benchmarks.common.calibration import calibrate
from benchmarks.common.local_chain import Calls, LocalChain, account_of, rate
from benchmarks.common.suite import Setting
from benchmarks.common.timing import Stopwatch
from benchmarks.recommenders import ours
from benchmarks.recommenders.data import I64, by_time, synthetic
from pallets.matrix_factorization.phi import Phi
from pallets.matrix_factorization.ratings import ENTRY, Entries
from runtime.primitives import AccountId
from runtime.scale import U64, encode_compact

_SIZES = ((2_000, 100, 500), (20_000, 400, 1_000), (80_000, 1_000, 1_700), (250_000, 3_000, 5_000))
_LARGEST = (1_050_000, 10_000, 20_000)
_BLOCKS = 9
_HEAVY = 32_767
_LADEN = 32_000
_CROWD = 100_000
_ITEMS = 60_000


def lists_of(ratings: I64) -> dict[AccountId, Entries]:
    """Return each user's ratings as the chain keeps them."""
    ordered = ratings[np.argsort(ratings[:, 0], kind="stable")]
    entries = np.empty(len(ordered), ENTRY)
    entries["item"], entries["rating"] = ordered[:, 1], ordered[:, 2]
    users, starts = np.unique(ordered[:, 0], return_index=True)
    parts = np.split(entries, starts[1:])
    return {account_of(user): part for user, part in zip(users.tolist(), parts, strict=True)}


def model_seconds(before: Phi, after: Phi) -> float:
    """Follow once more what a block changed, and return the CPU seconds of it."""
    changed = before.users.differing(after.users)
    records = [(account, entry.ratings) for account in changed if (entry := after.users.get(account)) is not None]
    with Stopwatch() as watch:
        before.sized(after.items.size).followed(records)
    return watch.taken.cpu


def ordinary_blocks(setting: Setting, ratings: I64) -> dict[str, object]:
    """Blocks of 1,000 ratings on top of 80,000 of MovieLens-100K."""
    found: dict[str, object] = {}
    shuffled = ratings[np.random.default_rng(0).permutation(len(ratings))]
    for name, ordered in (("time", by_time(ratings)), ("random", shuffled)):
        chain = LocalChain(ours.spec(int(ratings[:, 1].max()) + 1))
        for block in ours.blocks_of(ordered[:60_000], 10_000):
            chain.block(ours.calls_of(block))
        model, whole = [], []
        for number, block in enumerate(ours.blocks_of(ordered[60_000:])):
            before = chain.view
            chain.block(ours.calls_of(block))
            if number >= 20 and chain.view.record.active == before.record.active:
                model.append(model_seconds(before.phi, chain.view.phi))
                whole.append(chain.taken[-1].cpu)
        found[name] = {
            "blocks": len(model),
            "modelSeconds": median(model),
            "modelSecondsLeast": min(model),
            "modelSecondsOnReference": median(model) / setting.calibration.slowness,
            "blockSeconds": median(whole),
        }
        setting.say(f"ordinary blocks in the order of {name}: {found[name]}")
    return found


def growth(setting: Setting, *, largest: bool) -> list[dict[str, object]]:
    """Epochs, ordinary blocks and the block that puts an epoch in force, on made-up ratings of growing number."""
    lines = []
    for count, users, items in (*_SIZES, _LARGEST) if largest else _SIZES:
        ratings = synthetic(count, users, items)
        chain = LocalChain(ours.spec(items + 1))
        before = calibrate()
        learned = chain.jump(lists_of(ratings))
        slowness = (before.slowness + calibrate().slowness) / 2
        random = np.random.default_rng(1)
        model = []
        for _ in range(_BLOCKS):
            view = chain.view
            fresh = np.column_stack(
                (random.integers(0, users, 1_000), random.integers(0, items, 1_000), random.integers(1, 6, 1_000))
            )
            chain.block(ours.calls_of(fresh))
            model.append(model_seconds(view.phi, chain.view.phi))
        swap = _swap(chain)
        # An epoch comes when the ratings have grown by a quarter: it is paid for by a fifth of those it learns from.
        line: dict[str, object] = {
            "ratings": len(ratings),
            "users": users,
            "items": items,
            "learnSeconds": learned.cpu,
            "microsecondsARatingAmortized": 5e6 * learned.cpu / len(ratings),
            "microsecondsARatingAmortizedOnReference": 5e6 * learned.cpu / len(ratings) / slowness,
            "blockModelSeconds": median(model),
            "blockModelSecondsOnReference": median(model) / slowness,
            "slowness": slowness,
            **swap,
        }
        lines.append(line)
        setting.say(f"growth: {line}")
    return lines


def _swap(chain: LocalChain) -> dict[str, float]:
    """Let a freeze come by re-rating, and measure the block that puts its model in force, prepared and not."""
    config = chain.spec.matrix_factorization
    while not chain.view.record.is_pending:
        chain.block(())
    while chain.head.number + 1 < chain.view.record.due:
        chain.block(())
    state, trie, view, head = dict(chain.state.entries), chain.trie, chain.view, chain.head
    chain.block(())
    prepared = chain.taken[-1].cpu
    assert chain.view.record.is_canonical or config.inline_rebuild_limit == 0
    chain.state.entries, chain.trie, chain.view, chain.head = state, trie, view, head
    chain.block(())
    return {"swapBlockSeconds": prepared}


def mixes(setting: Setting) -> list[dict[str, object]]:
    """Blocks of the dearest kinds, and whether their calls were charged for what they took."""
    random = np.random.default_rng(2)
    chain = LocalChain(ours.spec(_ITEMS))
    lists = _crowded(random)
    chain.jump(lists)
    lines = []
    for name, calls in _mixes(random, lists).items():
        chain.block((), learn_ahead=False)
        lines.append(_mix(setting, chain, name, calls))
    return lines + _mixes_of_epochs(setting, random)


def _mix(setting: Setting, chain: LocalChain, name: str, calls: Calls) -> dict[str, object]:
    """Make a block of calls; tell what it took and what was charged."""
    # A block takes less than a second: what else the machine does is measured right before and after it.
    before = calibrate()
    outcome = chain.block(calls)
    after = calibrate()
    taken = chain.taken[-1].cpu + len(calls) * (before.cpu_seconds + after.cpu_seconds) / 2
    promised = chain.weights[-1] / 1e12 * (before.slowness + after.slowness) / 2
    failed = [error for error in outcome.errors if error is not None]
    assert not failed, f"{name}: {failed}"
    on_reference = taken * 2 / (before.slowness + after.slowness)
    line = {"mix": name, "calls": len(calls), "seconds": taken, "promised": promised, "ratio": taken / promised}
    setting.say(f"mix {name}: {on_reference * 1e3:.0f} ms on the reference, ratio {taken / promised:.2f}")
    return {**line, "secondsOnReference": on_reference}


def _mixes_of_epochs(setting: Setting, random: np.random.Generator) -> list[dict[str, object]]:
    """Blocks while an epoch is pending, and one that puts it in force, with lists that no epoch knows."""
    spec = ours.spec(_ITEMS)
    config = replace(
        spec.matrix_factorization,
        model=replace(spec.matrix_factorization.model, sweeps=1),
        quiet_blocks=1,
        inline_rebuild_limit=0,
        ratings_per_delay_block=50_000,
    )
    chain = LocalChain(replace(spec, matrix_factorization=config))
    old = _name("old", 0)
    entries = np.empty(_HEAVY + 1, ENTRY)
    entries["item"], entries["rating"] = random.permutation(_ITEMS)[: _HEAVY + 1], 1
    chain.jump({old: entries})
    batches = np.split(entries["item"], 128)

    def changes(first: int, count: int, stars: int) -> Calls:
        return [(old, rate([(item, stars) for item in batch.tolist()])) for batch in batches[first : first + count]]

    chain.block(changes(0, 1, 2))
    while not chain.view.record.is_pending:
        chain.block(())
    lines = [
        _mix(
            setting,
            chain,
            "an account changes 40 times 256 of 32,768 ratings while an epoch is pending",
            changes(0, 40, 3),
        ),
        _mix(setting, chain, "40 times 256 more, where two epochs remember 10,000 old values", changes(40, 40, 3)),
    ]
    for number in range(2):
        new = _name("new", number)
        chain.block([(new, rate([(item, 3) for item in batch.tolist()])) for batch in batches])
    lines.append(
        _mix(
            setting, chain, "a list of 32,768 that no epoch knows is touched", [(new, rate([(int(batches[0][0]), 4)]))]
        )
    )
    while chain.head.number + 1 < chain.view.record.due:
        chain.block(())
    swap: Calls = [(_name("new", number), rate([(int(batches[0][0]), 5)])) for number in range(2)]
    lines.append(_mix(setting, chain, "two such lists in the block that puts an epoch in force", swap))
    assert chain.view.record.active == chain.view.record.generation
    return lines


def _crowded(random: np.random.Generator) -> dict[AccountId, Entries]:
    """A hundred thousand accounts that all rated item 0, a thousand with 100 ratings, ten with almost 32,768."""

    def some(count: int) -> Entries:
        entries = np.empty(count, ENTRY)
        entries["item"] = random.permutation(_ITEMS)[:count]
        entries["rating"] = random.integers(1, 6, count)
        return entries

    lists = {_name("crowd", number): np.array([(0, 1 + number % 5)], ENTRY) for number in range(_CROWD)}
    lists |= {_name("known", number): some(100) for number in range(1_000)}
    lists |= {_name("heavy", number): some(_HEAVY) for number in range(2)}
    lists |= {_name("laden", number): some(_LADEN) for number in range(8)}
    return lists


def _mixes(random: np.random.Generator, lists: Mapping[AccountId, Entries]) -> dict[str, Calls]:
    def stars() -> int:
        return int(random.integers(1, 6))

    def items(count: int) -> Sequence[int]:
        chosen: list[int] = random.permutation(_ITEMS)[:count].tolist()
        return chosen

    def rating(kind: str, number: int, chosen: Sequence[int]) -> tuple[AccountId, bytes]:
        return _name(kind, number), rate([(item, stars()) for item in chosen])

    def own(kind: str, number: int, count: int) -> Sequence[int]:
        mine: list[int] = lists[_name(kind, number)]["item"][-count:].tolist()
        return mine

    predictions = [(_name("known", number), bytes((8, 1)) + U64.encode(item)) for number, item in enumerate(items(100))]
    titles = [f"title {number}".encode() for number in range(256)]
    return {
        "1,000 known accounts rate one item each": [rating("known", k, items(1)) for k in range(1_000)],
        "1,000 new accounts rate one item each": [rating("new", k, items(1)) for k in range(1_000)],
        "1,000 of the crowd rate the crowd's item again": [rating("crowd", k, [0]) for k in range(1_000)],
        "1,000 new accounts rate the crowd's item": [rating("newer", k, [0]) for k in range(1_000)],
        "an account with 32,767 ratings rates one more": [rating("heavy", 0, items(1))],
        "one with 32,000 ratings changes 256": [rating("laden", 0, own("laden", 0, 256))],
        "one with 32,000 ratings takes 20 back": [
            (_name("laden", 1), bytes((8, 2)) + U64.encode(item)) for item in own("laden", 1, 20)
        ],
        "eight with 32,000 rate 16 items each, one by one": [
            rating("laden", k, [item]) for k in range(8) for item in items(16)
        ],
        "50 accounts rate 256 items each": [rating("busy", k, items(256)) for k in range(50)],
        "a new account rates 32,768 items": [
            rating("eager", 0, p.tolist()) for p in np.split(np.arange(_HEAVY + 1), 128)
        ],
        "that account rates one of them anew": [rating("eager", 0, [5])],
        "256 items are registered": [
            (_name("known", k), bytes((8, 3)) + encode_compact(len(title)) + title) for k, title in enumerate(titles)
        ],
        "100 predictions": predictions,
        "100 ratings, each with a prediction after it": [
            call for k, one in enumerate(predictions) for call in (rating("known", k, items(1)), one)
        ],
        "a prediction for an account with 32,768 ratings": [(_name("heavy", 0), bytes((8, 1)) + U64.encode(7))],
    }


def _name(kind: str, number: int) -> AccountId:
    return account_of(f"{kind} {number}")
