"""A signed rating that is cut or changed at every byte: the node refuses each, says why, and takes the whole one."""

from collections.abc import Iterator

import pytest

from rpc.client import RpcClient
from rpc.errors import CODES, Reason, RpcError
from rpc.transactions import signing_now, submit_rating, submit_ratings
from runtime.crypto import Scheme
from runtime.keys import key_pair_from_uri
from runtime.primitives import to_hex

pytestmark = pytest.mark.full

REFUSED = {CODES[Reason.BAD_FORMAT], CODES[Reason.INVALID_TRANSACTION]}


def broken(raw: bytes) -> Iterator[bytes]:
    """Every beginning, every end, every byte changed in three ways, doubled and left out."""
    for at in range(len(raw)):
        yield raw[:at]
        yield raw[at + 1 :]
        for mask in (0x01, 0x80, 0xFF):
            yield raw[:at] + bytes((raw[at] ^ mask,)) + raw[at + 1 :]
        yield raw[:at] + raw[at : at + 1] + raw[at:]
        yield raw[:at] + raw[at + 1 :]


@pytest.mark.parametrize("scheme", Scheme)
@pytest.mark.parametrize(
    "call",
    [submit_rating(5, 1), submit_ratings(b"".join(item.to_bytes(8, "little") + b"\x01" + bytes(7) for item in (5, 6)))],
    ids=["one rating", "two ratings"],
)
def test_cut_and_changed_at_every_byte(client: RpcClient, call: bytes, scheme: Scheme) -> None:
    pair = key_pair_from_uri(f"//Cut//{len(call)}", scheme)
    raw = signing_now(client).sign(pair, call, 0)
    wrong = [variant for variant in dict.fromkeys(broken(raw)) if variant != raw]
    assert len(wrong) > 5 * len(raw)
    for method in ("author_submitExtrinsic", "system_dryRun"):
        for start in range(0, len(wrong), 500):
            some = wrong[start : start + 500]
            for variant, result in zip(some, client.batch([(method, [to_hex(each)]) for each in some]), strict=True):
                if method == "author_submitExtrinsic":
                    assert isinstance(result, RpcError), variant.hex()
                    assert result.code in REFUSED
                    assert isinstance(result.data, str)
                else:
                    # Result::Err of a TransactionValidityError; what cannot be decoded is an error.
                    assert (isinstance(result, RpcError) and result.code in REFUSED) or result.startswith("0x01")
    assert client.call("author_pendingExtrinsics") == []
    assert client.call("author_submitExtrinsic", to_hex(raw)).startswith("0x")
