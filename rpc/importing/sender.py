"""Sends many accounts' transactions and sees to it that each gets into a block.

What is in is known from one place only, the accounts' nonces in the state: a nonce that has moved past a
transaction means that it is in a block of the best chain. What was sent and is not in yet may be lost, with
the node's pool or because its era passed; it is then signed anew and sent again under the same nonce, so that
the chain can hold it only once.
"""

import heapq
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from rpc.client import RpcClient, Subscription
from rpc.errors import CODES, Reason, RpcError
from rpc.failure import CommandError, Failing, expecting
from rpc.importing.link import Link
from rpc.transactions import Signing, account_key, next_nonce_calls, signing_now, stored_nonce
from runtime.crypto import KeyPair
from runtime.interface.errors import InvalidReason
from runtime.primitives import to_hex

ERA_PERIOD: Final = 256
# The era's beginning is moved up when this much of it has passed.
STALE_ERA: Final = 64
KEYS_PER_QUERY: Final = 1_000

# Refusals that pass: the pool is full, or will not take this now.
_LATER: Final = frozenset(
    CODES[reason]
    for reason in (
        Reason.POOL_FULL,
        Reason.RATE_LIMITED,
        Reason.NOT_READY,
        Reason.TOO_MANY,
    )
)
_PASSING_FAULTS: Final = (InvalidReason.ANCIENT_BIRTH_BLOCK.text, InvalidReason.FUTURE.text)
# Refusals of what the node has already: the same bytes, or the same nonce signed before a restart.
_THERE: Final = frozenset(CODES[reason] for reason in (Reason.ALREADY_IMPORTED, Reason.PRIORITY_TOO_LOW))


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is on its way at once, and how long to wait for what. Times in seconds."""

    ratings_in_flight: int = 20_000
    transactions_in_flight: int = 8_000
    transactions_a_message: int = 200
    ratings_a_message: int = 4_096
    poll: float = 0.1
    retry: float = 0.5
    stall: float = 8.0
    give_up: float = 300.0


@dataclass(slots=True)
class Lane:
    """One account's transactions: numbers of `Work`, ascending. Nonce `first_nonce + k` belongs to the k-th.

    The first `included` are in blocks, the first `sent` have been sent.
    """

    pair: KeyPair
    first_nonce: int
    numbers: Sequence[int]
    included: int = 0
    sent: int = 0


@dataclass(frozen=True, slots=True)
class Work:
    """All transactions by number: whose each is, how many ratings it counts for, its window, and its call."""

    lanes: Sequence[Lane]
    lane_of: Sequence[int]
    weights: Sequence[int]
    windows: Sequence[int]
    call: Callable[[int], bytes]


@dataclass(slots=True)
class Sender:
    """Sends some work. `strict`: a window begins when the one before is in blocks; `rate`: ratings a second.

    `on_progress` is told how many ratings are in blocks whenever that changes.
    """

    link: Link
    work: Work
    bounds: Bounds = field(default_factory=Bounds)
    rate: float | None = None
    strict: bool = False
    on_progress: Callable[[int], None] = field(default=lambda _: None)
    included_ratings: int = 0
    _queue: list[int] = field(default_factory=list)
    _busy: set[int] = field(default_factory=set)
    _ratings_in_flight: int = 0
    _transactions_in_flight: int = 0
    _signing: Signing | None = None
    _head: int = 0
    _allowance: float = 0.0
    _allowance_at: float = 0.0
    _refused: bool = False
    _polled_at: float = 0.0
    _checked_at: float = 0.0
    _progress_at: float = 0.0

    def look(self) -> None:
        """See what is in blocks already; `run` begins with that, too."""
        self._poll(self.link.node, range(len(self.work.lanes)))

    def run(self) -> None:
        """Send everything and return when all of it is in blocks.

        Raises:
            ConnectionError: the node stays away.
            RpcError: the node refuses a transaction for good.
            CommandError: no block takes anything any more, or the node has another chain now.
        """
        self._progress_at = self._checked_at = self._allowance_at = time.monotonic()
        self._queue = list(range(len(self.work.lane_of)))
        while True:
            try:
                self._converse(self.link.node)
                return
            except (ConnectionError, TimeoutError):
                self.link.reconnect()
                self._progress_at = time.monotonic()

    def _converse(self, node: RpcClient) -> None:
        """Send and watch on one connection until all is done."""
        for index in list(self._busy):
            self._take_back(index, self.work.lanes[index].included)
        with node.subscribe("chain_subscribeNewHeads") as heads:
            self._poll(node, range(len(self.work.lanes)))
            while self._queue or self._busy:
                self._step(node, heads)
                if not self._queue and not self._busy:  # a reorganisation may have undone what was done long ago
                    self._poll(node, range(len(self.work.lanes)))

    def _step(self, node: RpcClient, heads: Subscription) -> None:
        """Send some more, or wait for blocks, and see what is in them."""
        if self._send_some(node) and not self._refused:
            if time.monotonic() - self._polled_at >= self.bounds.poll:
                self._note_heads(heads, 0.0)
                self._poll(node, self._busy)
            return
        self._note_heads(heads, self._patience())
        self._poll(node, self._busy)
        self._look_for_lost(node)

    def _current_signing(self, node: RpcClient) -> Signing:
        if self._signing is None or self._head >= self._signing.reference + STALE_ERA:
            self._signing = signing_now(node, ERA_PERIOD)
            self._head = max(self._head, self._signing.reference)
        return self._signing

    def _patience(self) -> float:
        """How long to wait for a block when there is nothing to send, or nothing may be sent."""
        if self._refused or not self._queue or self.rate is None:
            return self.bounds.retry
        return min(self.bounds.retry, max(self.bounds.poll, 1.0 / self.rate))

    def _note_heads(self, heads: Subscription, timeout: float) -> None:
        """Wait for a head, and take all that have come."""
        with suppress(TimeoutError):
            while True:
                header = heads.next(timeout)
                with expecting("chain_subscribeNewHeads"):
                    self._head = int(header["number"], 16)
                timeout = 0.0

    def _send_some(self, node: RpcClient) -> int:
        """Send one message of transactions as far as the bounds allow; how many."""
        self._refused = False
        chosen = self._choose()
        if not chosen:
            return 0
        signing = self._current_signing(node)
        calls = []
        for number, place in chosen:
            lane = self.work.lanes[self.work.lane_of[number]]
            extrinsic = signing.sign(lane.pair, self.work.call(number), lane.first_nonce + place)
            calls.append(("author_submitExtrinsic", [to_hex(extrinsic)]))
        for (number, place), result in zip(chosen, node.batch(calls), strict=True):
            if isinstance(result, RpcError):
                self._handle_refusal(number, place, result)
        return len(chosen)

    def _choose(self) -> list[tuple[int, int]]:
        """Take the next transactions from the queue: each one's number and place in its lane."""
        work, bounds = self.work, self.bounds
        chosen: list[tuple[int, int]] = []
        ratings = 0
        allowed = self._allowed()
        window: int | None = None
        while self._queue and len(chosen) < bounds.transactions_a_message and ratings < bounds.ratings_a_message:
            number = self._queue[0]
            index = work.lane_of[number]
            lane = work.lanes[index]
            if lane.sent >= len(lane.numbers) or lane.numbers[lane.sent] != number:
                heapq.heappop(self._queue)  # in a block already, or in the queue twice
                continue
            weight = work.weights[number]
            if self._transactions_in_flight and (
                self._ratings_in_flight + weight > bounds.ratings_in_flight
                or self._transactions_in_flight >= bounds.transactions_in_flight
            ):
                break
            if self.strict:
                window = self._window_in_flight(window)
                if window is not None and window != work.windows[number]:
                    break
                window = work.windows[number]
            if allowed < 1.0:
                break
            allowed -= weight
            self._allowance -= weight
            heapq.heappop(self._queue)
            chosen.append((number, lane.sent))
            ratings += weight
            lane.sent += 1
            self._busy.add(index)
            self._ratings_in_flight += weight
            self._transactions_in_flight += 1
        return chosen

    def _window_in_flight(self, chosen: int | None) -> int | None:
        """The window that anything on its way belongs to."""
        if chosen is not None or not self._busy:
            return chosen
        lane = self.work.lanes[next(iter(self._busy))]
        return self.work.windows[lane.numbers[lane.included]]

    def _allowed(self) -> float:
        """How many ratings may go now; the rate is met on average over a second."""
        if self.rate is None:
            return float("inf")
        now = time.monotonic()
        self._allowance = min(self._allowance + (now - self._allowance_at) * self.rate, max(self.rate, 1.0))
        self._allowance_at = now
        return self._allowance

    def _handle_refusal(self, number: int, place: int, error: RpcError) -> None:
        """Decide what a refusal means for the transaction."""
        if error.code in _THERE or (
            error.code == CODES[Reason.INVALID_TRANSACTION] and error.data == InvalidReason.STALE.text
        ):
            return  # in the pool or in a block: its nonce will tell
        if error.code == CODES[Reason.TEMPORARILY_BANNED] or (
            error.code == CODES[Reason.INVALID_TRANSACTION] and error.data in _PASSING_FAULTS
        ):
            self._signing = None  # signed at a later block it is another transaction
        elif error.code not in _LATER:
            raise error
        self._refused = True
        self._take_back(self.work.lane_of[number], place)

    def _take_back(self, index: int, place: int) -> None:
        """Queue again what a lane has sent from this place on."""
        lane = self.work.lanes[index]
        for number in lane.numbers[place : lane.sent]:
            heapq.heappush(self._queue, number)
            self._ratings_in_flight -= self.work.weights[number]
            self._transactions_in_flight -= 1
        lane.sent = min(lane.sent, place)
        if lane.sent <= lane.included:
            self._busy.discard(index)

    def _poll(self, node: RpcClient, indices: Iterable[int]) -> None:
        """Ask for the nonces of these lanes' accounts and note what is in blocks."""
        self._polled_at = time.monotonic()
        before = self.included_ratings
        asked = list(indices)
        nonces = stored_nonces(node, [self.work.lanes[index].pair for index in asked])
        for index, nonce in zip(asked, nonces, strict=True):
            self._note_nonce(index, nonce)
        if self.included_ratings != before:
            self._progress_at = self._checked_at = self._polled_at
            self.on_progress(self.included_ratings)

    def _note_nonce(self, index: int, nonce: int) -> None:
        lane = self.work.lanes[index]
        included = min(max(nonce - lane.first_nonce, 0), len(lane.numbers))
        weights = self.work.weights
        if included < lane.included:  # a reorganisation, whose transactions are back in the pool
            taken = lane.numbers[included : lane.included]
            self.included_ratings -= sum(weights[number] for number in taken)
            self._ratings_in_flight += sum(weights[number] for number in taken)
            self._transactions_in_flight += len(taken)
        for place in range(lane.included, included):
            number = lane.numbers[place]
            self.included_ratings += weights[number]
            if place < lane.sent:
                self._ratings_in_flight -= weights[number]
                self._transactions_in_flight -= 1
        lane.included = included
        lane.sent = max(lane.sent, included)
        if lane.sent > included:
            self._busy.add(index)
        else:
            self._busy.discard(index)

    def _look_for_lost(self, node: RpcClient) -> None:
        """After a while without progress: queue again what is neither in a block nor in the pool."""
        now = time.monotonic()
        if now - self._progress_at > self.bounds.give_up:
            message = f"no block has taken a transaction of this import for {self.bounds.give_up:g} seconds"
            raise CommandError(Failing.TIMED_OUT, message)
        if not self._busy or now - self._checked_at < self.bounds.stall:
            return
        self._checked_at = now
        asked = list(self._busy)
        for start in range(0, len(asked), KEYS_PER_QUERY):
            part = asked[start : start + KEYS_PER_QUERY]
            calls = next_nonce_calls(self.work.lanes[index].pair.public for index in part)
            for index, result in zip(part, node.batch(calls), strict=True):
                if isinstance(result, RpcError):
                    raise result
                lane = self.work.lanes[index]
                with expecting("system_accountNextIndex"):
                    known = int(result) - lane.first_nonce
                if known < lane.sent:
                    self._take_back(index, max(known, lane.included))


def stored_nonces(node: RpcClient, pairs: Sequence[KeyPair], at: str | None = None) -> list[int]:
    """How many transactions of each account are in blocks, at the best block or at `at`."""
    nonces: list[int] = []
    for start in range(0, len(pairs), KEYS_PER_QUERY):
        keys = [account_key(pair.public) for pair in pairs[start : start + KEYS_PER_QUERY]]
        params: list[Any] = [keys] if at is None else [keys, at]
        changes = node.call("state_queryStorageAt", *params)
        with expecting("state_queryStorageAt"):
            values = dict(changes[0]["changes"])
            nonces += [stored_nonce(values.get(key)) for key in keys]
    return nonces
