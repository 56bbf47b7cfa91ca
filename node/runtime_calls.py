"""Runtime APIs: questions to the runtime at a state, with arguments and answers in SCALE (`state_call`)."""

from collections.abc import Callable, Mapping

from rpc.errors import invalid_params, unknown_runtime_call
from runtime.executive import Runtime
from runtime.interface.state import StateReader
from runtime.primitives import blake2b_64
from runtime.scale import ACCOUNT_ID, NONCE, UNIT, ScaleError, encode_compact
from runtime.version import RuntimeVersion


def runtime_call(runtime: Runtime, state: StateReader, name: str, data: bytes) -> bytes:
    """Answer a runtime API by its full name.

    Raises:
        RpcError: there is no such API, or `data` does not decode.
    """
    function = _FUNCTIONS.get(name)
    if function is None:
        raise unknown_runtime_call(name)
    try:
        return function(runtime, state, data)
    except ScaleError as error:
        raise invalid_params(f"data: {error}") from None


def encode_version(version: RuntimeVersion) -> bytes:
    """Encode sp_version::RuntimeVersion."""

    def text(value: str) -> bytes:
        return encode_compact(len(value)) + value.encode()

    def number(value: int) -> bytes:
        return value.to_bytes(4, "little")

    apis = b"".join(blake2b_64(name.encode()) + number(level) for name, level in version.apis)
    return b"".join(
        (
            text(version.spec_name),
            text(version.impl_name),
            number(version.authoring_version),
            number(version.spec_version),
            number(version.impl_version),
            encode_compact(len(version.apis)) + apis,
            number(version.transaction_version),
            bytes((version.system_version,)),
        )
    )


def _core_version(runtime: Runtime, _state: StateReader, data: bytes) -> bytes:
    UNIT.decode(data)
    return encode_version(runtime.version)


def _account_nonce(runtime: Runtime, state: StateReader, data: bytes) -> bytes:
    return NONCE.encode(runtime.system.nonce(state, ACCOUNT_ID.decode(data)))


_FUNCTIONS: Mapping[str, Callable[[Runtime, StateReader, bytes], bytes]] = {
    "Core_version": _core_version,
    "AccountNonceApi_account_nonce": _account_nonce,
}
