"""Tests of what the name of an instance type contains."""

import pytest

from aws.instance_types import vcpus
from cli.errors import SettingsError


def test_vcpus_by_size() -> None:
    types = ("ml.c7g.medium", "ml.c6i.large", "ml.m5.xlarge", "ml.c7i.4xlarge")
    assert [vcpus(name) for name in types] == [1, 2, 4, 16]
    with pytest.raises(SettingsError, match="is not an instance type"):
        vcpus("ml.c6i")
