"""What every subcommand works with: the options that hold for all of them, the node, the signer."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import typer

from rpc.client import DEFAULT_URL, RpcClient
from rpc.commands import output
from rpc.failure import CommandError, Failing, expecting
from runtime.crypto import KeyPair, Scheme
from runtime.keys import AddressError, SecretError, key_pair_from_uri, parse_account
from runtime.primitives import AccountId, to_hex

DEVELOPMENT: Final = "Development"
DEFAULT_SIGNER: Final = "//Alice"
_LONGEST_KEY_FILE: Final = 4096


@dataclass(frozen=True, slots=True)
class Settings:
    """The options that may stand before or after the subcommand."""

    url: str = DEFAULT_URL
    as_json: bool = False
    suri: str | None = None
    key_file: Path | None = None
    scheme: Scheme = Scheme.ED25519


@dataclass(slots=True)
class Session:
    """One run of the command; connects to the node when it is first needed."""

    settings: Settings = field(default_factory=Settings)
    _node: RpcClient | None = field(default=None)

    @property
    def node(self) -> RpcClient:
        """The connection to the node."""
        if self._node is None:
            try:
                self._node = RpcClient(self.settings.url)
            except ValueError as error:
                raise CommandError(Failing.INVALID_ARGUMENT, str(error)) from error
        return self._node

    @property
    def as_json(self) -> bool:
        """Whether output is for a program."""
        return self.settings.as_json

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._node is not None:
            self._node.close()

    def call(self, method: str, *params: object) -> Any:
        """One call to the node."""
        return self.node.call(method, *params)

    def signer(self) -> KeyPair:
        """The key that signs: of --suri or --key-file, else //Alice on development chains."""
        settings = self.settings
        if settings.suri is not None and settings.key_file is not None:
            raise CommandError(Failing.INVALID_ARGUMENT, "--suri and --key-file exclude each other")
        uri = settings.suri
        if settings.key_file is not None:
            uri = _read_key_file(settings.key_file)
        if uri is None:
            self._require_development_chain()
            uri = DEFAULT_SIGNER
        try:
            return key_pair_from_uri(uri, settings.scheme)
        except SecretError as error:
            raise CommandError(Failing.INVALID_KEY, str(error)) from error

    def account(self, given: str | None) -> AccountId:
        """The account that a read is about: the given address, else the signer's."""
        if given is None:
            return self.signer().public
        try:
            return parse_account(given)
        except AddressError as error:
            raise CommandError(Failing.INVALID_ARGUMENT, f"--account: {error}") from error

    def account_hex(self, given: str | None) -> str:
        """The account in the form in which it goes into a call."""
        return to_hex(self.account(given))

    def print(self, value: object) -> None:
        """Print a result as a program wants it."""
        output.print_json(value)

    def _require_development_chain(self) -> None:
        chain_type = self.call("system_chainType")
        with expecting("system_chainType"):
            name = chain_type if isinstance(chain_type, str) else next(iter(chain_type))
        if name != DEVELOPMENT:
            message = f"this chain is of type {name}: say who signs with --suri or --key-file"
            raise CommandError(Failing.NO_SIGNER, message)


def _read_key_file(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LONGEST_KEY_FILE + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise CommandError(Failing.INVALID_KEY, f"the key file {path} cannot be read: {reason}") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) != 1 or len(text) > _LONGEST_KEY_FILE:
        raise CommandError(Failing.INVALID_KEY, f"the key file {path} does not hold one line, a secret URI")
    return lines[0]


def session(context: typer.Context) -> Session:
    """The session of this run."""
    return context.ensure_object(Session)
