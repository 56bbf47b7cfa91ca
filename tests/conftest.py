"""Options and settings that all tests share."""

import os

import pytest
from hypothesis import Phase, settings

# A shared machine stalls now and then: no test may fail on its own speed. In CI a failure must come back
# the same.
settings.register_profile("mfchain", deadline=None)
settings.register_profile("mfchain-ci", deadline=None, derandomize=True, print_blob=True)
# For scripts/mutations.py: that a test fails is all it wants to know.
settings.register_profile(
    "mfchain-mutations", deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate), database=None
)
settings.load_profile("mfchain-ci" if os.environ.get("CI") else "mfchain")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("mfchain")
    group.addoption("--quick", action="store_true", help="leave out the tests marked full")
    group.addoption("--long", action="store_true", help="run the tests marked long too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects by marker: a test that was not asked for is not there, rather than skipped.

    The page's stories come first: they take minutes and stay in one worker, so at the end all others would wait for it.
    """
    unwanted = set()
    if config.getoption("--quick"):
        unwanted.add("full")
    if not config.getoption("--long"):
        unwanted.add("long")
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        (dropped if any(item.get_closest_marker(name) for name in unwanted) else kept).append(item)
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept
    items.sort(key=lambda item: item.path.parent.name != "ui")
