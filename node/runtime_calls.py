"""Runtime APIs of a node: questions to the runtime at a block, with arguments and answers in SCALE (`state_call`)."""

from node.chain import Chain
from pallets.system.storage import NUMBER
from rpc.errors import invalid_params, unknown_runtime_call
from runtime.apis import RuntimeApis, UnknownApi
from runtime.interface.apis import ApiContext
from runtime.primitives import BlockRef, Hash
from runtime.scale import ScaleError


class RuntimeCalls:
    """Asks the chain's runtime."""

    def __init__(self, chain: Chain) -> None:
        """Take the chain whose blocks are asked at."""
        self._chain = chain
        self._apis = RuntimeApis(chain.runtime)

    def metadata(self, version: int) -> bytes:
        """Return the metadata in one of its versions."""
        return self._apis.metadata(version)

    def call(self, name: str, data: bytes, block: Hash) -> bytes:
        """Answer a runtime API by its full name.

        Raises:
            RpcError: there is no such API, or `data` does not decode.
            UnknownBlock, StatePruned: see `ChainDatabase.state_at`.
        """
        state = self._chain.database.state_at(block)
        context = ApiContext(BlockRef(NUMBER.get(state), block), state, lambda: self._chain.model_at(block))
        try:
            return self._apis.call(name, data, context)
        except UnknownApi:
            raise unknown_runtime_call(name) from None
        except ScaleError as error:
            raise invalid_params(f"data: {error}") from None
