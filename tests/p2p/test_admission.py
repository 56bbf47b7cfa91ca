from dataclasses import dataclass

from p2p.addresses import Address, tcp_address
from p2p.admission import Admission


@dataclass(eq=False)
class Visitor:
    host: str
    aborted: bool = False

    @property
    def remote(self) -> Address:
        return tcp_address(self.host, 1000)

    def abort(self) -> None:
        self.aborted = True


def test_a_host_has_so_many_connections_this_machine_more() -> None:
    admission = Admission(max_pending=100, max_per_host=2)
    first, second = Visitor("10.0.0.1"), Visitor("10.0.0.1")
    assert admission.enter(first)
    assert admission.enter(second)
    admission.established(first)
    assert not admission.enter(Visitor("10.0.0.1"))
    assert admission.enter(Visitor("10.0.0.2"))
    assert all(admission.enter(Visitor("127.0.0.1")) for _ in range(10))
    admission.leave(first)
    assert admission.enter(Visitor("10.0.0.1"))


def test_one_subscriber_of_ipv6_is_one_host_whatever_its_addresses() -> None:
    admission = Admission(max_pending=100, max_per_host=2)
    visitors = [Visitor(f"2001:db8:1:2::{n:x}") for n in range(1, 5)]
    assert [admission.enter(visitor) for visitor in visitors] == [True, True, False, False]
    assert admission.enter(Visitor("2001:db8:1:3::1"))
    assert all(admission.enter(Visitor("::1")) for _ in range(10))
    admission.leave(visitors[0])
    assert admission.enter(visitors[3])


def test_a_crowd_of_silent_ones_makes_room_for_the_next() -> None:
    """The oldest of the most crowded host goes, not the lone visitor who came before all of them."""
    admission = Admission(max_pending=4, max_per_host=8)
    lone = Visitor("10.0.0.9")
    crowd = [Visitor("10.0.0.1") for _ in range(3)]
    for visitor in (lone, *crowd):
        assert admission.enter(visitor)
    assert admission.enter(Visitor("10.0.0.2"))
    assert [visitor.aborted for visitor in (lone, *crowd)] == [False, True, False, False]
    # Those whose encryption is set up do not count any more, nor do those that have left.
    admission.established(crowd[1])
    admission.leave(crowd[0])
    assert admission.enter(Visitor("10.0.0.3"))
    assert [visitor.aborted for visitor in (lone, *crowd)] == [False, True, False, False]
