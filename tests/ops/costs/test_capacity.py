"""Tests of the capacity of instance types."""

import pytest

from ops.costs import capacity
from ops.costs.capacity import Capacity, Measured

AVX512_VNNI = {"avx512-vnni": Measured("VNNI", "X", "2026-01-01", 120, 8)}
AVX2 = {"avx2": Measured("AVX2", "X", "2026-01-01", 50, 18)}
ARM = {"arm64-i8mm": Measured("I8MM", "X", "2026-01-01", 90, 10)}


def test_the_shipped_results_name_a_cpu_and_a_date() -> None:
    assert capacity.measured()
    for result in capacity.measured().values():
        assert result.cpu
        assert result.date > "2026"
        assert result.images_per_s_and_core > 10
        assert result.cpu_ms_per_image > 1


@pytest.mark.parametrize(
    ("instance_type", "rate", "basis"),
    [
        ("ml.c6i.large", 2 * 120, "measured on VNNI"),
        ("ml.c7i.xlarge", 4 * 120, "measured on VNNI"),  # AMX is not slower
        ("ml.m5.large", 2 * 50, "measured on AVX2"),  # a host may lack VNNI
        ("ml.c7g.large", 2 * 50, "not measured on Graviton; as on AVX2"),
        ("ml.inf2.xlarge", 4 * 50, "not measured on its CPU; as on AVX2"),
    ],
)
def test_a_type_has_the_rate_of_the_closest_cpu_that_is_not_faster(
    instance_type: str, rate: float, basis: str
) -> None:
    expected = Capacity(rate, basis, is_measured=basis.startswith("measured"))
    assert capacity.of(instance_type, AVX512_VNNI | AVX2) == expected


def test_a_type_slower_than_all_measured_ones_says_so() -> None:
    assert capacity.of("ml.m5.large", AVX512_VNNI).basis == "not measured on its CPU; as on VNNI"


def test_a_measurement_on_graviton_counts_for_graviton() -> None:
    results = AVX2 | ARM
    assert capacity.of("ml.c7g.large", results).basis == "measured on I8MM"
    assert capacity.of("ml.c6g.large", results).basis == "not measured on Graviton; as on AVX2"
    assert capacity.slowest(results).title == "AVX2"
