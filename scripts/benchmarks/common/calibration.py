"""How fast this machine is at the moment, in signature checks: what other figures are compared with."""

from dataclasses import dataclass
from statistics import median

from benchmarks.common.timing import segments
from runtime.crypto import KeyPair, Scheme, verify

CHECKS = 2_000
REFERENCE_SECONDS = 44e-6
"""What a check takes on the machine whose time the weights of calls are given in."""
_SEGMENTS = 10
_MESSAGE = bytes(100)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Ed25519 checks of 100-byte messages: seconds of CPU and of wall that one takes (median)."""

    cpu_seconds: float
    wall_seconds: float

    @property
    def checks_per_cpu_second(self) -> float:
        """Return how many signatures one core checks in a second."""
        return 1 / self.cpu_seconds

    @property
    def slowness(self) -> float:
        """Return how many times longer this machine takes than the one of the weights."""
        return self.cpu_seconds / REFERENCE_SECONDS

    def share(self, operations_per_cpu_second: float) -> float:
        """Return a rate as a share of the bare signature rate."""
        return operations_per_cpu_second * self.cpu_seconds

    def to_json(self) -> dict[str, float]:
        """Return the form in a report."""
        return {
            "signatureChecks": CHECKS,
            "microsecondsCpu": self.cpu_seconds * 1e6,
            "microsecondsWall": self.wall_seconds * 1e6,
            "checksPerCpuSecond": self.checks_per_cpu_second,
            "timesTheReference": self.slowness,
        }


def calibrate() -> Calibration:
    """Check 2,000 signatures in ten segments."""
    pair = KeyPair.from_seed(Scheme.ED25519, bytes(32))
    signature = pair.sign(_MESSAGE)
    count = CHECKS // _SEGMENTS

    def check() -> None:
        for _ in range(count):
            assert verify(Scheme.ED25519, pair.public, _MESSAGE, signature)

    taken = segments(check, _SEGMENTS)
    return Calibration(median(one.cpu for one in taken) / count, median(one.wall for one in taken) / count)
