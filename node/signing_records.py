"""The signing record in the node's database: written in the order of its blocks, so that neither outlives the other."""

from typing import Final

from node.protection import SigningRecord
from runtime.primitives import AccountId
from runtime.scale import BOOL, SLOT, U64, Codec, Field, Option, Struct
from storage.chain_db import ChainDatabase

_NAME: Final = b"signed by "
_RECORD: Final[Codec[SigningRecord]] = Struct(
    SigningRecord,
    (
        Field("slot", SLOT),
        Field("source", U64),
        Field("target", U64),
        Field("wait_beyond", Option(U64)),
        Field("is_new", BOOL),
    ),
)


class DatabaseRecords:
    """`node.protection.RecordStore` in the database of the chain; the database says which chain it is."""

    def __init__(self, database: ChainDatabase, account: AccountId) -> None:
        """Take the account whose key signs."""
        self._database = database
        self._name = _NAME + account

    def load(self) -> SigningRecord | None:
        """Return what was saved last; a record that does not decode is an error of ours or of the disk."""
        data = self._database.note(self._name)
        return None if data is None else _RECORD.decode(data)

    def save(self, record: SigningRecord) -> None:
        """Save a record, synced."""
        self._database.write_note(self._name, _RECORD.encode(record))
