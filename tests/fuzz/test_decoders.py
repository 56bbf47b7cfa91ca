"""Whatever is decoded, the answer is a value or one of the errors that are said to come, and takes little memory."""

from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.decoders import DECODERS, Decoder, allocated_by, mutated, throw

pytestmark = pytest.mark.full

AT_ONCE: Final = 20
MEASURED: Final = 100
BASE: Final = 1 << 20
PER_BYTE: Final = 1_000
"""What decoding may allocate, at most: a bit, and so many bytes for each one of the input."""


def fuzz(decoder: Decoder, count: int) -> None:
    samples, seeds = st.sampled_from(decoder.samples), st.integers(0, 2**64 - 1)
    broken = st.tuples(samples, seeds).map(lambda drawn: mutated(*drawn))
    inputs = st.lists(broken | broken | broken | st.binary(max_size=300), min_size=AT_ONCE, max_size=AT_ONCE)

    @settings(max_examples=count // AT_ONCE, suppress_health_check=list(HealthCheck), database=None)
    @given(inputs)
    def throw_some(some: list[bytes]) -> None:
        for data in some:
            throw(decoder, data)

    throw_some()


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.name)
def test_two_thousand_inputs(decoder: Decoder) -> None:
    fuzz(decoder, 2_000)


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.name)
def test_a_hundred_thousand_inputs(decoder: Decoder) -> None:
    fuzz(decoder, 100_000)


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.name)
def test_what_is_whole_is_taken(decoder: Decoder) -> None:
    """Without this, a decoder that refuses everything would pass for a good one."""
    assert decoder.samples
    assert all(throw(decoder, sample) for sample in decoder.samples)


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.name)
def test_no_input_takes_much_more_memory_than_it_has_bytes(decoder: Decoder) -> None:
    inputs = [mutated(decoder.samples[seed % len(decoder.samples)], seed) for seed in range(MEASURED)]
    # What is made once does not count.
    throw(decoder, inputs[0])
    for allocated, data in allocated_by(decoder, inputs):
        assert allocated <= BASE + PER_BYTE * len(data), data.hex()
