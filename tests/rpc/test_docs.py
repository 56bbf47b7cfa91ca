"""docs/rpc.md says what the code says: reasons, statuses, limits and the model's methods."""

import re
from pathlib import Path

from node.config import Options
from node.pool import PoolLimits, RefusalReason
from rpc.errors import CODES, Reason
from rpc.limits import MEBIBYTE, RpcLimits
from rpc.methods import all_methods
from rpc.service import TransactionState
from runtime.interface.errors import InvalidReason

TEXT = (Path(__file__).parents[2] / "docs" / "rpc.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table whose first line is `heading`, without markup."""
    lines = iter(TEXT.splitlines())
    assert heading in lines, heading
    next(lines)
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        found.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
    return found


def test_every_reason_is_listed_with_its_code() -> None:
    listed = [(int(code), reason) for code, reason, _ in rows("| code | reason | when |")]
    assert listed == [(CODES[reason], str(reason)) for reason in Reason]


def test_every_text_of_an_invalid_transaction_is_listed() -> None:
    listed = [tuple(row) for row in rows("| reason of InvalidTransaction | `data` |")]
    undecodable = InvalidReason.UNDECODABLE
    assert listed == [(str(reason), reason.text) for reason in InvalidReason if reason is not undecodable]


def test_what_the_pool_refuses_has_a_reason_of_rpc() -> None:
    assert {str(reason) for reason in RefusalReason} <= {str(reason) for reason in Reason}


def test_every_status_is_listed() -> None:
    assert {row[0] for row in rows("| status | meaning |")} == {str(state) for state in TransactionState}


def test_limits_and_their_defaults() -> None:
    listed = {option: default for option, default, _ in rows("| option | default | above it |")}
    options, limits = Options(), RpcLimits()
    assert listed == {
        "--rpc-max-connections": str(options.rpc_max_connections),
        "--rpc-max-request-size": str(options.rpc_max_request_size),
        "--rpc-max-batch": str(options.rpc_max_batch),
        "--rpc-max-subscriptions": str(options.rpc_max_subscriptions),
        "--rpc-rate-limit": "none",
    }
    assert options.rpc_rate_limit is None
    assert limits.max_response_size == 15 * MEBIBYTE
    assert (limits.request_timeout, limits.stalled_timeout) == (30, 20)


def test_the_figures_of_the_pool() -> None:
    text, limits = " ".join(TEXT.split()), PoolLimits()
    places, futures = limits.total_bytes // limits.transactions, limits.future_bytes // limits.futures
    assert f"The pool has {limits.transactions:,} places of {places:,} bytes." in text
    assert f"Futures have {limits.futures:,} places of {futures:,} bytes of their own" in text
    assert f"{limits.futures_per_account} an account" in text
    assert f"it waits for them, {limits.future_blocks} blocks at most" in text
    assert limits.new_part == 10


def test_every_method_of_ours_is_there() -> None:
    ours = {method.name for method in all_methods() if method.name.startswith(("mf_", "dev_", "ring_"))}
    listed = set(re.findall(r"`((?:mf|dev|ring)_\w+)\(", TEXT))
    assert {name for name in ours if "unsubscribe" not in name} == listed
