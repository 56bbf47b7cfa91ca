"""Blocks as they are stored: read from any view of the store, and what is written of one."""

from typing import NoReturn

from runtime.header import Block, Header, decode_body, encode_body
from runtime.primitives import BlockNumber, Hash, to_hex
from runtime.scale import ScaleError
from storage.columns import body_key, header_key, number_key
from storage.errors import Reason, StorageError
from storage.kv import KeyValueReader, Write


def read_header(reader: KeyValueReader, block: Hash) -> Header | None:
    """The header of a block, if it is stored."""
    data = reader.get(header_key(block))
    if data is None:
        return None
    try:
        return Header.decode(data)
    except ScaleError as error:
        _damaged("header", block, error)


def read_body(reader: KeyValueReader, block: Hash) -> tuple[bytes, ...] | None:
    """The extrinsics of a block, if it is stored."""
    data = reader.get(body_key(block))
    if data is None:
        return None
    try:
        return decode_body(data)
    except ScaleError as error:
        _damaged("body", block, error)


def read_hash(reader: KeyValueReader, number: BlockNumber) -> Hash | None:
    """The hash of the block with this number on the head's chain, if the chain is that long."""
    data = reader.get(number_key(number))
    return None if data is None else Hash(data)


def block_writes(block: Block, name: Hash) -> list[Write]:
    """The writes that store a block's header and body."""
    return [(header_key(name), block.header.encode()), (body_key(name), encode_body(block.extrinsics))]


def _damaged(part: str, block: Hash, error: ScaleError) -> NoReturn:
    message = f"the database is damaged: the {part} of block {to_hex(block)} cannot be read: {error}"
    raise StorageError(Reason.CORRUPT, message) from error
