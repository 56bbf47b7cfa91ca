"""What is logged of exceptions: defects once with their traceback, the end of a connection not at all."""

import logging

import pytest
import trio
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.network.stream.exceptions import StreamError
from libp2p.protocol_muxer.exceptions import MultiselectError
from libp2p.stream_muxer.exceptions import MuxedConnUnavailable

from p2p.faults import Faults, is_loss


def raised_from(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


LOSSES = [
    trio.BrokenResourceError(),
    ConnectionClosedError("reset"),
    StreamError("reset"),
    MuxedConnUnavailable("closed"),
    raised_from(MultiselectError(), StreamError("reset")),
]


@pytest.mark.parametrize("error", LOSSES, ids=lambda error: type(error).__name__)
def test_a_lost_connection_is_worth_no_line(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    faults = Faults()
    faults.caught("gossip write", error, "12D3")
    assert is_loss(error)
    assert caplog.messages == []
    assert faults.counts == {"gossip write: connection lost": 1}


def test_a_defect_is_a_warning_the_first_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    faults = Faults()
    for _ in range(2):
        faults.caught("gossip write", KeyError("x"), "12D3")
    assert caplog.messages == [
        "gossip write failed (peer 12D3): KeyError: 'x'; further ones of this kind are only counted"
    ]
    assert caplog.records[0].levelno == logging.WARNING
    assert caplog.records[0].exc_info is not None
    assert faults.counts == {"gossip write": 2}


@pytest.mark.parametrize("error", [MultiselectError("no protocol"), ValueError("no stream is due")])
def test_what_a_peer_does_wrong_is_no_loss(error: Exception) -> None:
    assert not is_loss(error)
