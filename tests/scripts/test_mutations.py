"""scripts/mutations.py: every rule that it breaks is still there. Breaking them takes an hour, and is done by hand."""

from pathlib import Path

import pytest

from scripts import mutations

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutation", mutations.MUTATIONS, ids=lambda mutation: mutation.rule)
def test_a_rule_to_break_stands_once_in_its_file(mutation: mutations.Mutation) -> None:
    assert (ROOT / mutation.file).read_text(encoding="utf-8").count(mutation.old) == 1
    assert mutation.old != mutation.new
    assert all((ROOT / name).exists() for name in mutation.tests)
