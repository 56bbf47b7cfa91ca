"""TCP sockets, before libp2p sees them."""

import socket
import struct

import pytest
import trio

from p2p import tcp


def test_the_socket_of_who_has_gone_before_we_looked_is_closed() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            raw = await trio.open_tcp_stream(*listener.getsockname())
            peer, _ = listener.accept()
            # Closed at once, with a reset instead of an orderly end.
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
            with trio.fail_after(30):
                await trio.lowlevel.wait_readable(raw.socket)
            with pytest.raises(OSError, match="not connected"):
                tcp.connected(raw)
            assert raw.socket.fileno() == -1

    trio.run(main)
