"""A soak of the whole path; 20,000 requests in `make nightly`."""

import pytest

from benchmarks import soak
from tests.nightly import often

pytestmark = pytest.mark.server


def test_no_wrong_answer_no_failure_no_leak() -> None:
    assert soak.run(requests=often(2_000, nightly=20_000), clients=8)
