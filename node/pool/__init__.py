"""Transactions on their way into a block.

An account's transactions whose nonces follow the chain's are *ready*; those behind a gap are *future*.
The pool is told of blocks, and tells whoever watches a transaction what becomes of it. It has no clock
and no threads: time is the height of the best chain, and one loop drives it.

How can it be attacked? With bytes that are no valid transaction: nothing enters before signature and
nonce are checked, and what a block's author had to refuse may not come back for a while. With many
transactions of one account: blocks take one of every account in turn, and when the pool is full the last
ones of who has the most go first. With many made-up accounts, which cost nothing: nine tenths of the pool
are for accounts that the chain knows, and the two kinds take turns in blocks. With futures that wait for
what never comes: they have a small part of the pool, divided in the same way, and leave after a while.
With one transaction in ever new versions, each relayed by all: of one account and nonce the first stays.
With many listeners: they are bounded too.
"""

from node.pool.limits import PoolLimits, PoolRefused, RefusalReason
from node.pool.pool import Added, TransactionPool
from node.pool.queue import ReadyTransactions

__all__ = ["Added", "PoolLimits", "PoolRefused", "ReadyTransactions", "RefusalReason", "TransactionPool"]
