"""A soak test of the API and the model; `make nightly` sends 20,000 requests."""

import pytest

from benchmarks import soak
from tests.nightly import often

pytestmark = pytest.mark.server


def test_no_wrong_response_no_failure_no_leak() -> None:
    assert soak.run(requests=often(2_000, nightly=20_000), clients=8)
