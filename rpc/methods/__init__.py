"""All methods, one module a namespace."""

from rpc.dispatch import Method
from rpc.methods import author, chain, dev, mf, state, system


def all_methods() -> tuple[Method, ...]:
    """Every method the node serves; `rpc_methods` lists them too."""
    return (*system.METHODS, *chain.METHODS, *state.METHODS, *author.METHODS, *mf.METHODS, *dev.METHODS)
