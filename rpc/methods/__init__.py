"""All methods, one module a namespace."""

from rpc.dispatch import Method
from rpc.methods import author, chain, chain_head, dev, mf, payment, ring, state, system, transaction


def all_methods() -> tuple[Method, ...]:
    """Every method the node serves; `rpc_methods` lists them too."""
    modules = (system, chain, state, author, payment, chain_head, transaction, mf, ring, dev)
    return tuple(method for module in modules for method in module.METHODS)
