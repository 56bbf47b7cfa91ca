"""scripts/fetch_movielens.py on small data sets of each form, made here, and on the real wheel (full)."""

import hashlib
import io
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest
import typer
from pyarrow import parquet
from typer.testing import CliRunner, Result

from scripts import fetch_movielens
from scripts.fetch_movielens import DataError, PackagedData

ROOT = Path(__file__).parents[2]

U_DATA = "196\t242\t3\t881250949\n186\t302\t3\t100\n22\t242\t1\t100\n"
U_ITEM = '242|Kolya (1996)|24-Jan-1997||address|0\n302|Cérémonie, La (1995)|x|y|z\n7|Café "X"|\n'
RATINGS_DAT = "1::1193::5::978300760\n1::661::3::978300000\n"
MOVIES_DAT = "661::James and the Giant Peach (1996)::Animation\n1193::L'Été, meurtrier::Drama\n"
RATINGS_CSV = "userId,movieId,rating,timestamp\n1,2,0.5,30\n1,3,5.0,20\n2,2,3.5,10\n2,3,1.0,40\n"
MOVIES_CSV = 'movieId,title,genres\n2,"American President, The (1995)",Drama\n'


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(fetch_movielens.main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def folder(path: Path, files: Mapping[str, str], encoding: str = "latin-1") -> Path:
    path.mkdir()
    for name, text in files.items():
        (path / name).write_text(text, encoding=encoding)
    return path


def test_ml_100k_is_sorted_by_time_and_keeps_the_order_within_a_second(tmp_path: Path) -> None:
    source = folder(tmp_path / "ml-100k", {"u.data": U_DATA, "u.item": U_ITEM})
    out = tmp_path / "out"
    result = run(source, "--out", out)
    assert result.exit_code == 0
    assert result.stdout == (
        f"reading {source}\n"
        f"{out}/ratings.csv: 3 ratings\n"
        f"{out}/titles.csv: 3 items\n"
        "ratings are whole stars, 1 to 5: the scale of the chain movielens\n"
        f"\n{fetch_movielens.TERMS}\n"
    )
    assert (out / "ratings.csv").read_text() == (
        "user,item,rating,timestamp\n186,302,3,100\n22,242,1,100\n196,242,3,881250949\n"
    )
    assert (out / "titles.csv").read_text(encoding="utf-8") == (
        'item,title\n7,"Café ""X"""\n242,Kolya (1996)\n302,"Cérémonie, La (1995)"\n'
    )
    assert sorted(path.name for path in out.iterdir()) == ["ratings.csv", "titles.csv"]


def test_ml_1m_from_a_zip_file(tmp_path: Path) -> None:
    path = tmp_path / "ml-1m.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ml-1m/ratings.dat", RATINGS_DAT.encode("latin-1"))
        archive.writestr("ml-1m/movies.dat", MOVIES_DAT.encode("latin-1"))
    assert run(path, "--out", tmp_path).exit_code == 0
    assert (tmp_path / "ratings.csv").read_text() == (
        "user,item,rating,timestamp\n1,661,3,978300000\n1,1193,5,978300760\n"
    )
    assert (tmp_path / "titles.csv").read_text(encoding="utf-8") == (
        'item,title\n661,James and the Giant Peach (1996)\n1193,"L\'Été, meurtrier"\n'
    )


def test_half_stars_become_whole_numbers_and_missing_titles_are_told(tmp_path: Path) -> None:
    folder(tmp_path / "ml-latest-small", {"ratings.csv": RATINGS_CSV, "movies.csv": MOVIES_CSV}, "utf-8")
    result = run(tmp_path, "--out", tmp_path / "out")
    assert result.stdout.splitlines()[1:4] == [
        f"{tmp_path}/out/ratings.csv: 4 ratings",
        f"{tmp_path}/out/titles.csv: 2 items, 1 of them without a title",
        "ratings are half stars, written as 2 * stars - 1, so 1 to 9: the scale of the chain halfstars "
        "(1 ratings of half a star count as one star)",
    ]
    assert (tmp_path / "out/ratings.csv").read_text() == (
        "user,item,rating,timestamp\n2,2,6,10\n1,3,9,20\n1,2,1,30\n2,3,1,40\n"
    )
    assert (tmp_path / "out/titles.csv").read_text() == ('item,title\n2,"American President, The (1995)"\n3,item 3\n')


def test_split_cuts_by_time(tmp_path: Path) -> None:
    lines = "".join(f"{n}::1::4::{1000 - n}\n" for n in range(10))
    source = folder(tmp_path / "ml-1m", {"ratings.dat": lines})
    result = run(source, "--out", tmp_path, "--split", "0.9")
    assert result.stdout.splitlines()[1:5] == [
        f"{tmp_path}/ratings.csv: 10 ratings",
        f"{tmp_path}/train.csv: 9 ratings",
        f"{tmp_path}/test.csv: 1 ratings",
        f"{tmp_path}/titles.csv: 1 items, 1 of them without a title",
    ]
    train = (tmp_path / "train.csv").read_text().splitlines()
    assert (train[1], train[-1]) == ("9,1,4,991", "1,1,4,999")
    assert (tmp_path / "test.csv").read_text() == "user,item,rating,timestamp\n0,1,4,1000\n"


@pytest.mark.parametrize("share", ["0", "1", "-0.5", "nan"])
def test_a_split_is_a_share(tmp_path: Path, share: str) -> None:
    result = run(tmp_path, "--out", tmp_path, "--split", share)
    assert result.exit_code == 2
    assert "a share between 0 and 1, like 0.9" in result.output


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"readme": ""}, "{} is no MovieLens data set: none of u.data, ratings.dat, ratings.csv is in it"),
        ({"u.data": ""}, "u.data has no ratings"),
        (
            {"u.data": U_DATA + "1\t2\t3\n"},
            "u.data, line 4: expected user, item, rating, timestamp, got ['1', '2', '3']",
        ),
        (
            {"u.data": "x\t2\t3\t4\n"},
            "u.data, line 1: expected user, item, rating, timestamp, got ['x', '2', '3', '4']",
        ),
        (
            {"u.data": "1\t-2\t3\t4\n"},
            "u.data, line 1: expected user, item, rating, timestamp, got ['1', '-2', '3', '4']",
        ),
        ({"u.data": "1\t2\t6\t4\n"}, "u.data, line 1: 6 is no rating of 0.5 to 5 stars"),
        ({"u.data": "1\t2\tnan\t4\n"}, "u.data, line 1: nan is no rating of 0.5 to 5 stars"),
        ({"ratings.dat": "1::2::3.3::4\n"}, "ratings.dat, line 1: 3.3 is no rating of 0.5 to 5 stars"),
        ({"u.data": U_DATA, "u.item": "1\n"}, "u.item, line 1: expected item and title, got ['1']"),
        (
            {"ratings.csv": RATINGS_CSV, "movies.csv": "é"},
            "movies.csv is not utf-8 text: 'utf-8' codec can't decode byte 0xe9 in position 0: unexpected end of data",
        ),
    ],
)
def test_what_is_wrong_with_the_data_is_told(tmp_path: Path, files: dict[str, str], message: str) -> None:
    source = folder(tmp_path / "data", files)
    result = run(source, "--out", tmp_path / "out")
    assert result.stderr.splitlines()[-1] == "fetch_movielens: " + message.format(source)
    assert result.exit_code == 1
    assert not (tmp_path / "out").exists()


def test_a_source_that_is_no_data_set_is_refused(tmp_path: Path) -> None:
    absent = run(tmp_path / "absent", "--out", tmp_path)
    assert absent.stderr == f"fetch_movielens: {tmp_path}/absent does not exist\n"
    (tmp_path / "text").write_text("no zip")
    other = run(tmp_path / "text", "--out", tmp_path)
    assert other.stderr == f"fetch_movielens: {tmp_path}/text is neither a folder nor a zip file\n"


def packaged(path: Path) -> PackagedData:
    """A wheel like the real one, with two ratings."""
    members: dict[str, bytes] = {}
    tables = {
        "data.parquet": {"user_id": [2, 1], "movie_id": [5, 6], "rating": [4, 5], "timestamp": [9, 8]},
        "items.parquet": {"movie_id": [6, 5], "movie_title": ["Six", "Fünf"], "Action": [0, 1]},
    }
    for name, columns in tables.items():
        sink = io.BytesIO()
        parquet.write_table(pa.table(columns), sink, compression="brotli")
        members[name] = sink.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return PackagedData(
        package="carrier",
        version="1.0",
        wheel_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        ratings="data.parquet",
        ratings_sha256=hashlib.sha256(members["data.parquet"]).hexdigest(),
        items="items.parquet",
        items_sha256=hashlib.sha256(members["items.parquet"]).hexdigest(),
    )


def test_a_wheel_is_read(tmp_path: Path) -> None:
    data = fetch_movielens.read_wheel(tmp_path / "a.whl", packaged(tmp_path / "a.whl"))
    assert fetch_movielens.by_time(data).tolist() == [[1, 6, 5, 8], [2, 5, 4, 9]]
    assert data.titles == {5: "Fünf", 6: "Six"}


def test_a_changed_wheel_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.whl"
    expected = packaged(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more", b"")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(DataError) as raised:
        fetch_movielens.read_wheel(path, expected)
    assert str(raised.value) == (f"the wheel a.whl has the SHA-256 {found} instead of {expected.wheel_sha256}")


@pytest.mark.full
def test_the_real_data(tmp_path: Path) -> None:
    script = ROOT / "scripts/fetch_movielens.py"
    command = [sys.executable, script, "--out", tmp_path, "--split", "0.9"]
    subprocess.run(command, check=True, capture_output=True, timeout=100)
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in tmp_path.iterdir()}
    assert digests == {
        "ratings.csv": "89c99ce8b336c7d0",
        "test.csv": "3b47b218fbefb43b",
        "titles.csv": "4362c4e8748fe463",
        "train.csv": "8f7c4b6271443594",
    }
