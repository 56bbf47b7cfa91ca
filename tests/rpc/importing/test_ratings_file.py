"""The CSV files of an import."""

import hashlib
from pathlib import Path

import pytest

from rpc.failure import CommandError
from rpc.importing.ratings_file import Scale, read_ratings, read_titles, shorten

STARS = Scale(1, 5, 1)


def test_ratings_become_columns(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(b"\xef\xbb\xbfuser,item,rating,timestamp\r\n7,30,4,100\r\n\r\n2,10,5.0,101\n7,10,1\n")
    file = read_ratings(path, STARS)
    assert (file.users, file.items) == ((7, 2), (10, 30))
    assert file.user_index.tolist() == [0, 1, 0]
    assert file.item_index.tolist() == [1, 0, 0]
    assert file.rating.tolist() == [4, 5, 1]
    assert len(file) == 3
    assert file.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_header_is_optional(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("7,30,-1\n")
    assert read_ratings(path, Scale(-1, 1, 2)).rating.tolist() == [-1]


NO_ID = "which is a number from 0 to 2^63 - 1"
TAKES = "is no rating of this chain, which takes 1 to 5, step 1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "{} has no ratings"),
        ("user,item,rating\n", "{} has no ratings"),
        ("1,2\n", "{}, line 1: expected user,item,rating or user,item,rating,timestamp, got ['1', '2']"),
        ("1,2,3\nuser,item,rating\n", f"{{}}, line 2: 'user' is no user id, {NO_ID}"),
        ("1,2,3\n\n1,-2,3\n", f"{{}}, line 3: '-2' is no item id, {NO_ID}"),
        ("1,9223372036854775808,3\n", f"{{}}, line 1: '9223372036854775808' is no item id, {NO_ID}"),
        ("1,1_0,3\n", f"{{}}, line 1: '1_0' is no item id, {NO_ID}"),
        ("1,٣,3\n", f"{{}}, line 1: '٣' is no item id, {NO_ID}"),
        ("1,2,6\n", f"{{}}, line 1: '6' {TAKES}"),
        ("1,2,2.5\n", f"{{}}, line 1: '2.5' {TAKES}"),
        ("1,2,nan\n", f"{{}}, line 1: 'nan' {TAKES}"),
        ("1,2,1e400\n", f"{{}}, line 1: '1e400' {TAKES}"),
        ("1,2,good\n", f"{{}}, line 1: 'good' {TAKES}"),
    ],
)
def test_what_is_no_rating_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "r.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CommandError) as raised:
        read_ratings(path, STARS)
    assert (raised.value.reason, raised.value.message) == ("InvalidFile", message.format(path))


def test_a_scale_has_steps() -> None:
    assert [rating for rating in range(-3, 4) if Scale(-1, 1, 2).holds(rating)] == [-1, 1]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"1,2,\xff\n", "'utf-8' codec can't decode byte 0xff in position 4: invalid start byte"),
        (b'1,2,"' + b"x" * 200_000, "field larger than field limit (131072)"),
    ],
)
def test_an_unreadable_file_is_told(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "r.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CommandError) as raised:
        read_ratings(path, STARS)
    assert raised.value.message == f"{path} cannot be read: {reason}"


def test_titles(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('item,title\n3,"Café, La"\n1,One\n1,Eins\n', encoding="utf-8")
    assert read_titles(path) == {3: "Café, La", 1: "Eins"}
    path.write_text("item,title\n3\n")
    with pytest.raises(CommandError) as raised:
        read_titles(path)
    assert raised.value.message == f"{path}, line 2: expected item,title, got ['3']"


def test_a_title_is_as_long_as_the_chain_takes_it() -> None:
    assert shorten("x" * 128) == "x" * 128
    assert shorten("x" * 129) == "x" * 125 + "…"
    shortened = shorten("é" * 65)
    assert shortened == "é" * 62 + "…"
    assert len(shortened.encode()) == 127
