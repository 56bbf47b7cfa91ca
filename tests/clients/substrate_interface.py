"""substrate-interface, the client for Python; run by itself, as it has warnings of its own and knows no pytest.

Its scalecodec names types by their ids, reads events with the metadata, and signs with keys of its own.
"""

import contextlib
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from scalecodec.base import ScaleBytes
from substrateinterface import Keypair, KeypairType, SubstrateInterface
from substrateinterface.exceptions import SubstrateRequestException

URL, GIVEN = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
SUBMIT = "submit_rating"


def ed25519(name: str) -> Keypair:
    """It cannot derive ed25519 keys from secret URIs; the seeds come from the tests."""
    return Keypair.create_from_seed(GIVEN["seeds"][name], crypto_type=KeypairType.ED25519)


ALICE = ed25519("Alice")
BOB = Keypair.create_from_uri("//substrate-interface//Bob", crypto_type=KeypairType.SR25519)
NODE = SubstrateInterface(url=URL)


def rating(item: int, value: int = 1) -> Any:
    return NODE.compose_call("MatrixFactorization", SUBMIT, {"item": item, "rating": value})


def remark(data: str) -> Any:
    return NODE.compose_call("System", "remark", {"remark": data})


def send(call: Any, pair: Keypair, **options: Any) -> Any:
    extrinsic = NODE.create_signed_extrinsic(call=call, keypair=pair, **options)
    return NODE.submit_extrinsic(extrinsic, wait_for_inclusion=True)


def names(receipt: Any) -> list[str]:
    return [f"{event.value['module_id']}.{event.value['event_id']}" for event in receipt.triggered_events]


def connect() -> None:
    assert NODE.chain == "mfchain Development"
    NODE.init_runtime()
    assert NODE.runtime_version == 100
    assert NODE.ss58_format == 42
    assert NODE.get_metadata_call_function("MatrixFactorization", SUBMIT).docs


def constants() -> None:
    assert NODE.get_constant("MatrixFactorization", "FractionalBits").value == 24
    assert NODE.get_constant("MatrixFactorization", "RatingMin").value == -1
    assert NODE.get_constant("System", "BlockHashCount").value == 4096


def storage() -> None:
    items = {key.value: item.value["title"] for key, item in NODE.query_map("MatrixFactorization", "Items")}
    assert len(items) == 16
    assert items[1] == "Archer"
    assert NODE.query("MatrixFactorization", "ItemCount").value == 16
    assert NODE.query("MatrixFactorization", "Items", [99]).value is None
    assert NODE.query("System", "Account", [BOB.ss58_address]).value["nonce"] == 0


def sign_ed25519() -> None:
    receipt = send(rating(0), ALICE)
    assert receipt.is_success, receipt.error_message
    assert names(receipt) == ["MatrixFactorization.RatingSubmitted", "System.NewAccount", "System.ExtrinsicSuccess"]
    told = receipt.triggered_events[0].value["attributes"]
    assert told == {"account": ALICE.ss58_address, "item": 0, "rating": 1}


def sign_sr25519_and_wait_for_finality() -> None:
    extrinsic = NODE.create_signed_extrinsic(call=rating(0), keypair=BOB)
    receipt = NODE.submit_extrinsic(extrinsic, wait_for_finalization=True)
    assert receipt.is_success
    assert receipt.finalized


def mortal() -> None:
    receipt = send(remark("0x6d"), ALICE, era={"period": 16})
    assert receipt.is_success
    signed = NODE.get_block(receipt.block_hash)["extrinsics"][1]
    assert signed.value["era"] != "00"


def prediction() -> None:
    receipt = send(NODE.compose_call("MatrixFactorization", "get_prediction", {"item": 0}), ALICE)
    told = next(event for event in receipt.triggered_events if event.value["event_id"] == "PredictionObtained")
    expected = told.value["attributes"]["prediction"] / 2**24
    result = NODE.rpc_request("mf_predict", [ALICE.ss58_address, 0])["result"]
    assert int(result["raw"]["mean"]) / 2 ** result["raw"]["fractionalBits"] == expected


def named_error() -> None:
    receipt = send(rating(99), ALICE)
    assert not receipt.is_success
    assert receipt.error_message["name"] == "ItemDoesNotExist"
    assert receipt.error_message["docs"] == ["There is no item of this id."]


def queue() -> None:
    pair = ed25519("queue")
    sent = [
        NODE.submit_extrinsic(NODE.create_signed_extrinsic(call=rating(nonce), keypair=pair, nonce=nonce))
        for nonce in (1, 0)
    ]
    assert len({receipt.extrinsic_hash for receipt in sent}) == 2
    send(rating(2), pair, nonce=2)
    assert NODE.query("System", "Account", [pair.ss58_address]).value["nonce"] == 3
    assert NODE.get_account_nonce(pair.ss58_address) == 3


def refusals() -> None:
    with refused("Transaction is outdated"):
        send(remark("0x01"), ALICE, nonce=0)
    extrinsic = NODE.create_signed_extrinsic(call=remark("0x02"), keypair=ALICE, signature=bytes(64))
    with refused("Transaction has a bad signature"):
        NODE.submit_extrinsic(extrinsic)


@contextlib.contextmanager
def refused(why: str) -> Iterator[None]:
    message = "nothing was refused"
    try:
        yield
    except SubstrateRequestException as error:
        message = str(error)
    assert why in message


def fee() -> None:
    info = NODE.get_payment_info(rating(1), ALICE)
    assert info["partialFee"] == 0, info


def header_hash() -> None:
    block = NODE.get_chain_finalised_head()
    header = NODE.rpc_request("chain_getHeader", [block])["result"]
    logs = [bytes.fromhex(log[2:]) for log in header["digest"]["logs"]]
    compact = NODE.runtime_config.create_scale_object("Compact<u32>")
    parts = [bytes.fromhex(header["parentHash"][2:]), bytes(compact.encode(int(header["number"], 16)).data)]
    parts += [bytes.fromhex(header[root][2:]) for root in ("stateRoot", "extrinsicsRoot")]
    data = b"".join([*parts, bytes((len(logs) << 2,)), *logs])
    assert "0x" + hashlib.blake2b(data, digest_size=32).hexdigest() == block


def subscription() -> None:
    seen: list[int] = []

    def follow(told: Any, number: int, _identifier: str) -> Any:
        seen.append(told["header"]["number"])
        if number == 0:
            other = SubstrateInterface(url=URL)
            call = other.compose_call("System", "remark", {"remark": "0x73"})
            other.submit_extrinsic(other.create_signed_extrinsic(call=call, keypair=ed25519("subscription")))
            other.close()
            return None
        return True

    assert NODE.subscribe_block_headers(follow)
    assert seen == [seen[0], seen[0] + 1]


def every_event() -> None:
    kind = NODE.get_metadata_storage_function("System", "Events").get_value_type_string()
    for sample in GIVEN["events"]:
        decoded = NODE.runtime_config.create_scale_object(kind, ScaleBytes(sample["hex"]), metadata=NODE.metadata)
        told = []
        for event in decoded.decode():
            error = event["attributes"]["dispatch_error"] if event["event_id"] == "ExtrinsicFailed" else None
            told.append([event["module_id"], event["event_id"], error_name(error)])
        assert told == sample["records"], (told, sample["records"])
        assert decoded.data.get_remaining_length() == 0
    assert GIVEN["events"]


def error_name(error: Any) -> str | None:
    if not isinstance(error, dict):
        return error
    module = error["Module"]
    code = module["error"]
    index = int(code[2:4], 16) if isinstance(code, str) else code
    return NODE.metadata.get_module_error(module_index=module["index"], error_index=index).name


STEPS: dict[str, Callable[[], None]] = {
    "connect, and read the metadata": connect,
    "constants": constants,
    "storage and map entries": storage,
    "sign with ed25519, submit, watch to inBlock": sign_ed25519,
    "sign with sr25519, watch to finalized": sign_sr25519_and_wait_for_finality,
    "a mortal era": mortal,
    "the seed's question: get_prediction, in 24 fractional bits": prediction,
    "an error by its name": named_error,
    "two transactions of one account at once": queue,
    "a stale nonce and a bad signature": refusals,
    "a fee of zero": fee,
    "the hash of a header, computed by itself": header_hash,
    "a subscription": subscription,
    "every event and every error there can be": every_event,
}

for name, step in STEPS.items():
    step()
    print(name, flush=True)
NODE.close()
