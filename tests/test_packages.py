"""The six top-level packages are the project's alone."""

from importlib.metadata import packages_distributions

OURS = ("node", "p2p", "pallets", "rpc", "runtime", "storage")


def test_no_dependency_ships_a_package_of_our_names() -> None:
    owners = packages_distributions()
    assert {name: owners[name] for name in OURS if set(owners.get(name, [])) - {"mfchain"}} == {}


def test_the_look_up_sees_dependencies() -> None:
    """Guards the test above: an empty answer must not come from a look-up that finds nothing."""
    assert packages_distributions()["numpy"] == ["numpy"]
