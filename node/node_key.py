"""The key that is a node's identity among its peers: given on the command line, or made on first use and kept."""

import os
import secrets
from pathlib import Path
from typing import Final

from node.errors import ExitCode, NodeError
from runtime.primitives import HexError, from_hex

FILE_NAME: Final = "secret_ed25519"
_LENGTH: Final = 32
_MAX_FILE: Final = 1_024


def new_node_key() -> bytes:
    """Return a new seed of 32 bytes."""
    return secrets.token_bytes(_LENGTH)


def load_node_key(given: str | None, directory: Path) -> bytes:
    """Return the seed: `given` in hexadecimal or in a file, or else the one kept in the directory, made if need be.

    Raises:
        NodeError: there is no such file, or no key in it.
    """
    if given is not None:
        return _parse(given) if _is_hex(given) else _read(Path(given))
    path = directory / FILE_NAME
    if path.exists():
        return _read(path)
    seed = new_node_key()
    write_node_key(path, seed)
    return seed


def write_node_key(path: Path, seed: bytes) -> None:
    """Keep a seed in a file that nobody else may read; it is there whole or not at all.

    Raises:
        NodeError: it cannot be written, or there is one already.
    """
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(seed.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)
        finally:
            fresh.unlink()
    except OSError as error:
        raise NodeError(ExitCode.FAILED, f"the node key {path} cannot be written: {error.strerror}") from None


def _is_hex(text: str) -> bool:
    try:
        return bool(_parse(text))
    except HexError:
        return False


def _parse(text: str) -> bytes:
    return from_hex("0x" + text.removeprefix("0x"), _LENGTH)


def _read(path: Path) -> bytes:
    try:
        with path.open() as file:
            text = file.read(_MAX_FILE).strip()
        return _parse(text)
    except OSError as error:
        raise NodeError(ExitCode.FAILED, f"the node key {path} cannot be read: {error.strerror}") from None
    except (HexError, ValueError):
        message = f"the node key {path} does not hold 64 hexadecimal digits"
        raise NodeError(ExitCode.FAILED, message) from None
