import subprocess
import sys
import threading
from pathlib import Path

import pytest

from storage.errors import Reason, StorageError
from storage.leveldb import LevelDbStore

ROOT = Path(__file__).parent.parent.parent


def refusal(path: Path) -> StorageError:
    with pytest.raises(StorageError) as caught:
        LevelDbStore(path)
    return caught.value


def test_what_was_written_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    store = LevelDbStore(path)
    store.write([(b"key", b"value")], sync=True)
    store.close()
    store = LevelDbStore(path)
    assert store.get(b"key") == b"value"
    store.close()


def test_one_process_has_it_once(tmp_path: Path) -> None:
    store = LevelDbStore(tmp_path)
    error = refusal(tmp_path)
    store.close()
    assert error.reason is Reason.LOCKED
    assert str(error) == f"the database in {tmp_path} is in use by another process"


def test_two_processes_do_not_share_it(tmp_path: Path) -> None:
    program = "import plyvel, sys; database = plyvel.DB(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    LevelDbStore(tmp_path).close()
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        error = refusal(tmp_path)
        other.stdin.close()
        other.wait(timeout=60)
    assert error.reason is Reason.LOCKED
    assert str(error) == f"the database in {tmp_path} is in use by another process"
    LevelDbStore(tmp_path).close()


def test_a_file_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    error = refusal(tmp_path / "file")
    assert error.reason is Reason.UNWRITABLE
    assert str(error) == f"the database directory {tmp_path / 'file'} cannot be made: File exists"
    error = refusal(tmp_path / "file" / "db")
    assert error.reason is Reason.UNWRITABLE
    assert str(error) == f"the database directory {tmp_path / 'file' / 'db'} cannot be made: Not a directory"


def test_a_directory_that_takes_no_lock(tmp_path: Path) -> None:
    (tmp_path / "LOCK").mkdir()
    error = refusal(tmp_path)
    assert error.reason is Reason.UNWRITABLE
    assert str(error) == (f"the database in {tmp_path} cannot be written: IO error: {tmp_path}/LOCK: Is a directory")


def test_a_damaged_database(tmp_path: Path) -> None:
    LevelDbStore(tmp_path).close()
    (tmp_path / "CURRENT").write_text("nonsense")
    error = refusal(tmp_path)
    assert error.reason is Reason.CORRUPT
    assert str(error) == (f"the database in {tmp_path} is damaged: Corruption: CURRENT file does not end with newline")


def test_a_missing_file(tmp_path: Path) -> None:
    store = LevelDbStore(tmp_path)
    store.write([(b"%06d" % n, b"value" * 10) for n in range(1_000)], sync=True)
    store.close()
    LevelDbStore(tmp_path).close()
    [table] = tmp_path.glob("*.ldb")
    table.unlink()
    error = refusal(tmp_path)
    assert error.reason is Reason.CORRUPT
    assert str(error).startswith(f"the database in {tmp_path} is damaged: Corruption: 1 missing files; e.g.: ")


def test_a_damaged_block_is_noticed_when_it_is_read(tmp_path: Path) -> None:
    store = LevelDbStore(tmp_path)
    store.write([(b"%06d" % n, b"value" * 10) for n in range(1_000)], sync=True)
    store.close()
    LevelDbStore(tmp_path).close()
    [table] = tmp_path.glob("*.ldb")
    content = bytearray(table.read_bytes())
    content[100] ^= 1
    table.write_bytes(content)
    store = LevelDbStore(tmp_path)
    for read in (lambda: store.get(b"000000"), lambda: list(store.items(b""))):
        with pytest.raises(StorageError) as caught:
            read()
        assert caught.value.reason is Reason.CORRUPT
        assert str(caught.value) == f"the database in {tmp_path} is damaged: Corruption: block checksum mismatch"
    store.close()


def test_a_torn_last_write_is_as_if_it_had_not_been(tmp_path: Path) -> None:
    """What a loss of power leaves of a batch that was not synced yet."""
    store = LevelDbStore(tmp_path)
    store.write([(b"first", b"1")], sync=True)
    store.write([(b"first", b"2"), (b"second", b"2" * 1_000)], sync=False)
    store.close()
    [log] = tmp_path.glob("*.log")
    log.write_bytes(log.read_bytes()[:-500])
    store = LevelDbStore(tmp_path)
    assert list(store.items(b"")) == [(b"first", b"1")]
    store.close()


DISK_FULL = """
import resource, sys
from pathlib import Path
from storage.errors import StorageError
from storage.leveldb import LevelDbStore

store = LevelDbStore(Path(sys.argv[1]))
store.write([(b"first", b"1")], sync=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    store.write([(b"first", b"2"), (b"second", bytes(20_000))], sync=True)
except StorageError as error:
    print(error.reason, error)
"""


def test_a_disk_that_takes_no_more(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DISK_FULL, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"Unwritable the database in {tmp_path} cannot be written: IO error: ")
    assert done.stdout.endswith(": File too large\n")
    store = LevelDbStore(tmp_path)
    assert list(store.items(b"")) == [(b"first", b"1")]
    store.close()


def test_closing_waits_for_readers_and_then_refuses_them(tmp_path: Path) -> None:
    store = LevelDbStore(tmp_path / "db")
    store.write([(b"%06d" % key, bytes(100)) for key in range(20_000)], sync=False)
    snapshot = store.snapshot()
    refusals: list[Reason] = []
    reading = threading.Barrier(3)

    def read() -> None:
        reading.wait()
        try:
            while True:
                assert len(list(snapshot.items(b"00"))) == 10_000
        except StorageError as error:
            refusals.append(error.reason)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    reading.wait()
    store.close()
    for reader in readers:
        reader.join()
    assert refusals == [Reason.CLOSED, Reason.CLOSED]
    LevelDbStore(tmp_path / "db").close()
