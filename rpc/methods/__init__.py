"""All methods, one module a namespace."""

from rpc.dispatch import Method
from rpc.methods import author, chain, dev, mf, ring, state, system


def all_methods() -> tuple[Method, ...]:
    """Every method the node serves; `rpc_methods` lists them too."""
    return (*system.METHODS, *chain.METHODS, *state.METHODS, *author.METHODS, *mf.METHODS, *ring.METHODS, *dev.METHODS)
