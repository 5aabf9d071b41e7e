"""From an empty account to a URL that answers and back, with least-privilege credentials only.

An administrator runs the part setup of `up`, and what docs/security.md reserves to them in `down`.
Everything else is done by an operator with the policies of `policy --role deploy`, who releases
through the stage's release role.
"""

from pathlib import Path
from typing import Any

import pytest

from tests import tiny_model
from tests.emulator import inventory
from tests.ops.api import project as projects
from tests.ops.api.project import ACCOUNT, REGION
from tests.ops.lifecycle.conftest import Person, SetState

pytestmark = pytest.mark.server
BUCKET = f"whatbreed-{ACCOUNT}-{REGION}"
RELEASER = f"arn:aws:iam::{ACCOUNT}:user/operator"


def endpoint(person: Person, stage: str) -> dict[str, Any]:
    name = f"whatbreed-{stage}"
    return dict(person.client("sagemaker").describe_endpoint(EndpointName=name))


def scaling_targets(person: Person, stage: str) -> list[tuple[str, int, int]]:
    """Resource, minimum and maximum of what Application Auto Scaling scales."""
    scaling = person.client("application-autoscaling")
    targets = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    return [
        (target["ResourceId"], target["MinCapacity"], target["MaxCapacity"])
        for target in targets
        if f"whatbreed-{stage}/" in target["ResourceId"]
    ]


def assert_gone(administrator: Person, stage: str) -> None:
    """Take the stage down, and assert that only the people's own policies are left."""
    everything = administrator("down", "--stage", stage, "--yes", "--data")
    assert everything.code == 0, everything.err + everything.out
    left = inventory.everything(administrator.client, ACCOUNT)
    policies = left.pop("iam list_policies")
    assert all(name.startswith("whatbreed-operator") for name in policies)
    assert left == {}
    assert all(f"policy {name}, which is attached" in everything.out for name in policies)


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_walk(
    operator: Person,
    administrator: Person,
    set_state: SetState,
    stage: str,
    tmp_path: Path,
) -> None:
    # -- an operator cannot set the account up
    outcome = operator.up(stage)
    assert outcome.code == 1
    assert "An administrator runs `up` with --part setup first" in outcome.err
    setup = administrator.up(stage, "--part", "setup", "--releaser", RELEASER)
    assert setup.code == 0, setup.err

    # -- the first creation of the endpoint fails; `up` repairs it and brings the API up
    set_state(endpoint_failure="no capacity")
    outcome = operator.up(stage)
    assert outcome.code == 1
    assert "no capacity" in outcome.err
    set_state()
    outcome = operator.up(stage)
    assert outcome.code == 0, outcome.err
    assert "Dalmatian" in outcome.out
    assert f"execute-api.{REGION}.amazonaws.com/{stage}" in outcome.out
    assert endpoint(operator, stage)["EndpointStatus"] == "InService"
    first = endpoint(operator, stage)["EndpointConfigName"]

    # -- again: nothing changes
    outcome = operator.up(stage)
    assert outcome.code == 0, outcome.err
    assert "Nothing changed." in outcome.out
    assert endpoint(operator, stage)["EndpointConfigName"] == first

    # -- a second release of API and model
    projects.change_config(operator.project, stage, lambda_memory_size=768)
    outcome = operator.up(stage)
    assert outcome.code == 0, outcome.err
    assert "Nothing changed." not in outcome.out
    second = tiny_model.write(tmp_path / "second", version="2")
    operator.succeeds("endpoint", "deploy", "--stage", stage, "--model", second)
    serving = endpoint(operator, stage)["EndpointConfigName"]
    assert serving != first

    # -- a model that fails: the second one keeps serving
    set_state(endpoint_failure="the alarm whatbreed-errors is in ALARM")
    third = tiny_model.write(tmp_path / "third", version="3")
    outcome = operator("endpoint", "deploy", "--stage", stage, "--model", third)
    assert outcome.code == 1
    assert "is in ALARM" in outcome.err
    assert endpoint(operator, stage)["EndpointConfigName"] == serving
    set_state()

    # -- back to the first model, while the alarm about the endpoint's errors rings
    alarm = f"whatbreed-{stage}-errors"
    administrator.client("cloudwatch").set_alarm_state(
        AlarmName=alarm, StateValue="ALARM", StateReason="set by a test"
    )
    operator.succeeds("endpoint", "deploy", "--stage", stage, "--rollback")
    assert endpoint(operator, stage)["EndpointConfigName"] == first

    # -- another instance type: autoscaling is suspended for the update and restored
    targets = scaling_targets(operator, stage)
    assert targets
    larger = ("--instance-type", "ml.c6i.xlarge")
    operator.succeeds("endpoint", "deploy", "--stage", stage, *larger)
    config = operator.client("sagemaker").describe_endpoint_config(
        EndpointConfigName=endpoint(operator, stage)["EndpointConfigName"]
    )
    assert config["ProductionVariants"][0]["InstanceType"] == "ml.c6i.xlarge"
    assert scaling_targets(operator, stage) == targets

    # -- down: the operator's part, then the administrator's
    outcome = operator("down", "--stage", stage, "--yes")
    assert outcome.code == 1  # API and roles are not the operator's to remove
    assert "API of stage" in outcome.err
    left = inventory.everything(administrator.client, ACCOUNT)
    costly = ("sagemaker", "ecr", "codebuild", "application-autoscaling", "ec2")
    assert not [name for name in left if name.startswith(costly)]
    assert_gone(administrator, stage)


def test_two_stages(operator: Person, administrator: Person) -> None:
    """What the stages share goes with the last one."""
    for stage in ("dev", "prod"):
        setup = administrator.up(stage, "--part", "setup", "--releaser", RELEASER)
        assert setup.code == 0, setup.err
        outcome = operator.up(stage, "--part", "model")
        assert outcome.code == 0, outcome.err
    outcome = administrator("down", "--stage", "dev", "--yes", "--data")
    assert outcome.code == 0, outcome.err
    left = inventory.everything(administrator.client, ACCOUNT)
    assert left["s3 list_buckets"] == [BUCKET]
    assert left["sagemaker list_endpoints"] == ["whatbreed-prod"]
    assert_gone(administrator, "prod")
