"""Instance types: how many predictions each makes at a time, and how many a second it takes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cli.errors import SettingsError
from ops.costs.queueing import Server

_SIZES = {"medium": 1, "large": 2, "xlarge": 4}


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance type, and where its rate comes from."""

    type: str
    server: Server
    measured: bool
    """Whether the rate was given, from a load test; else it is the assumed one by vCPU."""

    @property
    def rate(self) -> float:
        """Requests a second that it takes."""
        return self.server.capacity


def vcpus(instance_type: str) -> int:
    """The vCPUs of a type by its size: ml.c6i.large has 2, ml.c6i.4xlarge has 16.

    It holds for the families that serve models; raises `SettingsError` for a size unknown to it.
    """
    size = instance_type.rpartition(".")[2]
    if found := re.fullmatch(r"(\d+)xlarge", size):
        return 4 * int(found[1])
    if size not in _SIZES:
        raise SettingsError(f"{instance_type!r} is no instance type like ml.c6i.large")
    return _SIZES[size]


def instance(
    instance_type: str, rates: Mapping[str, float], rate_per_vcpu: float, waiting: int
) -> Instance:
    """The instance of that type, at its rate of `rates`, or at the one assumed for its vCPUs.

    The rate is taken as all that it can do, with one prediction at a time on each vCPU.
    """
    workers = vcpus(instance_type)
    rate = rates.get(instance_type, rate_per_vcpu * workers)
    if rate <= 0:
        raise SettingsError(f"a rate of {rate:g} requests a second is not above 0")
    server = Server(workers, workers / rate, waiting)
    return Instance(instance_type, server, instance_type in rates)
