"""JSON-RPC 2.0 over bytes: from a request to its answer, whatever carries the two.

Methods are declared as data (`Method`): name, aliases, parameters, whether they are safe for everyone and
quick enough for the loop. Their functions take a `Call` and the parsed parameters and return something that
is JSON-ready, in which bytes stand for 0x-hex, or an awaitable of such a thing.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias, TypeVar

import orjson

from rpc.encoding import encode
from rpc.errors import Reason, RpcError, error, invalid_params, named_error, not_ready, rate_limited, too_many
from rpc.limits import RateLimiter, RpcLimits
from rpc.parameters import Param, clip, type_name
from rpc.service import NodeService
from rpc.slow import SlowCalls
from rpc.subscriptions import Hub, Subscription, SubscriptionSet, Topic

log = logging.getLogger(__name__)

T = TypeVar("T")
Answer: TypeAlias = bytes | None

# A message of more bytes than these counts as more than one call of its client, as many as it has such pieces.
_LARGE: Final = 1 << 16
# Brackets and commas of a call in a batch, beyond those of the longest list that a call takes.
_PARTS_OF_CALL: Final = 16

# A batch lets others have the loop after so many seconds.
_TURN: Final = 0.005


@dataclass(frozen=True, slots=True)
class Method:
    """One method as clients see it; its documentation is its function's docstring.

    `unsafe` is for the operator only, `slow` is run in a worker thread. `overlaps`: a batch goes on with its
    next call while this one waits for the node; for results that are small whatever the parameters.
    """

    name: str
    handler: Callable[..., object]
    params: tuple[Param, ...] = ()
    aliases: tuple[str, ...] = ()
    unsafe: bool = False
    slow: bool = False
    overlaps: bool = False


@dataclass(frozen=True, slots=True)
class Server:
    """What all calls to one server share."""

    service: NodeService
    limits: RpcLimits
    unsafe_allowed: bool
    names: list[str]
    hub: Hub
    slow_calls: SlowCalls
    old_models: SlowCalls
    limiter: RateLimiter | None = None


class Started(Protocol):
    """What a call has begun and its answer names."""

    def release(self) -> None:
        """The answer is out: what follows from it may begin."""

    def end(self) -> None:
        """The answer will not name it."""


@dataclass(slots=True)
class Call:
    """Who calls: the server's side of one message.

    `client` is what a rate limit counts by, None for a client without one; `subscriptions` are those of the
    WebSocket that the message came by, None over HTTP. Those who share a `line` share the place that one has among
    the slow calls.
    """

    server: Server
    service: NodeService
    client: str | None = None
    subscriptions: SubscriptionSet | None = None
    started: list[Started] = field(default_factory=list)
    line: Hashable = None

    def slowly(self, function: Callable[..., T], *arguments: object) -> Awaitable[T]:
        """Run a function in a worker thread."""
        return self.server.slow_calls.run(self.line, function, *arguments)

    def of_old_model(self, function: Callable[..., T], *arguments: object) -> Awaitable[T]:
        """Run what may have to derive the model of an old block, in a thread of its own: others need not wait."""
        return self.server.old_models.run(self.line, function, *arguments)

    def need_socket(self) -> SubscriptionSet:
        """The subscriptions of the caller's WebSocket."""
        if self.subscriptions is None:
            raise named_error(Reason.NEEDS_WEBSOCKET, "subscriptions need a WebSocket connection")
        return self.subscriptions

    def start(self, topic: Topic) -> Subscription:
        """A new subscription, whose notifications wait until the answer to this call is out."""
        subscription = self.need_socket().open(topic)
        self.started.append(subscription)
        return subscription

    def subscribe(self, topic: Topic, keys: Sequence[bytes] = ()) -> str:
        """Subscribe to what the hub tells of; the new subscription's id."""
        subscription = self.start(topic)
        try:
            subscription.owner.watch_keys(subscription, keys)
            self.server.hub.add(subscription)
        except BaseException:
            subscription.end()
            raise
        return subscription.identifier

    def unsubscribe(self, identifier: str, topic: Topic) -> bool:
        """End the caller's subscription of this id and topic; whether there was one."""
        return self.need_socket().close(identifier, topic)

    def answered(self) -> None:
        """The answer is out: let the notifications of what this call started follow."""
        for started in self.started:
            started.release()

    def abandon(self) -> None:
        """The answer will not name what this call started: end it."""
        for started in self.started:
            started.end()
            if isinstance(started, Subscription):
                started.discard()
        self.started.clear()


class _Pending:
    """A call whose result is still to come."""

    __slots__ = ("awaitable", "identifier", "method", "wanted")

    def __init__(self, identifier: object, wanted: bool, method: Method, awaitable: Awaitable[object]) -> None:
        self.identifier = identifier
        self.wanted = wanted
        self.method = method
        self.awaitable = awaitable


class Dispatcher:
    """Answers requests by the methods it is given."""

    def __init__(self, methods: Iterable[Method]) -> None:
        """Take the methods; two of one name are a mistake of ours."""
        self._methods: dict[str, Method] = {}
        for method in methods:
            for name in (method.name, *method.aliases):
                if name in self._methods:
                    raise ValueError(f"two methods are named {name}")
                self._methods[name] = method
        self._reported: set[tuple[str, type[Exception]]] = set()

    @property
    def methods(self) -> Sequence[Method]:
        """All methods, sorted by name, each once."""
        return sorted({method.name: method for method in self._methods.values()}.values(), key=lambda m: m.name)

    def names(self, *, unsafe: bool) -> list[str]:
        """The sorted names and aliases of methods that can be called, the unsafe ones only if they may be."""
        return sorted(name for name, method in self._methods.items() if unsafe or not method.unsafe)

    def dispatch(self, message: bytes | str, call: Call) -> Answer | Awaitable[Answer]:
        """The answer to a message, at once or to be awaited; None if nothing is to be answered."""
        size = len(message)
        if size <= _LARGE:
            return self._read(message, call)
        # Reading it costs time, whatever is in it: its client pays for that after its calls, which would else fail.
        if not self._within_rate(call, 0.0):
            return self._refuse(None, self._too_fast(call))
        outcome = self._read_large(message, call)
        if isinstance(outcome, bytes | None):
            self._within_rate(call, size / _LARGE)
            return outcome
        return self._paying(outcome, call, size / _LARGE)

    def _read_large(self, message: bytes | str, call: Call) -> Answer | Awaitable[Answer]:
        """The answer to a message that would hold up all others if it were of small parts."""
        limits = call.server.limits
        most = limits.max_parts + _PARTS_OF_CALL * limits.max_batch
        if _has_more_parts(message, most):
            return self._refuse(None, too_many("parts in the request", most))
        return self._read(message, call)

    async def _paying(self, outcome: Awaitable[Answer], call: Call, calls: float) -> Answer:
        """Await an answer; from then on its client owes so many calls."""
        try:
            return await outcome
        finally:
            self._within_rate(call, calls)

    def _read(self, message: bytes | str, call: Call) -> Answer | Awaitable[Answer]:
        """The answer to a message that is not too large to be read."""
        try:
            request = orjson.loads(message)
        except orjson.JSONDecodeError:
            if not self._within_rate(call):
                return self._refuse(None, self._too_fast(call))
            return self._refuse(None, error(Reason.PARSE_ERROR, "Parse error"))
        if type(request) is list:
            return self._batch(request, call)
        outcome = self._begin(request, call)
        return self._finish(outcome, call) if isinstance(outcome, _Pending) else outcome

    def _begin(self, request: object, call: Call) -> Answer | _Pending:
        """Check a request and call its method."""
        if type(request) is not dict:
            if not self._within_rate(call):
                return self._refuse(None, self._too_fast(call))
            return self._refuse(None, _invalid_request(f"a request is an object, not {type_name(request)}"))
        wanted = "id" in request
        identifier = request.get("id")
        legal = identifier is None or type(identifier) in (int, str, float)
        if not self._within_rate(call):
            return self._refuse(identifier if legal else None, self._too_fast(call)) if wanted else None
        if not legal:
            fault = _invalid_request(f"id must be a string, a number or null, not {type_name(identifier)}")
            return self._refuse(None, fault)
        if request.get("jsonrpc") != "2.0":
            return self._refuse(identifier, _invalid_request('jsonrpc must be "2.0"'))
        name = request.get("method")
        if type(name) is not str:
            return self._refuse(identifier, _invalid_request("method must be a string"))
        method = self._methods.get(name)
        try:
            if method is None:
                raise error(Reason.METHOD_NOT_FOUND, "Method not found")
            if method.unsafe and not call.server.unsafe_allowed:
                raise named_error(Reason.METHOD_IS_UNSAFE, "RPC call is unsafe to be called externally")
            arguments = _arguments(method.params, request.get("params"))
            if method.slow:
                return _Pending(identifier, wanted, method, call.slowly(method.handler, call, *arguments))
            result = method.handler(call, *arguments)
        except RpcError as fault:
            return self._refuse(identifier, fault) if wanted else None
        except Exception as fault:
            self._report(name, fault)
            return self._refuse(identifier, _internal_error()) if wanted else None
        if hasattr(result, "__await__"):
            return _Pending(identifier, wanted, method, result)
        return self._encode(identifier, name, result, call) if wanted else None

    async def _finish(self, pending: _Pending, call: Call) -> Answer:
        """Await a call's result, with a deadline."""
        patience = call.server.limits.request_timeout
        name = pending.method.name
        try:
            async with asyncio.timeout(patience):
                result = await pending.awaitable
        except RpcError as fault:
            # Its traceback holds this frame, and that the awaitable, which holds the fault: a circle for each refusal.
            refusal = fault.with_traceback(None)
        except TimeoutError:
            refusal = not_ready(f"no result within {patience:g} seconds")
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Not this task was cancelled but what it waited for: the node lets go of its calls when it stops.
            refusal = not_ready("it is stopping")
        except Exception as fault:
            self._report(name, fault)
            refusal = _internal_error()
        else:
            return self._encode(pending.identifier, name, result, call) if pending.wanted else None
        return self._refuse(pending.identifier, refusal) if pending.wanted else None

    async def _batch(self, requests: list[object], call: Call) -> Answer:
        """Answer many requests in their order, as one."""
        limits = call.server.limits
        if not 0 < len(requests) <= limits.max_batch:
            if not self._within_rate(call):
                return self._refuse(None, self._too_fast(call))
            if not requests:
                return self._refuse(None, _invalid_request("a batch must have at least one request"))
            return self._refuse(None, too_many("requests in the batch", limits.max_batch))
        answers = await self._each(requests, call)
        if answers is None:
            call.abandon()
            return self._refuse(None, too_many("bytes in the batch's answer", limits.max_response_size))
        return b"[" + b",".join(answers) + b"]" if answers else None

    async def _each(self, requests: list[object], call: Call) -> list[bytes] | None:
        """The answers of a batch, begun in order; None as soon as they are too large together."""
        room = call.server.limits.max_response_size
        answers: list[Answer | asyncio.Future[Answer]] = []
        turn_ends = time.perf_counter() + _TURN
        try:
            for index, request in enumerate(requests):
                # What has begun holds what it needs of its request, and junk is held no longer.
                requests[index] = None
                outcome = self._begin(request, call)
                if isinstance(outcome, _Pending):
                    if outcome.method.overlaps:
                        answers.append(asyncio.ensure_future(self._finish(outcome, call)))
                        continue
                    outcome = await self._finish(outcome, call)
                elif time.perf_counter() > turn_ends:
                    await asyncio.sleep(0)
                    turn_ends = time.perf_counter() + _TURN
                answers.append(outcome)
                room -= len(outcome or b"") + 1
                if room < 0:
                    return None
            done = [answer if isinstance(answer, bytes | None) else await answer for answer in answers]
        finally:
            for answer in answers:
                if isinstance(answer, asyncio.Future):
                    answer.cancel()
        return [answer for answer in done if answer is not None]

    def _encode(self, identifier: object, name: str, result: object, call: Call) -> bytes:
        """An answer with a result."""
        try:
            answer = encode({"jsonrpc": "2.0", "result": result, "id": identifier})
        except TypeError as fault:
            self._report(name, fault)
            return self._refuse(identifier, _internal_error())
        limit = call.server.limits.max_response_size
        if len(answer) > limit:
            return self._refuse(identifier, too_many("bytes in the answer", limit))
        return answer

    def _refuse(self, identifier: object, fault: RpcError) -> bytes:
        """An answer with an error."""
        return encode({"jsonrpc": "2.0", "error": fault.to_json(), "id": identifier})

    def _within_rate(self, call: Call, calls: float = 1.0) -> bool:
        limiter = call.server.limiter
        return limiter is None or call.client is None or limiter.take(call.client, calls)

    def _too_fast(self, call: Call) -> RpcError:
        limiter = call.server.limiter
        return rate_limited(limiter.rate if limiter is not None else 0.0)

    def _report(self, name: str, fault: Exception) -> None:
        """Log a defect of ours: with its traceback the first time, in a line after that."""
        kind = (name, type(fault))
        first = kind not in self._reported
        self._reported.add(kind)
        log.error("%s failed: %s: %s", name, type(fault).__name__, fault, exc_info=fault if first else None)


def _has_more_parts(message: bytes | str, most: int) -> bool:
    """Whether reading this JSON could make more than so many values: by its commas and opening brackets."""
    for sign in (",", "[", "{"):
        # Looks no further than there is room for, and leaps over what is long, as hex is.
        pieces = message.split(sign, most + 1) if isinstance(message, str) else message.split(sign.encode(), most + 1)
        most -= len(pieces) - 1
        if most < 0:
            return True
    return False


def _internal_error() -> RpcError:
    return error(Reason.INTERNAL_ERROR, "Internal error")


def _invalid_request(why: str) -> RpcError:
    return error(Reason.INVALID_REQUEST, f"Invalid request: {why}")


def _arguments(params: tuple[Param, ...], given: object) -> list[object]:
    """The parsed arguments of a call, positional or by name."""
    if given is None:
        values: Sequence[object] = ()
    elif type(given) is list:
        values = given
    elif type(given) is dict:
        values = _by_position(params, given)
    else:
        raise invalid_params(f"params must be an array or an object, not {type_name(given)}")
    if len(values) > len(params):
        raise invalid_params(f"at most {len(params)} parameters are taken, not {len(values)}")
    arguments = []
    for index, param in enumerate(params):
        value = values[index] if index < len(values) else None
        if value is None and not param.required:
            arguments.append(param.default)
            continue
        if index >= len(values):
            raise invalid_params(f"parameter {param.name} is missing")
        try:
            arguments.append(param.kind.parse(value))
        except ValueError as fault:
            raise invalid_params(f"parameter {param.name} {fault}") from None
    return arguments


def _by_position(params: tuple[Param, ...], given: dict[str, object]) -> list[object]:
    names = [param.name for param in params]
    for name in given:
        if name not in names:
            raise invalid_params(f"there is no parameter {clip(name)}: known are {', '.join(names) or 'none'}")
    for param in params:
        if param.required and param.name not in given:
            raise invalid_params(f"parameter {param.name} is missing")
    return [given.get(name) for name in names]
