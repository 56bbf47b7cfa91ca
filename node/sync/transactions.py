"""Transactions among peers: passed on in batches, and compared when peers meet, since gossip loses some."""

import logging
from collections.abc import Callable
from typing import Final

import trio

from node.chain import Chain
from node.intake import Intake, Outcome
from node.pool import PoolRefused, RefusalReason, TransactionPool
from node.sync.messages import (
    MAX_ASKED,
    POOL,
    TRANSACTIONS,
    MessageError,
    decode_extrinsics,
    encode_hashes,
    split_hashes,
)
from node.sync.peers import PeerStates
from p2p.gossip import Batcher, split
from p2p.network import Misbehaviour, Network, NetworkError, PeerId, TooLarge, Topic, Verdict
from runtime.extrinsic import Extrinsic, extrinsic_hash
from runtime.interface.errors import InvalidReason, InvalidTransaction
from runtime.primitives import Hash

log = logging.getLogger(__name__)

_MAX_BATCH: Final = 4_096
_DEADLINE: Final = 10.0
_MOST_FETCHED: Final = 8_192
_INTERVAL: Final = 15.0
"""Seconds between two comparisons of the pool with that of a peer; each time with the next one."""
_FALSE: Final = frozenset(
    {InvalidReason.UNDECODABLE, InvalidReason.TOO_LONG, InvalidReason.BAD_SIGNER, InvalidReason.UNSIGNED}
)
"""What is wrong wherever it is looked at from: no honest peer passes such a thing on."""


class TransactionExchange:
    """Passes on what the pool has taken, and takes what peers pass on."""

    def __init__(
        self,
        chain: Chain,
        pool: TransactionPool,
        intake: Intake,
        network: Network,
        peers: PeerStates,
        is_behind: Callable[[], bool],
    ) -> None:
        """`is_behind`: we are catching up, and cannot judge transactions."""
        self._chain = chain
        self._pool = pool
        self._intake = intake
        self._network = network
        self._peers = peers
        self._is_behind = is_behind
        self._batcher = Batcher(self._publish)

    async def run(self) -> None:
        """Publish what is to be passed on, and compare pools now and then; runs until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._batcher.run)
            nursery.start_soon(self._compare_forever)

    def relay(self, transaction: bytes) -> None:
        """Pass a transaction on that the pool has taken."""
        try:
            self._batcher.add(transaction)
        except TooLarge as error:
            log.debug("a transaction is not passed on: %s", error)

    def _publish(self, batch: bytes) -> None:
        to = tuple(str(peer) for peer, _ in self._peers)
        if not to:
            return  # peers to come ask for what the pool has
        self._network.publish(Topic.TRANSACTIONS, batch)
        for transaction in split(batch):
            self._pool.on_broadcast(extrinsic_hash(transaction), to)

    async def on_gossip(self, payload: bytes) -> Verdict:
        """Take a batch; it is passed on as it is if each of it was found good here, now or before.

        Of what the pool refuses not even the signature is known to hold. A batch with such things in it might be
        false for others, who would blame us: what was good in it goes out again in a batch of our own.
        """
        if self._is_behind():
            return Verdict.IGNORE
        try:
            transactions = split(payload)
        except ValueError:
            return Verdict.REJECT
        if not 1 <= len(transactions) <= _MAX_BATCH:
            return Verdict.REJECT
        outcomes = await self._intake.take(transactions)
        if any(_is_false(raw, outcome) for raw, outcome in zip(transactions, outcomes, strict=True)):
            return Verdict.REJECT
        taken = [raw for raw, outcome in zip(transactions, outcomes, strict=True) if not isinstance(outcome, Exception)]
        if taken and all(not isinstance(outcome, Exception) or _is_here(outcome) for outcome in outcomes):
            return Verdict.ACCEPT
        for raw in taken:
            self.relay(raw)
        return Verdict.IGNORE

    async def compare(self, peer: PeerId) -> None:
        """Take what a peer has in its pool and we lack."""
        try:
            with trio.move_on_after(2 * _DEADLINE):
                answer = await self._network.request(peer, POOL.code, b"", deadline=_DEADLINE)
                lacking = [name for name in split_hashes(answer) if self._pool.get(name) is None][:_MOST_FETCHED]
                for at in range(0, len(lacking), MAX_ASKED):
                    await self._fetch(peer, lacking[at : at + MAX_ASKED])
        except NetworkError as error:
            log.debug("comparing pools with %s failed: %s", peer, error)
        except MessageError as error:
            self._network.report(peer, Misbehaviour.BAD_RESPONSE, str(error))

    async def _fetch(self, peer: PeerId, names: list[Hash]) -> None:
        answer = await self._network.request(peer, TRANSACTIONS.code, encode_hashes(names), deadline=_DEADLINE)
        transactions = decode_extrinsics(answer)
        wanted = frozenset(names)
        if any(extrinsic_hash(raw) not in wanted for raw in transactions):
            raise MessageError("transactions that were not asked for")
        outcomes = await self._intake.take(transactions)
        if any(_is_false(raw, outcome) for raw, outcome in zip(transactions, outcomes, strict=True)):
            raise MessageError("a transaction in the pool that is false")

    async def _compare_forever(self) -> None:
        turn = 0
        while True:
            await trio.sleep(_INTERVAL)
            peers = [peer for peer, _ in self._peers]
            if peers and not self._is_behind():
                turn += 1
                await self.compare(peers[turn % len(peers)])


def _is_here(refusal: Exception) -> bool:
    """Tell whether a transaction was refused only because the pool has the very same already."""
    return isinstance(refusal, PoolRefused) and refusal.reason is RefusalReason.ALREADY_IMPORTED


def _is_false(raw: bytes, outcome: Outcome) -> bool:
    """Tell whether a transaction could be good nowhere; a signature that holds for one branch only could be."""
    if not isinstance(outcome, InvalidTransaction):
        return False
    if outcome.reason is not InvalidReason.BAD_PROOF:
        return outcome.reason in _FALSE
    signature = Extrinsic.decode(raw).signature
    return signature is not None and signature.era.is_immortal
