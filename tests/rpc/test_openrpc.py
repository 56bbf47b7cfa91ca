"""The descriptions of all methods are those of the methods that are served."""

from pathlib import Path
from typing import Any

import pytest

from rpc.methods import all_methods
from rpc.openrpc import document, table
from scripts.list_methods import PATH, text
from tests.rpc.served import Served

METHODS = all_methods()
HASH = {"type": "string", "pattern": "^0x[0-9a-fA-F]{64}$"}
HEX = {"type": "string", "pattern": "^0x([0-9a-fA-F]{2})*$"}
OPTIONAL_HASH = {"oneOf": [HASH, {"type": "null"}]}


def described(served: Served) -> dict[str, Any]:
    reply = served.request("GET", "/openrpc.json")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    return {entry["name"]: entry for entry in reply.json["methods"]}


def test_the_document_describes_what_rpc_methods_lists(served: Served) -> None:
    assert sorted(described(served)) == served.result("rpc_methods")["methods"]


def test_the_document_says_who_made_it(served: Served) -> None:
    found = served.request("GET", "/openrpc.json").json
    assert found["openrpc"] == "1.3.2"
    assert found["info"]["version"] == served.result("system_version")
    assert found == document(METHODS, "0.1.0")


def test_parameters_are_those_that_are_taken(served: Served) -> None:
    entries = described(served)
    for method in METHODS:
        for name in (method.name, *method.aliases):
            told = [(param["name"], param["required"]) for param in entries[name]["params"]]
            assert told == [(param.name, param.required) for param in method.params]
    too_many = served.error("mf_item", 0, None, 1)
    assert too_many["message"] == f"at most {len(entries['mf_item']['params'])} parameters are taken, not 3"


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("chain_getHead", {"oneOf": [HASH, {"type": "array", "items": OPTIONAL_HASH}, {"type": "null"}]}),
        ("chain_getFinalizedHead", HASH),
        ("system_accountNextIndex", {"type": "integer"}),
        ("system_health", {"type": "object"}),
        ("author_pendingExtrinsics", {"type": "array", "items": HEX}),
        ("chainHead_v1_unfollow", {"type": "null"}),
        ("mf_predict", {"type": "object"}),
    ],
)
def test_results_have_the_types_of_the_functions(served: Served, name: str, schema: dict[str, Any]) -> None:
    assert described(served)[name]["result"] == {"name": "result", "schema": schema}


def test_unsafe_methods_are_marked(served: Served) -> None:
    marked = {name for name, entry in described(served).items() if {"name": "unsafe"} in entry["tags"]}
    assert marked == {name for method in METHODS if method.unsafe for name in (method.name, *method.aliases)}


def test_the_list_in_the_docs_is_the_one_of_the_code() -> None:
    assert PATH.read_text() == text(), "run python scripts/list_methods.py"
    assert len(table(METHODS).splitlines()) == 2 + len(METHODS)
    assert Path(__file__).parents[2] / "docs" / "rpc-methods.md" == PATH
