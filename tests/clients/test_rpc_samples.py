"""Recorded answers of another Substrate-style node: ours have the same keys, types and forms, errors are the same."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from rpc.client import RpcClient
from rpc.errors import RpcError
from tests.support.processes import NodeProcess

pytestmark = pytest.mark.full

SAMPLES = json.loads((Path(__file__).parents[1] / "vectors" / "rpc_samples.json").read_text())
RECORDED_BLOCK = "0xb551c237bffd5e9d8318a5c00b6e37ed1526c3336392d765061a50c069c1c4c3"


def form(value: Any) -> Any:
    """What stays of a value when it is of another chain."""
    match value:
        case dict():
            return {key: form(entry) for key, entry in value.items()}
        case list():
            forms: list[Any] = []
            for entry in value:
                if (shape := form(entry)) not in forms:
                    forms.append(shape)
            return sorted(forms, key=repr)
        case bool() | None:
            return value if value is None else "boolean"
        case int() | float():
            return "number"
        case str() if re.fullmatch(r"0x[0-9a-f]{64}", value):
            return "hash"
        case str() if re.fullmatch(r"0x([0-9a-f]{2})*", value):
            return "hex"
        case str() if re.fullmatch(r"0x[0-9a-f]+", value):
            return "hex number"
        case _:
            return "text"


def ask(client: RpcClient, sample: dict[str, Any], block: str) -> dict[str, Any]:
    """Our answer; where the sample names a block of its chain, it is one of ours."""
    params = json.loads(json.dumps(sample["params"]).replace(RECORDED_BLOCK, block))
    try:
        return {"result": client.call(sample["method"], *params)}
    except RpcError as error:
        return {"error": error.to_json()}


@pytest.fixture(scope="module")
def block(node: NodeProcess) -> str:
    """A final block with an account of the samples in its state."""
    with node.client() as client:
        return str(client.call("chain_getFinalizedHead"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample['method']}{sample['params']}"[:60])
def test_answers_have_the_recorded_form(node: NodeProcess, block: str, sample: dict[str, Any]) -> None:
    with node.client() as client:
        answer = ask(client, sample, block)
    recorded = sample["response"]
    if "error" in recorded:
        assert answer == recorded
    elif sample["method"] == "rpc_methods":
        assert set(recorded["result"]["methods"]) <= set(answer["result"]["methods"])
    else:
        assert loosened(form(answer)) == loosened(form(recorded))


def loosened(shape: Any) -> Any:
    """A hash is hex, too: a value or a digest item may be of any length; and a block number may have an even length."""
    match shape:
        case dict():
            return {key: loosened(entry) for key, entry in shape.items()}
        case list():
            return sorted({repr(loosened(entry)) for entry in shape})
        case "hash" | "hex number":
            return "hex"
        case _:
            return shape


def test_the_samples_are_all_there() -> None:
    assert len(SAMPLES) == 32
    assert sum("error" in sample["response"] for sample in SAMPLES) == 2
