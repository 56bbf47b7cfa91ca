"""The state of a block, fetched in ranges, each with a proof that it is all there is between its ends."""

from collections.abc import Callable

import trio

from node.errors import first_error
from node.executor import Executor
from node.sync.asker import Asker
from node.sync.messages import MessageError, StateAnswer, StateRequest
from node.sync.pace import PeerFails, PeerLies
from p2p.network import Misbehaviour, NetworkError
from runtime.primitives import Hash
from runtime.trie import ProofError, StateVersion, verify_range
from storage.snapshot import Snapshot


async def fetch_state(
    ask: Asker, snapshot: Snapshot, executor: Executor, stored: Callable[[StateAnswer], None]
) -> None:
    """Fetch what is left of the snapshot's state; the next range is asked for while one is checked and stored.

    `stored` is told of each range, and may raise to give the peer up.

    Raises:
        PeerLies: a range is false, or leads nowhere.
        PeerFails, NetworkError, MessageError: the peer does not give it.
    """
    if snapshot.has_state:
        return
    header = snapshot.target_header
    given, taken = trio.open_memory_channel[StateAnswer](1)

    async def fetch() -> None:
        async with given:
            after = snapshot.after
            while True:
                answer = await ask.state(StateRequest(header.hash(), after))
                last = answer.pairs[-1][0] if answer.pairs else b""
                if not answer.is_last and (not answer.pairs or (after is not None and last <= after)):
                    raise PeerLies(Misbehaviour.BAD_RESPONSE, "a range of the state that leads nowhere")
                await given.send(answer)
                if answer.is_last:
                    return
                after = last

    failure = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fetch)
            async for answer in taken:
                await executor.on_chain(_store_range, snapshot, header.state_root, answer)
                stored(answer)
    except* (PeerLies, PeerFails, NetworkError, MessageError) as group:
        failure = first_error(group)
    if failure is not None:
        raise failure


def _store_range(snapshot: Snapshot, root: Hash, answer: StateAnswer) -> None:
    """Check a range of the state, then store it."""
    try:
        verify_range(root, answer.proof, answer.pairs, snapshot.after, StateVersion.V1, is_last=answer.is_last)
    except ProofError as error:
        raise PeerLies(Misbehaviour.BAD_BLOCK, f"a part of the state: {error}") from None
    snapshot.put(answer.pairs, is_last=answer.is_last)
