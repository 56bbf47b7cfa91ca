"""Writes that are joined: one system call a turn of the loop, in order, and none after the end."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from rpc.joining import JoiningTransport, joining


class Written(asyncio.Transport):
    """Remembers what was done to it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("::1", 1)})
        self.done: list[object] = []
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.done.append(bytes(data))

    def close(self) -> None:
        self.closing = True
        self.done.append("closed")

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.done.append("paused")


Use = Callable[[JoiningTransport], Awaitable[None]]


def done(use: Use) -> list[object]:
    written = Written()

    async def main() -> None:
        await use(JoiningTransport(written, asyncio.get_running_loop()))
        await asyncio.sleep(0)

    asyncio.run(main())
    return written.done


def test_what_is_written_in_one_turn_goes_out_together_and_in_order() -> None:
    async def use(transport: JoiningTransport) -> None:
        transport.write(b"a")
        transport.write(b"b")
        await asyncio.sleep(0)
        transport.write(b"c")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        transport.write(b"d")

    assert done(use) == [b"ab", b"c", b"d"]


def test_much_does_not_wait_for_the_end_of_the_turn() -> None:
    async def use(transport: JoiningTransport) -> None:
        transport.write(bytes(1 << 15))
        transport.write(b"a")
        transport.pause_reading()
        transport.write(b"b")

    assert done(use) == [bytes(1 << 15) + b"a", "paused", b"b"]


def test_closing_writes_what_is_left_and_nothing_later() -> None:
    async def use(transport: JoiningTransport) -> None:
        transport.write(b"a")
        transport.close()
        transport.write(b"b")

    assert done(use) == [b"a", "closed"]


@pytest.mark.parametrize("name", ["peername", "socket"])
def test_all_else_is_the_transports_own(name: str) -> None:
    async def main() -> None:
        written = Written()
        transport = joining(written, asyncio.get_running_loop())
        assert transport.get_extra_info(name) == written.get_extra_info(name)
        assert joining(transport, asyncio.get_running_loop()) is transport

    asyncio.run(main())
