"""A small chain in memory behind a real socket: what `mfchain` needs of a node, with faults to order.

Transactions are decoded and their signatures checked by the project's own code, with the genesis hash, era
and nonce that this chain expects; so what the command signs is right, or the chain refuses it.
"""

import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from rpc.errors import (
    RpcError,
    already_imported,
    invalid_params,
    invalid_transaction,
    pool_full,
    priority_too_low,
    unknown_item,
)
from rpc.transactions import account_key
from runtime.crypto import verify
from runtime.extrinsic import Extrinsic, extrinsic_hash, signing_payload
from runtime.header import Header
from runtime.interface.errors import InvalidReason
from runtime.keys import parse_account, ss58_encode
from runtime.primitives import ZERO_HASH, AccountId, BlockNumber, Hash, blake2b_256, from_hex, to_hex
from runtime.scale import Reader

SPEC_VERSION = 7
TRANSACTION_VERSION = 3
STARS = {"min": 1, "max": 5, "step": 1, "labels": {}}
LIKES = {"min": -1, "max": 1, "step": 2, "labels": {"1": "like it", "-1": "no"}}
FULL_BLOCK = 100
CAPITAL = re.compile("[A-Z]")


@dataclass
class State:
    """What the chain knows after a block."""

    nonces: dict[bytes, int] = field(default_factory=dict)
    items: list[tuple[str, bytes]] = field(default_factory=list)
    ratings: dict[bytes, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))

    def copy(self) -> "State":
        ratings = defaultdict(dict, {account: dict(own) for account, own in self.ratings.items()})
        return State(dict(self.nonces), list(self.items), ratings)


class DroppedError(Exception):
    """The connection is to be cut without an answer."""


class FakeChain:
    """The chain and its server. `instant`: a block follows every message that leaves something to include."""

    def __init__(
        self,
        *,
        scale: dict[str, Any] | None = None,
        titles: tuple[str, ...] = (),
        instant: bool = True,
        chain_type: str = "Development",
        pool_limit: int = 10**9,
        keep_states: bool = True,
        check_signatures: bool = True,
    ) -> None:
        self.scale = scale or STARS
        self.instant = instant
        self.chain_type = chain_type
        self.pool_limit = pool_limit
        self.keep_states = keep_states
        self.check_signatures = check_signatures
        self.state = State(items=[(title, bytes(32)) for title in titles])
        self.headers: list[Header] = []
        self.states: dict[str, State] = {}
        self.events: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.pool: dict[bytes, dict[int, bytes]] = defaultdict(dict)
        self.finalized = 0
        self.failing_calls: dict[bytes, str] = {}
        self.before: Callable[[str, list[Any]], None] = lambda method, params: None
        self.overrides: dict[str, Callable[..., Any]] = {}
        self.first_status: Any = "ready"
        self.when_watched: Callable[[], None] = lambda: None
        self.calls: list[str] = []
        self.submitted: list[bytes] = []
        self.connections: set[ServerConnection] = set()
        self.subscriptions: list[tuple[ServerConnection, str, str]] = []
        self.watched: list[tuple[ServerConnection, str, str]] = []
        self.lock = threading.RLock()
        self.server: Server | None = None
        self.port = 0
        self._add_header()

    # The chain

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def head(self) -> Header:
        return self.headers[-1]

    @property
    def genesis(self) -> Hash:
        return self.headers[0].hash()

    def _add_header(self) -> None:
        number = len(self.headers)
        parent = self.headers[-1].hash() if self.headers else ZERO_HASH
        root = blake2b_256(f"{number} {self.chain_type}".encode())
        self.headers.append(Header(parent, BlockNumber(number), root, ZERO_HASH, ()))
        if self.keep_states:
            self.states[to_hex(self.head.hash())] = self.state.copy()

    def make_block(self) -> None:
        """Include what the pool has ready, and tell everybody."""
        with self.lock:
            number = len(self.headers)
            included = list(self._ready())
            done = []
            for raw in included:
                outcome = self._apply(Extrinsic.decode(raw))
                done.append((to_hex(extrinsic_hash(raw)), outcome))
            self._add_header()
            block = to_hex(self.head.hash())
            for digest, outcome in done:
                self.events[block, digest] = outcome
            assert self.head.number == number
            self._notify(block, {digest for digest, _ in done})

    def include_rating(self, account: AccountId, item: int, rating: int) -> None:
        """A block with a rating that nobody had to sign."""
        with self.lock:
            self.state.ratings[account][item] = rating
            self._add_header()
            self._notify(to_hex(self.head.hash()), {"a transaction"})

    def _ready(self) -> Iterator[bytes]:
        room = FULL_BLOCK
        for account in list(self.pool):
            queue = self.pool[account]
            while room and (raw := queue.pop(self.state.nonces.get(account, 0), None)) is not None:
                self.state.nonces[account] = self.state.nonces.get(account, 0) + 1
                room -= 1
                yield raw
            if not queue:
                del self.pool[account]

    def _apply(self, extrinsic: Extrinsic) -> list[dict[str, Any]]:
        signature = extrinsic.signature
        assert signature is not None
        account, call = signature.account, extrinsic.call
        failing = self.failing_calls.get(call)
        events = [] if failing else self._dispatch(account, call)
        if events:
            return [*events, {"pallet": "System", "event": "ExtrinsicSuccess", "fields": {}}]
        name = failing or "ItemDoesNotExist"
        error = {"pallet": "MatrixFactorization", "name": name, "message": "It went wrong."}
        return [{"pallet": "System", "event": "ExtrinsicFailed", "fields": {"error": error}}]

    def _dispatch(self, account: AccountId, call: bytes) -> list[dict[str, Any]]:
        if call[0] == 5:
            return [{"pallet": "Producers", "event": "Queued", "fields": {}}]
        assert call[0] == 8
        arguments = Reader(call[2:])
        who = ss58_encode(account)
        if call[1] in (0, 4):
            count = 1 if call[1] == 0 else arguments.compact(32, "count")
            pairs = [_pair(arguments) for _ in range(count)]
            if any(item >= len(self.state.items) for item, _ in pairs):
                return []
            self.state.ratings[account].update(pairs)
            fields = [{"account": who, "item": item, "rating": rating} for item, rating in pairs]
            return [_event("RatingSubmitted", one) for one in fields]
        if call[1] == 2:
            item = int.from_bytes(call[2:10], "little")
            gone = self.state.ratings[account].pop(item, None)
            return [] if gone is None else [_event("RatingRetracted", {"account": who, "item": item})]
        assert call[1] == 3
        length = arguments.compact(32, "title")
        title = call[2:][arguments.offset : arguments.offset + length].decode()
        self.state.items.append((title, account))
        item = len(self.state.items) - 1
        return [_event("ItemRegistered", {"account": who, "item": item, "title": title})]

    # The pool

    def submit(self, raw: bytes) -> str:
        extrinsic = Extrinsic.decode(raw)
        signature = extrinsic.signature
        assert signature is not None
        if self.check_signatures:
            birth = signature.era.birth(self.head.number)
            message = signing_payload(
                extrinsic.call,
                signature.era,
                signature.nonce,
                SPEC_VERSION,
                TRANSACTION_VERSION,
                self.genesis,
                self.headers[birth].hash(),
            )
            if not verify(signature.scheme, signature.account, message, signature.value):
                raise invalid_transaction(InvalidReason.BAD_PROOF)
        own = self.pool[signature.account]
        if signature.nonce < self.state.nonces.get(signature.account, 0):
            raise invalid_transaction(InvalidReason.STALE)
        if own.get(signature.nonce) == raw:
            raise already_imported(extrinsic_hash(raw))
        if signature.nonce in own:
            raise priority_too_low("another one has this nonce")
        if sum(len(queue) for queue in self.pool.values()) >= self.pool_limit:
            raise pool_full("no room")
        own[signature.nonce] = raw
        self.submitted.append(raw)
        return to_hex(extrinsic_hash(raw))

    # The server

    @contextmanager
    def running(self) -> Iterator["FakeChain"]:
        self.start()
        try:
            yield self
        finally:
            self.stop()

    def start(self) -> None:
        self.server = serve(self._talk, "127.0.0.1", self.port, compression=None, max_size=2**25)
        self.port = self.server.socket.getsockname()[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Stop as a killed process does: at once, and the pool is lost."""
        assert self.server is not None
        self.server.shutdown()
        with self.lock:
            self.pool.clear()
            self.subscriptions.clear()
            self.watched.clear()
            for connection in list(self.connections):
                connection.close_socket()

    def restart(self) -> None:
        self.stop()
        self.start()

    def _talk(self, connection: ServerConnection) -> None:
        self.connections.add(connection)
        try:
            for message in connection:
                answer, after = self._answer(connection, orjson.loads(message))
                connection.send(orjson.dumps(answer), text=True)
                after()
                with self.lock:
                    if self.instant and self.pool:
                        self.make_block()
        except (ConnectionClosed, DroppedError, OSError):
            connection.close_socket()
        finally:
            self.connections.discard(connection)

    def _answer(self, connection: ServerConnection, request: Any) -> tuple[Any, Callable[[], None]]:
        if isinstance(request, list):
            return [self._one(connection, entry)[0] for entry in request], lambda: None
        return self._one(connection, request)

    def _one(self, connection: ServerConnection, request: Any) -> tuple[Any, Callable[[], None]]:
        method, params = request["method"], list(request.get("params", []))
        head = {"jsonrpc": "2.0", "id": request["id"]}
        with self.lock:
            self.calls.append(method)
            try:
                self.before(method, params)
                if method in self.overrides:
                    return {**head, "result": self.overrides[method](*params)}, lambda: None
                if "_subscribe" in method or method == "author_submitAndWatchExtrinsic":
                    identifier = f"subscription {len(self.calls)}"
                    after = self._subscribe(connection, identifier, method, params)
                    return {**head, "result": identifier}, after
                if "_unsubscribe" in method or method == "author_unwatchExtrinsic":
                    return {**head, "result": True}, lambda: None
                return {**head, "result": self._method(method, params)}, lambda: None
            except RpcError as error:
                return {**head, "error": error.to_json()}, lambda: None

    def _subscribe(
        self, connection: ServerConnection, identifier: str, method: str, params: list[Any]
    ) -> Callable[[], None]:
        if method == "author_submitAndWatchExtrinsic":
            self.watched.append((connection, identifier, self.submit(from_hex(params[0]))))
            return lambda: _push(connection, "author_extrinsicUpdate", identifier, self.first_status)
        self.subscriptions.append((connection, identifier, method))
        if method == "mf_subscribeModel":
            return lambda: None

        def begin() -> None:
            _push(connection, "chain_newHead", identifier, self.head.to_json())
            self.when_watched()

        return begin

    def _notify(self, block: str, included: set[str]) -> None:
        header = self.head.to_json()
        for connection, identifier, method in self.subscriptions:
            if method == "mf_subscribeModel" and included:
                _push(connection, "mf_model", identifier, self.model())
            elif method != "mf_subscribeModel":
                _push(connection, "chain_newHead", identifier, header)
        for connection, identifier, digest in self.watched:
            if digest in included:
                _push(connection, "author_extrinsicUpdate", identifier, {"inBlock": block})

    def _method(self, method: str, params: list[Any]) -> Any:
        known = getattr(self, "do_" + CAPITAL.sub(lambda one: "_" + one[0].lower(), method), None)
        if known is None:
            raise RpcError(-32601, "Method not found")
        return known(*params)

    # Methods

    def block(self, header: Header | None = None) -> dict[str, Any]:
        header = header or self.head
        return {"hash": to_hex(header.hash()), "number": int(header.number)}

    def at(self, block: str | None) -> State:
        return self.state if block is None else self.states[block]

    def do_system_chain(self) -> str:
        return "Test chain"

    def do_system_chain_type(self) -> str:
        return self.chain_type

    def do_system_name(self) -> str:
        return "fake-node"

    def do_system_version(self) -> str:
        return "1.2.3"

    def do_system_health(self) -> dict[str, Any]:
        return {"peers": 2, "isSyncing": False, "shouldHavePeers": True}

    def do_system_account_next_index(self, address: str) -> int:
        account = parse_account(address)
        nonce = self.state.nonces.get(account, 0)
        while nonce in self.pool.get(account, {}):
            nonce += 1
        return nonce

    def do_chain_get_block_hash(self, number: int | None = None) -> str | None:
        number = len(self.headers) - 1 if number is None else number
        return to_hex(self.headers[number].hash()) if number < len(self.headers) else None

    def do_chain_get_header(self, block: str | None = None) -> dict[str, Any] | None:
        if block is None:
            return self.head.to_json()
        return next((one.to_json() for one in self.headers if to_hex(one.hash()) == block), None)

    def do_chain_get_finalized_head(self) -> str:
        return to_hex(self.headers[self.finalized].hash())

    def do_state_get_runtime_version(self) -> dict[str, Any]:
        return {"specVersion": SPEC_VERSION, "transactionVersion": TRANSACTION_VERSION}

    def do_state_query_storage_at(self, keys: list[str], block: str | None = None) -> list[dict[str, Any]]:
        if len(keys) > 1_000:
            raise invalid_params("too many keys")
        nonces = {account_key(AccountId(account)): nonce for account, nonce in self.at(block).nonces.items()}
        values = [
            [key, to_hex(nonces[key].to_bytes(4, "little") + bytes(12)) if key in nonces else None] for key in keys
        ]
        return [{"block": self.block()["hash"], "changes": values}]

    def do_author_submit_extrinsic(self, raw: str) -> str:
        return self.submit(from_hex(raw))

    def do_mf_transaction_events(self, block: str, extrinsic: str) -> list[dict[str, Any]]:
        return self.events[block, extrinsic]

    def model(self) -> dict[str, Any]:
        ratings = sum(len(own) for own in self.state.ratings.values())
        return {
            "ratings": ratings,
            "users": len(self.state.ratings),
            "items": len(self.state.items),
            "dimension": 2,
            "scale": self.scale,
            "canonical": ratings == 0,
            "epoch": 1,
            "ratingsSinceEpoch": ratings,
            "pendingEpoch": None,
            "digest": "0x" + "ab" * 32,
            "hyperparameters": {"mean": [0.5, 0.25], "precision": 2.0, "name": "text"},
            "block": self.block(),
        }

    def do_mf_model(self) -> dict[str, Any]:
        return self.model()

    def do_mf_items(self, start: int, count: int, block: str | None = None) -> dict[str, Any]:
        items = self.at(block).items
        page = [
            {"item": item, "title": title, "ratings": 3, "bias": {"mean": 0.25, "std": 0.125}}
            for item, (title, _) in enumerate(items)
            if start <= item < start + count
        ]
        return {"total": len(items), "items": page}

    def do_mf_item(self, item: int, block: str | None = None) -> dict[str, Any]:
        title, registrar = self.item(item, block)
        return {
            "item": item,
            "title": title,
            "registrar": ss58_encode(AccountId(registrar)),
            "ratings": 3,
            "bias": {"mean": 0.25, "std": 0.125},
            "features": {"mean": [item + 0.5, -1.0], "std": [0.5, 1.0]},
            "raw": {
                "mean": [2**18, item * 2**20 + 2**19, -(2**20)],
                "covariance": [2**14, 1, 2, 2**18, 3, 2**20],
                "fractionalBits": 20,
            },
            "block": self.block(),
        }

    def item(self, item: int, block: str | None = None) -> tuple[str, bytes]:
        items = self.at(block).items
        if item >= len(items):
            raise unknown_item(item)
        return items[item]

    def do_mf_predict(self, account: str, item: int) -> dict[str, Any]:
        title, _ = self.item(item)
        own = self.state.ratings.get(parse_account(account), {})
        return {
            "item": item,
            "title": title,
            "mean": 0.3025,
            "std": 0.755,
            "interval90": [-0.94, 1],
            "rated": own.get(item),
            "userRatings": len(own),
            "itemRatings": 1,
            "canonical": True,
            "raw": {"mean": "317194", "variance": "597688", "fractionalBits": 20},
            "block": self.block(),
        }

    def do_mf_recommend(self, account: str, count: int, options: dict[str, Any]) -> list[dict[str, Any]]:
        assert set(options) == {"includeRated", "minRatings", "order"}
        rated = self.state.ratings.get(parse_account(account), {})
        items = [item for item in range(len(self.state.items)) if options["includeRated"] or item not in rated]
        return [self.do_mf_predict(account, item) for item in items[:count]]

    def do_mf_similar_items(self, item: int, count: int) -> list[dict[str, Any]]:
        self.item(item)
        others = [other for other in range(len(self.state.items)) if other != item]
        return [{"item": other, "title": self.item(other)[0], "similarity": 0.5} for other in others[:count]]

    def do_mf_user(self, account: str) -> dict[str, Any]:
        own = self.state.ratings.get(parse_account(account), {})
        return {
            "account": ss58_encode(parse_account(account)),
            "ratings": [{"item": item, "title": self.item(item)[0], "rating": own[item]} for item in sorted(own)],
            "bias": {"mean": 0.125, "std": 0.5},
            "features": {"mean": [0.0, 0.0], "std": [1.0, 1.0]},
            "noise": 0.75,
            "block": self.block(),
        }


def _pair(reader: Reader) -> tuple[int, int]:
    item = int.from_bytes(reader.take(8, "item"), "little")
    return item, int.from_bytes(reader.take(8, "rating"), "little", signed=True)


def _event(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {"pallet": "MatrixFactorization", "event": name, "fields": fields}


def _push(connection: ServerConnection, method: str, identifier: str, result: Any) -> None:
    message = {"jsonrpc": "2.0", "method": method, "params": {"subscription": identifier, "result": result}}
    try:
        connection.send(orjson.dumps(message), text=True)
    except (ConnectionClosed, OSError):
        connection.close_socket()
