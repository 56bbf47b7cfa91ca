import itertools
import random
from collections.abc import Collection

import trio
import trio.testing

from p2p.config import Timing
from p2p.discovery import dial_forever
from p2p.network import PeerId
from p2p.peers import PeerBook

HERE = "/ip4/10.0.0.1/tcp/1"


class Net:
    """Dials take a second; a peer answers or not."""

    def __init__(self, book: PeerBook, answering: set[str]) -> None:
        self.book = book
        self.answering = answering
        self.now: set[PeerId] = set()
        self.connected: set[PeerId] = set()
        self.dials: list[tuple[float, PeerId]] = []
        self.most_at_once = 0

    def busy(self) -> Collection[PeerId]:
        return self.now | self.connected

    def outbound(self) -> int:
        return len(self.now | self.connected)

    async def dial(self, peer: PeerId) -> None:
        self.dials.append((trio.current_time(), peer))
        self.now.add(peer)
        self.most_at_once = max(self.most_at_once, len(self.now))
        await trio.sleep(1)
        self.now.remove(peer)
        if peer not in self.answering:
            self.book.failed(peer)
            return
        self.book.met(peer, HERE)
        self.connected.add(peer)
        await trio.sleep_forever()


def run(net: Net, out_peers: int, seconds: float) -> None:
    async def main() -> None:
        with trio.move_on_after(seconds):
            await dial_forever(net, net.book, out_peers)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def make(answering: set[str]) -> Net:
    # trio's virtual time is also the time of day here.
    book = PeerBook(Timing(), trio.current_time, random.Random(1))  # noqa: S311 - dials, no secrets
    return Net(book, answering)


def learn(net: Net, count: int) -> None:
    for number in range(count):
        net.book.learn(PeerId(str(number)), HERE)


def test_dials_go_on_until_there_are_enough_peers_and_no_further() -> None:
    net = make({str(number) for number in range(0, 20, 2)})
    learn(net, 20)
    run(net, out_peers=4, seconds=120)
    assert len(net.connected) == 4
    assert net.most_at_once == 4
    assert {peer for _, peer in net.dials} >= net.connected


def test_a_peer_that_is_not_there_is_dialled_ever_more_rarely_and_beside_the_others() -> None:
    net = make({"1"})
    net.book.learn(PeerId("0"), HERE, permanent=True)
    net.book.learn(PeerId("1"), HERE)
    run(net, out_peers=4, seconds=400)
    assert net.connected == {"1"}
    times = [at for at, peer in net.dials if peer == "0"]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert 22 <= len(times) <= 36
    assert pauses[0] < 3 < 8 < pauses[-1] < 22
