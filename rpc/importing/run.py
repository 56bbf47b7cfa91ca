"""One import from beginning to end."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from rpc.client import RpcClient
from rpc.failure import CommandError, Failing, expecting
from rpc.importing.confirm import confirm
from rpc.importing.items import ensure_items
from rpc.importing.link import Link
from rpc.importing.plan import MAX_BATCH, Plan, call_of, make_plan, pack
from rpc.importing.ratings_file import RatingsFile, Scale, read_ratings, read_titles
from rpc.importing.record import Record, read_record, write_items, write_record
from rpc.importing.sender import Bounds, Lane, Sender, Work, stored_nonces
from rpc.transactions import head_of
from runtime.crypto import KeyPair, Scheme
from runtime.keys import SecretError, key_pair_from_uri

REGISTRAR: Final = "registrar"


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asks for."""

    prefix: str = "//user"
    titles: Path | None = None
    batch: int = MAX_BATCH
    window: int = 4_096
    rate: float | None = None
    strict: bool = False


class Reports(Protocol):
    """How an import tells what it does."""

    def note(self, text: str) -> None:
        """Something the user should know."""

    def stage(self, name: str, total: int) -> Callable[[int], None]:
        """A stage of `total` steps begins; the result is to be called with how many are done."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an import did. `already` ratings were in blocks before; `seconds` and `blocks` are this run's."""

    ratings: int
    already: int
    users: int
    items: int
    transactions: int
    seconds: float
    blocks: int
    block: Mapping[str, object]

    @property
    def per_second(self) -> float:
        """Ratings a second of this run."""
        return (self.ratings - self.already) / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class _Prepared:
    """All that sending needs; `chain_items` belong to the file's items."""

    file: RatingsFile
    pairs: Sequence[KeyPair]
    record: Record
    plan: Plan
    chain_items: Sequence[int]


@dataclass(slots=True)
class Import:
    """An import of the file `path`; `included` of its `total` ratings are known to be in blocks."""

    link: Link
    path: Path
    options: Options
    reports: Reports
    bounds: Bounds = field(default_factory=Bounds)
    included: int = 0
    total: int = 0

    def run(self) -> Outcome:
        """Read the file, register its items, send its ratings, and see that all of them are on the chain."""
        prepared = self._prepare()
        sender = self._sender(prepared)
        self._note(self.reports.stage("ratings", self.total), sender)
        already = self.included
        first = _best(self.link.node)
        began = time.monotonic()
        if already < self.total:
            sender.run()
        seconds = time.monotonic() - began
        last = _best(self.link.node)
        if already < self.total:
            report = self.reports.stage("checking users", len(prepared.pairs))
            confirm(self.link.node, prepared.file, prepared.pairs, prepared.chain_items, report)
        return Outcome(
            ratings=self.total,
            already=already,
            users=len(prepared.file.users),
            items=len(prepared.file.items),
            transactions=len(prepared.plan.transactions),
            seconds=seconds,
            blocks=last["number"] - first["number"],
            block=last,
        )

    def _prepare(self) -> _Prepared:
        genesis, scale = _chain(self.link.node)
        file = read_ratings(self.path, scale)
        self.total = len(file)
        titles = self._titles(file)
        registrar = self._key(REGISTRAR)
        pairs = [self._key(str(user)) for user in file.users]
        self.link.check = _same_chain(genesis, 0)
        stage = self.reports.stage("items", len(titles))
        mapping = ensure_items(self.link, registrar, titles, stage, self.bounds)
        write_items(self.path, mapping)
        self.link.check = _same_chain(genesis, max(mapping.values()) + 1)
        record = self._record(genesis, file, pairs)
        plan = make_plan(file.user_index, record.batch, record.window)
        return _Prepared(file, pairs, record, plan, [mapping[item] for item in file.items])

    def _titles(self, file: RatingsFile) -> dict[int, str]:
        given = {} if self.options.titles is None else read_titles(self.options.titles)
        untitled = [item for item in file.items if not given.get(item)]
        if given and untitled:
            self.reports.note(f'{len(untitled)} items have no title and are called "item N"')
        return given | {item: f"item {item}" for item in untitled}

    def _key(self, name: str) -> KeyPair:
        try:
            return key_pair_from_uri(f"{self.options.prefix}//{name}", Scheme.ED25519)
        except SecretError as error:
            raise CommandError(Failing.INVALID_KEY, f"--suri-prefix: {error}") from error

    def _record(self, genesis: str, file: RatingsFile, pairs: Sequence[KeyPair]) -> Record:
        """The record of an import under way, or a new one, which is on the disk before anything is sent."""
        nonces = stored_nonces(self.link.node, pairs)
        options = self.options
        record = read_record(self.path)
        if record is not None and record.belongs_to(genesis, file.digest, options.prefix):
            first = [record.first_nonces.get(user, 0) for user in file.users]
            if all(nonce >= least for nonce, least in zip(nonces, first, strict=True)):
                if (record.batch, record.window) != (options.batch, options.window):
                    kept = f"--batch {record.batch} --window {record.window}"
                    self.reports.note(f"going on with {kept}, as this import began")
                return record
        used = {user: nonce for user, nonce in zip(file.users, nonces, strict=True) if nonce}
        record = Record(genesis, file.digest, options.prefix, options.batch, options.window, used)
        write_record(self.path, record)
        return record

    def _sender(self, prepared: _Prepared) -> Sender:
        rows = pack(prepared.file, prepared.plan, prepared.chain_items)
        transactions = prepared.plan.transactions
        first_nonces = prepared.record.first_nonces
        owned = prepared.plan.of_users(len(prepared.pairs))
        lanes = [
            Lane(pair, first_nonces.get(user, 0), numbers)
            for pair, user, numbers in zip(prepared.pairs, prepared.file.users, owned, strict=True)
        ]
        work = Work(
            lanes,
            [one.user for one in transactions],
            [one.ratings for one in transactions],
            [one.window for one in transactions],
            lambda number: call_of(transactions[number], rows),
        )
        return Sender(self.link, work, self.bounds, rate=self.options.rate, strict=self.options.strict)

    def _note(self, report: Callable[[int], None], sender: Sender) -> None:
        """Show progress from now on, beginning with what is in blocks already."""

        def note(count: int) -> None:
            self.included = count
            report(count)

        sender.on_progress = note
        sender.look()


def _chain(node: RpcClient) -> tuple[str, Scale]:
    """The genesis hash, and the ratings that the chain takes."""
    genesis = node.call("chain_getBlockHash", 0)
    model = node.call("mf_model")
    with expecting("mf_model"):
        scale = model["scale"]
        return str(genesis), Scale(int(scale["min"]), int(scale["max"]), int(scale["step"]))


def _best(node: RpcClient) -> dict[str, Any]:
    header = node.call("chain_getHeader")
    with expecting("chain_getHeader"):
        digest, number = head_of(header)
    return {"hash": digest, "number": number}


def _same_chain(genesis: str, items: int) -> Callable[[RpcClient], None]:
    """A check that a node has the chain of this genesis, with this many items or more."""

    def check(node: RpcClient) -> None:
        if node.call("chain_getBlockHash", 0) == genesis:
            page = node.call("mf_items", 0, 1)
            with expecting("mf_items"):
                if int(page["total"]) >= items:
                    return
        message = "the node has another chain now, or an earlier state of it: start the import again"
        raise CommandError(Failing.CHAIN_CHANGED, message)

    return check
