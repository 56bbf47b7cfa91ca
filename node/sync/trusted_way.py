"""The way from block 0 to the trusted block, so that a fast sync stores no headers that lead elsewhere."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from node.followed import FollowedChain
from node.sync.messages import MAX_HEADERS
from node.sync.pace import PeerFails, PeerLies
from p2p.network import Misbehaviour
from runtime.header import Header
from runtime.primitives import BlockRef, Hash

BYTES_HELD: Final = 1 << 24
"""Bytes of headers that are in memory only."""

More = Callable[[FollowedChain, int], Awaitable[list[Header]]]
"""Follows a peer's next headers up to a block of this number, and returns them; none at the end of its chain."""


def size_of(headers: Sequence[Header]) -> int:
    """Return the bytes of some headers."""
    return sum(len(header.encode()) for header in headers)


class TrustedWay:
    """Hashes of blocks that lead to the trusted one, which is among them; none before a peer has shown them."""

    def __init__(self) -> None:
        """Begin without knowing any."""
        self._marks: dict[int, Hash] = {}

    @property
    def is_known(self) -> bool:
        """Tell whether a peer has shown it."""
        return bool(self._marks)

    async def find(self, chain: FollowedChain, trusted: BlockRef, more: More) -> None:
        """Follow headers to the trusted block and keep hashes on the way.

        Then the headers are fetched again, from whoever has them, and stored from one such hash to the next.

        Raises:
            PeerFails: the peer's chain does not go so far; whatever `more` raises.
        """
        marks = dict[int, Hash]()
        since, size = chain.head.number, 0
        while chain.head.number < trusted.number:
            headers = await more(chain, trusted.number)
            if not headers:
                raise PeerFails("the peer has not got the trusted block yet")
            size += size_of(headers)
            if chain.head.number == trusted.number or chain.head.number - since >= MAX_HEADERS or size >= BYTES_HELD:
                marks[chain.head.number] = chain.head.hash
                since, size = chain.head.number, 0
        self._marks = marks

    def last_sure(self, headers: Sequence[Header]) -> int:
        """Return the last of some headers that is known to lead to the trusted block, 0 if none is.

        Raises:
            PeerLies: one leads elsewhere.
        """
        sure = 0
        for header in headers:
            mark = self._marks.get(header.number)
            if mark is not None:
                if mark != header.hash():
                    raise PeerLies(Misbehaviour.BAD_BLOCK, f"block {header.number} does not lead to the trusted one")
                sure = header.number
        return sure
