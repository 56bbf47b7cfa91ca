"""scripts/make_header_vectors.py still makes the file that is checked in."""

from scripts.make_header_vectors import TARGET, render


def test_the_vectors_are_what_the_script_makes() -> None:
    assert TARGET.read_text() == render()
