from pallets.construct import VERSION
from runtime.version import RuntimeVersion

# The ids of the two runtime APIs are those of every Substrate chain.
CORE, ACCOUNT_NONCE = "0xdf6acb689907609b", "0xbc9d89904f5b923f"


def test_the_json_has_every_member_that_clients_read() -> None:
    version = RuntimeVersion("spec", "impl", 1, 2, 3, 4, (("Core", 5), ("AccountNonceApi", 1)), 6, 7)
    assert version.to_json() == {
        "specName": "spec",
        "implName": "impl",
        "authoringVersion": 1,
        "specVersion": 2,
        "implVersion": 3,
        "apis": [[CORE, 5], [ACCOUNT_NONCE, 1]],
        "transactionVersion": 4,
        "stateVersion": 6,
        "systemVersion": 7,
    }


def test_the_chain_hashes_large_values_but_not_extrinsics() -> None:
    told = VERSION.to_json()
    assert (told["stateVersion"], told["systemVersion"]) == (1, 1)
