"""Transactions on their way into a block.

An account's transactions whose nonces follow the chain's are *ready*; those behind a gap are *future*.
The pool is told of blocks, and tells whoever watches a transaction what becomes of it. It has no clock
and no threads: time is the height of the best chain, and one loop drives it.

How can it be attacked? With bytes that are no valid transaction: nothing enters before signature and
nonce are checked, and what a block's author had to refuse may not come back for a while. With many
transactions: count and bytes are bounded, and those of futures apart, so that what waits for something
that may never come cannot fill the pool. With many listeners: they are bounded too. Who comes first
stays, so newcomers cannot empty a full pool.
"""

from node.pool.limits import PoolLimits, PoolRefused, RefusalReason
from node.pool.pool import Added, TransactionPool
from node.pool.queue import ReadyTransactions

__all__ = ["Added", "PoolLimits", "PoolRefused", "ReadyTransactions", "RefusalReason", "TransactionPool"]
