"""The file of the producer's key."""

import json
import os
import stat
from pathlib import Path

import pytest

from node.keystore import Keystore, KeystoreError
from runtime.crypto import Scheme
from runtime.keys import SecretError, key_pair_from_uri, ss58_encode

ALICE = key_pair_from_uri("//Alice", Scheme.ED25519)
BOB = key_pair_from_uri("//Bob", Scheme.ED25519)


@pytest.fixture
def keystore(tmp_path: Path) -> Keystore:
    return Keystore(tmp_path / "chains" / "keystore")


def failure(keystore: Keystore) -> str:
    with pytest.raises(KeystoreError) as caught:
        keystore.producer()
    return str(caught.value)


def test_there_is_no_key_at_first(keystore: Keystore) -> None:
    assert keystore.producer() is None
    assert not keystore.producer_path.parent.exists()


def test_an_inserted_key_is_found_again(keystore: Keystore) -> None:
    pair = keystore.insert("//Alice")
    assert pair == ALICE
    found = keystore.producer()
    assert found == ALICE
    assert found is not None
    assert found.sign(b"message") == ALICE.sign(b"message")


def test_only_the_owner_can_read_it_and_nothing_else_is_left(keystore: Keystore) -> None:
    before = os.umask(0)
    try:
        keystore.insert("//Alice")
    finally:
        os.umask(before)
    path = keystore.producer_path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]
    assert json.loads(path.read_bytes()) == {
        "scheme": "ed25519",
        "account": ss58_encode(ALICE.public),
        "secretUri": "//Alice",
    }


def test_a_key_is_made_on_first_use_and_kept(keystore: Keystore) -> None:
    first = keystore.producer_or_new()
    assert keystore.producer_or_new() == first
    assert Keystore(keystore.producer_path.parent).producer() == first


def test_new_keys_differ(tmp_path: Path) -> None:
    made = {Keystore(tmp_path / str(number)).producer_or_new().public for number in range(8)}
    assert len(made) == 8


def test_another_key_is_overwritten_only_when_asked(keystore: Keystore) -> None:
    keystore.insert("//Alice")
    with pytest.raises(KeystoreError) as caught:
        keystore.insert("//Bob")
    assert str(caught.value) == f"there is a key in {keystore.producer_path} already: --replace overwrites it"
    assert keystore.producer() == ALICE
    assert keystore.insert("//Alice") == ALICE
    assert keystore.insert("//Bob", replace=True) == BOB
    assert keystore.producer() == BOB
    assert list(keystore.producer_path.parent.iterdir()) == [keystore.producer_path]


def test_a_damaged_key_is_not_overwritten_unasked(keystore: Keystore) -> None:
    keystore.insert("//Alice")
    keystore.producer_path.write_text("{}")
    with pytest.raises(KeystoreError) as caught:
        keystore.producer_or_new()
    assert str(caught.value) == f"the key file {keystore.producer_path} is damaged: scheme: is missing"
    assert keystore.producer_path.read_text() == "{}"


def test_what_names_no_key_is_not_written(keystore: Keystore) -> None:
    with pytest.raises(SecretError) as caught:
        keystore.insert("//Alice/soft")
    assert "no soft derivation" in str(caught.value)
    assert not keystore.producer_path.exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_can_reach_is_refused(keystore: Keystore, mode: int) -> None:
    keystore.insert("//Alice")
    keystore.producer_path.chmod(mode)
    assert failure(keystore) == (
        f"the key file {keystore.producer_path} is open to other users: make it yours with chmod 600"
    )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"account": ss58_encode(BOB.public)}, "account: is not that of secretUri"),
        ({"account": "x"}, "address holds 1 bytes, an account's has 35"),
        ({"scheme": "sr25519"}, "scheme: must be ed25519"),
        ({"secretUri": 5}, "secretUri: must be a text, not 5"),
        ({"secretUri": "no words"}, "a secret phrase has 12, 15, 18, 21 or 24 words, this one has 2"),
        ({"secret": "0x00"}, "secret: there is no such member"),
        ({"secretUri": "/" * 20_000}, "it has more than 16384 bytes"),
    ],
)
def test_a_damaged_file_is_refused(keystore: Keystore, change: dict[str, object], why: str) -> None:
    keystore.insert("//Alice")
    path = keystore.producer_path
    path.write_text(json.dumps(json.loads(path.read_bytes()) | change))
    assert failure(keystore) == f"the key file {path} is damaged: {why}"


def test_a_file_that_is_no_json(keystore: Keystore) -> None:
    keystore.insert("//Alice")
    keystore.producer_path.write_bytes(b"\xff")
    assert failure(keystore) == f"the key file {keystore.producer_path} is damaged: not UTF-8 text (at byte 0)"


def test_a_directory_in_place_of_the_file(keystore: Keystore) -> None:
    keystore.producer_path.mkdir(parents=True)
    assert failure(keystore) == f"the key file {keystore.producer_path} cannot be read: Is a directory"


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    keystore = Keystore(tmp_path / "file" / "keystore")
    with pytest.raises(KeystoreError) as caught:
        keystore.insert("//Alice")
    assert str(caught.value) == f"the key file {keystore.producer_path} cannot be written: Not a directory"


def test_the_secret_is_in_no_message(keystore: Keystore) -> None:
    keystore.insert("//Alice///password")
    path = keystore.producer_path
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"account": ss58_encode(BOB.public)}))
    assert "password" not in failure(keystore)
    with pytest.raises(KeystoreError) as caught:
        keystore.insert("//Bob///other-password")
    assert "password" not in str(caught.value)
