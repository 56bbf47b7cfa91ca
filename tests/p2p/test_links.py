"""What libp2p says of its connections does not reach the log."""

import logging
from unittest.mock import MagicMock

import pytest
import trio
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.network.swarm import Swarm
from libp2p.stream_muxer.exceptions import MuxedConnUnavailable
from libp2p.stream_muxer.yamux.yamux import Yamux

from p2p.links import is_not_of_libp2p


@pytest.mark.parametrize("is_filtered", [True, False])
def test_a_connection_that_cannot_be_closed(is_filtered: bool, caplog: pytest.LogCaptureFixture) -> None:
    """libp2p logs it as the root logger, at each end of a connection that a peer likes."""
    muxed = MagicMock(Yamux, peer_id="12D3", is_closed=True)
    muxed.close.side_effect = MuxedConnUnavailable("gone")
    connection = SwarmConn(muxed, MagicMock(Swarm))
    root = logging.getLogger()
    assert is_not_of_libp2p in root.filters
    if not is_filtered:
        root.removeFilter(is_not_of_libp2p)
    try:
        trio.run(connection.close)
    finally:
        root.addFilter(is_not_of_libp2p)
    assert caplog.messages == ([] if is_filtered else ["Error while closing muxed connection: gone"])


def test_what_others_log_as_the_root_logger_is_seen(caplog: pytest.LogCaptureFixture) -> None:
    logging.warning("somebody else")
    assert caplog.messages == ["somebody else"]
