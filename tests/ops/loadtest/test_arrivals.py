"""Tests of arrival times: rate, order, and reproducibility by seed."""

import itertools

import pytest

from ops.loadtest.arrivals import schedule


def test_even_arrivals_are_equally_spaced() -> None:
    assert schedule(4, 1.5, "even", 0) == [0, 0.25, 0.5, 0.75, 1.0, 1.25]


def test_poisson_arrivals_have_the_rate_and_variance_of_many_clients() -> None:
    due = schedule(200, 50, "poisson", seed=1)
    gaps = [later - earlier for earlier, later in itertools.pairwise(due)]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert mean == pytest.approx(1 / 200, rel=0.05)
    assert variance**0.5 == pytest.approx(mean, rel=0.05)  # of an exponential distribution
    assert due == sorted(due)
    assert 0 < due[0] < due[-1] < 50


def test_arrivals_depend_on_the_seed() -> None:
    assert schedule(10, 5, "poisson", 3) == schedule(10, 5, "poisson", 3)
    assert schedule(10, 5, "poisson", 3) != schedule(10, 5, "poisson", 4)
