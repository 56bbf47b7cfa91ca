"""What a fast sync asks one peer."""

from typing import Final

from node.sync.messages import (
    BODY,
    HEADERS,
    MAX_HEADERS,
    STATE,
    UNKNOWN_PLACE,
    VOTES,
    BodyRequest,
    HeadersRequest,
    MessageError,
    StateAnswer,
    StateRequest,
    VotesAnswer,
    VotesRequest,
    decode_extrinsics,
    decode_headers,
)
from p2p.network import Network, PeerId, Refused
from runtime.header import Header
from runtime.primitives import BlockNumber, Hash
from runtime.trie import ordered_root

_DEADLINE: Final = 20.0


def is_unknown(refusal: Refused) -> bool:
    """Tell whether a peer refuses headers since it has not got the block they are to follow, not for being busy."""
    return UNKNOWN_PLACE in str(refusal)


class Asker:
    """Asks; whatever does not answer the question is a `MessageError`, and no answer a `NetworkError`."""

    def __init__(self, network: Network, peer: PeerId) -> None:
        """Take the peer to ask."""
        self._network = network
        self.peer = peer

    async def _ask(self, kind: int, payload: bytes) -> bytes:
        return await self._network.request(self.peer, kind, payload, deadline=_DEADLINE)

    async def headers(self, behind: Hash) -> list[Header]:
        """Ask for the headers behind a block of the peer's best chain."""
        request = HeadersRequest((behind,), MAX_HEADERS)
        return decode_headers(await self._ask(HEADERS.code, request.encode()))

    async def votes(self, first: BlockNumber, last: BlockNumber) -> VotesAnswer:
        """Ask for the votes in some blocks."""
        answer = VotesAnswer.decode(await self._ask(VOTES.code, VotesRequest(first, last).encode()))
        if not first <= answer.last <= last:
            raise MessageError(f"votes up to block {answer.last}, blocks {first} to {last} were asked about")
        return answer

    async def state(self, request: StateRequest) -> StateAnswer:
        """Ask for a range of a state, which is for others to check."""
        return StateAnswer.decode(await self._ask(STATE.code, request.encode()))

    async def body(self, header: Header) -> tuple[bytes, ...]:
        """Ask for the body of a block."""
        body = decode_extrinsics(await self._ask(BODY.code, BodyRequest(header.hash(), ()).encode()))
        if ordered_root(body) != header.extrinsics_root:
            raise MessageError(f"a body that is not that of block {header.number}")
        return body
