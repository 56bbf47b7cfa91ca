"""Files of blocks by ascending number: of each its length (u32, little-endian) and its SCALE encoding."""

from collections.abc import Iterator
from typing import BinaryIO, Final

from runtime.header import MAX_BODY_BYTES, MAX_DIGEST_ITEMS, MAX_DIGEST_PAYLOAD, Block
from runtime.scale import ScaleError

_PREFIX: Final = 4
# A header's fixed members and the framing of its digest and of the body take less than the last kilobyte.
MAX_BLOCK: Final = MAX_BODY_BYTES + MAX_DIGEST_ITEMS * MAX_DIGEST_PAYLOAD + 1_024


class StreamError(ValueError):
    """The file is cut, or holds something else; the message says where."""


def write_block(stream: BinaryIO, block: Block) -> None:
    """Append a block."""
    data = block.encode()
    stream.write(len(data).to_bytes(_PREFIX, "little") + data)


def read_blocks(stream: BinaryIO) -> Iterator[Block]:
    """Walk the blocks of a file.

    Raises:
        StreamError: a record is cut, too long or no block.
    """
    offset = 0
    while prefix := stream.read(_PREFIX):
        size = int.from_bytes(prefix, "little")
        if len(prefix) < _PREFIX:
            raise StreamError(f"the file is cut: it ends within the length of the block at byte {offset}")
        if size > MAX_BLOCK:
            raise StreamError(f"the block at byte {offset} has {size} bytes, at most {MAX_BLOCK} are allowed")
        data = stream.read(size)
        if len(data) < size:
            raise StreamError(f"the file is cut: the block at byte {offset} has {size} bytes, {len(data)} are there")
        try:
            block = Block.decode(data)
        except ScaleError as error:
            raise StreamError(f"what stands at byte {offset} is no block: {error}") from None
        yield block
        offset += _PREFIX + size
