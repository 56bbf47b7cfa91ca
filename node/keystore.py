"""Where a node keeps the secret key that it makes blocks with: one file, which only its owner may read."""

import json
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from node.json_reader import DocumentError, parse_object
from runtime.crypto import SEED_LENGTH, KeyPair, Scheme
from runtime.keys import AddressError, SecretError, key_pair_from_uri, parse_account, ss58_encode
from runtime.primitives import to_hex

PRODUCER: Final = "producer.json"

_SCHEME: Final = "ed25519"
_MAX_FILE: Final = 16 << 10


class KeystoreError(Exception):
    """A key cannot be read or written; the message never shows the secret."""


class Keystore:
    """A directory of keys. The producer's is ed25519, as seals are."""

    def __init__(self, path: Path) -> None:
        """Take the directory, which need not exist before a key is written."""
        self._path = path

    @property
    def producer_path(self) -> Path:
        """The file of the producer's key."""
        return self._path / PRODUCER

    def producer(self) -> KeyPair | None:
        """The producer's key, if there is one.

        Raises:
            KeystoreError: the file cannot be read, others can read it too, or it is damaged.
        """
        path = self.producer_path
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                data = file.read(_MAX_FILE + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise KeystoreError(f"the key file {path} cannot be read: {error.strerror}") from None
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeystoreError(f"the key file {path} is open to other users: make it yours with chmod 600")
        try:
            return _parse(data)
        except (DocumentError, SecretError, AddressError) as error:
            raise KeystoreError(f"the key file {path} is damaged: {error}") from None

    def producer_or_new(self) -> KeyPair:
        """The producer's key, made and written now if there was none."""
        return self.producer() or self.insert(to_hex(secrets.token_bytes(SEED_LENGTH)))

    def insert(self, uri: str, *, replace: bool = False) -> KeyPair:
        """Write the key of a secret URI as the producer's.

        Raises:
            KeystoreError: there is another key and it is not to be replaced, or the file cannot be written.
            SecretError: the URI names no ed25519 key.
        """
        pair = key_pair_from_uri(uri, Scheme.ED25519)
        document = {"scheme": _SCHEME, "account": ss58_encode(pair.public), "secretUri": uri}
        data = (json.dumps(document, indent=2) + "\n").encode()
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _write_private(self.producer_path, data, replace=replace):
                known = self.producer()
                if known is None or known.public != pair.public:
                    raise KeystoreError(f"there is a key in {self.producer_path} already: --replace overwrites it")
        except OSError as error:
            raise KeystoreError(f"the key file {self.producer_path} cannot be written: {error.strerror}") from None
        return pair


def _parse(data: bytes) -> KeyPair:
    """The key of a file; the account shows whether the secret is still the one that was written."""
    if len(data) > _MAX_FILE:
        raise DocumentError(f"it has more than {_MAX_FILE} bytes")
    document = parse_object(data)
    if document.text("scheme") != _SCHEME:
        document.fail("scheme", f"must be {_SCHEME}")
    account = parse_account(document.text("account"))
    pair = key_pair_from_uri(document.text("secretUri"), Scheme.ED25519)
    document.end()
    if pair.public != account:
        document.fail("account", "is not that of secretUri")
    return pair


def _write_private(path: Path, data: bytes, *, replace: bool) -> bool:
    """Write a whole file or nothing, for its owner alone; False if there is one that has to stay."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            part.replace(path)
        else:
            # Unlike renaming, linking does not touch a file that is there.
            path.hardlink_to(part)
    except FileExistsError:
        return False
    finally:
        with suppress(OSError):
            part.unlink()
    _sync_directory(path.parent)
    return True


def _sync_directory(path: Path) -> None:
    """Let the file's name outlive a loss of power as well."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
