"""mfchain-node key: make keys, look at them, and give one to a node."""

import secrets
import sys
from enum import StrEnum
from typing import Annotated, Final

import orjson
import typer
from mnemonic import Mnemonic

from node.commands.common import (
    BasePath,
    ChainOption,
    DevChain,
    chosen_base_path,
    chosen_spec,
    make_directory,
)
from node.config import chain_path, keystore_path
from node.errors import UsageError
from node.keystore import Keystore
from runtime.crypto import Scheme
from runtime.keys import SecretError, key_pair_from_uri, seed_from_phrase, ss58_encode
from runtime.primitives import to_hex

app = typer.Typer(no_args_is_help=True, help="Make keys, look at them, and give one to a node.")

_STANDARD_INPUT: Final = "-"
_MAX_LINE: Final = 4_096
_WORDS: Final = (12, 15, 18, 21, 24)


class Output(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", help="Lines, or one JSON object.")]
Uri = Annotated[
    str,
    typer.Argument(
        metavar="URI",
        help="phrase//hard/soft///password, or 0x and a seed; - reads it from standard input, unseen.",
    ),
]


@app.command()
def generate(
    words: Annotated[int, typer.Option("--words", metavar="N", help="12, 15, 18, 21 or 24.")] = 12,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make a new secret phrase and show the keys that it stands for; nothing is stored."""
    if words not in _WORDS:
        raise UsageError(f"--words: a secret phrase has 12, 15, 18, 21 or 24 words, not {words}")
    # Three words are 33 bits, of which one is the checksum's.
    phrase = Mnemonic("english").to_mnemonic(secrets.token_bytes(words * 4 // 3))
    secret = {"secretPhrase": phrase, "secretSeed": to_hex(seed_from_phrase(phrase))}
    keys = {scheme.name.lower(): _public(phrase, scheme) for scheme in Scheme}
    if output is Output.JSON:
        typer.echo(orjson.dumps(secret | keys))
        return
    typer.echo(f"secret phrase    {secret['secretPhrase']}")
    typer.echo(f"secret seed      {secret['secretSeed']}")
    for name, key in keys.items():
        _print_key(name, key)


@app.command()
def inspect(uri: Uri, output: OutputOption = Output.TEXT) -> None:
    """Show the public keys and addresses of a secret URI. ed25519 has no soft derivation (/ in the path)."""
    secret = _read_uri(uri)
    keys: dict[str, dict[str, str] | None] = {}
    for scheme in Scheme:
        try:
            keys[scheme.name.lower()] = _public(secret, scheme)
        except SecretError:
            if scheme is Scheme.SR25519:
                raise
            keys[scheme.name.lower()] = None
    if output is Output.JSON:
        typer.echo(orjson.dumps(keys))
        return
    for name, key in keys.items():
        _print_key(name, key)


@app.command()
def insert(
    uri: Uri,
    chain: ChainOption = None,
    dev: DevChain = False,
    base_path: BasePath = None,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite the key that is there.")] = False,
) -> None:
    """Write the ed25519 key of a secret URI into the keystore of a chain, for --producer to use."""
    spec = chosen_spec(chain, dev=dev)
    directory = chosen_base_path(base_path)
    secret = _read_uri(uri)
    make_directory(chain_path(directory, spec))
    keystore = Keystore(keystore_path(directory, spec))
    pair = keystore.insert(secret, replace=replace)
    typer.echo(f"the producer of the chain {spec.id} is {ss58_encode(pair.public)}, in {keystore.producer_path}")


def _read_uri(given: str) -> str:
    """The URI, from where it is."""
    if given != _STANDARD_INPUT:
        return given
    try:
        return sys.stdin.readline(_MAX_LINE).rstrip("\r\n")
    except UnicodeDecodeError:
        raise UsageError("standard input is not text") from None


def _public(uri: str, scheme: Scheme) -> dict[str, str]:
    """What everybody may know of a key."""
    pair = key_pair_from_uri(uri, scheme)
    return {"publicKey": to_hex(pair.public), "address": ss58_encode(pair.public)}


def _print_key(name: str, key: dict[str, str] | None) -> None:
    if key is None:
        typer.echo(f"{name:<17}none: ed25519 has no soft derivation")
        return
    typer.echo(f"{name + ' key':<17}{key['publicKey']}")
    typer.echo(f"{name + ' address':<17}{key['address']}")
