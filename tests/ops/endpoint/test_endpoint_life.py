"""What deploy, scale and teardown do with an endpoint in each state, and between two states."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from botocore.exceptions import ClientError

from aws import roles
from ops.endpoint import rollout, saved_scaling
from tests.emulator.corrected_moto import State
from tests.emulator.fixtures import ACCOUNT, BUCKET, REGION, Change, Command
from tests.ops.endpoint.test_deploy import NAME, describe, everything
from tests.ops.endpoint.test_scaling import state

ROLE = "whatbreed-serving"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:whatbreed-dev-alarms"
OTHER_TYPE = ("--instance-type", "ml.c5.xlarge")
Update = Callable[..., Any]


@pytest.fixture
def update(command: Command, other_model: Path) -> Update:
    """Deploy another model to dev."""

    def update(*options: object) -> Any:
        return command(
            "ops", "endpoint", "deploy", "--stage", "dev", "--model", other_model, *options
        )

    return update


def alarms() -> dict[str, Any]:
    found = boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]
    return {alarm["AlarmName"]: alarm for alarm in found}


def ring(config: str) -> None:
    """Let the error alarm of a config's fleet ring, if there is one."""
    cloudwatch = boto3.client("cloudwatch")
    if f"{config}-errors" in alarms():
        cloudwatch.set_alarm_state(
            AlarmName=f"{config}-errors", StateValue="ALARM", StateReason="5xx"
        )


def set_status(status: str, reason: str = "") -> None:
    from moto.sagemaker.models import sagemaker_backends

    endpoint: Any = sagemaker_backends[ACCOUNT][REGION].endpoints[NAME]
    endpoint.endpoint_status, endpoint.failure_reason = status, reason


# -- alarms


def test_a_rollout_is_watched_by_alarms_of_the_new_fleet(
    release: Any, update: Update, emulator: State
) -> None:
    release()
    seen = {}
    emulator.on_update = lambda endpoint, config: seen.update(alarms())
    assert update().code == 0
    config = describe()["EndpointConfigName"]
    for name in (f"{config}-latency", f"{config}-errors"):
        dimensions = {item["Name"]: item["Value"] for item in seen[name]["Dimensions"]}
        assert dimensions == {
            "EndpointName": NAME,
            "VariantName": "AllTraffic",
            "EndpointConfigName": config,
        }
    assert set(alarms()) == {f"{NAME}-latency", f"{NAME}-errors"}  # those of the rollout are gone


def test_a_model_that_fails_is_rolled_back(release: Any, update: Update, emulator: State) -> None:
    release()
    before, config = everything(), describe()["EndpointConfigName"]
    emulator.on_update = lambda endpoint, new: ring(new)
    outcome = update()
    assert outcome.code == 1
    assert "went off" in outcome.err
    assert f"{config} keeps serving" in outcome.err
    assert everything() == before
    assert set(alarms()) == {f"{NAME}-latency", f"{NAME}-errors"}


def test_the_old_fleet_does_not_stop_an_update(release: Any, update: Update) -> None:
    release()
    boto3.client("cloudwatch").set_alarm_state(
        AlarmName=f"{NAME}-errors", StateValue="ALARM", StateReason="the old model fails"
    )
    outcome = update()
    assert outcome.code == 0, outcome.err


def test_a_rollback_is_not_stopped_by_any_alarm(
    release: Any, update: Update, command: Command
) -> None:
    release()
    first = describe()["EndpointConfigName"]
    update()
    for name in alarms():
        boto3.client("cloudwatch").set_alarm_state(
            AlarmName=name, StateValue="ALARM", StateReason="the new model fails"
        )
    outcome = command("ops", "endpoint", "deploy", "--stage", "dev", "--rollback")
    assert outcome.code == 0, outcome.err
    endpoint = describe()
    assert endpoint["EndpointConfigName"] == first
    assert "LastDeploymentConfig" not in endpoint


def test_the_role_must_see_the_alarms(release: Any, update: Update) -> None:
    release()
    boto3.client("iam").delete_role_policy(RoleName=ROLE, PolicyName="whatbreed")
    before = everything()
    outcome = update()
    assert outcome.code == 1
    assert "cloudwatch:DescribeAlarms" in outcome.err
    assert everything() == before


def test_no_one_is_notified_without_a_topic(release: Any) -> None:
    outcome = release()
    assert "no one is notified of the alarms of whatbreed-dev" in outcome.out
    assert alarms()[f"{NAME}-errors"]["AlarmActions"] == []


@pytest.mark.parametrize("named", [False, True])
def test_alarms_notify_the_topic(release: Any, change_settings: Change, named: bool) -> None:
    topic = TOPIC
    if named:
        topic = f"arn:aws:sns:{REGION}:{ACCOUNT}:pager"
        change_settings("serving", alarm_topic=topic)
    else:
        boto3.client("sns").create_topic(Name="whatbreed-dev-alarms")
    outcome = release()
    assert "no one is notified" not in outcome.out
    for name in (f"{NAME}-latency", f"{NAME}-errors"):
        assert alarms()[name]["AlarmActions"] == [topic]


# -- another instance type while autoscaling is registered


@pytest.fixture
def scaled(release: Any, command: Command, change_settings: Change) -> dict[str, Any]:
    """Autoscaling that differs from settings.toml: it was set with options."""
    release()
    night = {"name": "night", "cron": "0 22 * * ? *", "min": 1, "max": 1}
    change_settings("scaling", schedules=[night])
    outcome = command("ops", "endpoint", "scale", "--stage", "dev", "--max-instances", 7)
    assert outcome.code == 0, outcome.err
    return state()


def without_times(scaling: dict[str, Any]) -> dict[str, Any]:
    volatile = {"CreationTime", "Alarms", "PolicyARN", "ScheduledActionARN", "ScalableTargetARN"}
    return {
        kind: [{key: value for key, value in item.items() if key not in volatile} for item in items]
        for kind, items in scaling.items()
    }


def test_autoscaling_survives_another_instance_type(
    scaled: dict[str, Any], update: Update, command: Command
) -> None:
    outcome = update(*OTHER_TYPE)
    assert outcome.code == 0, outcome.err
    assert without_times(state()) == without_times(scaled)
    assert "resumed the autoscaling" in outcome.out
    keys = boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    assert not [key for key in keys if "/scaling/" in key["Key"]]
    # back to the old type, too
    outcome = command("ops", "endpoint", "deploy", "--stage", "dev", "--rollback")
    assert outcome.code == 0, outcome.err
    assert without_times(state()) == without_times(scaled)


def test_the_same_type_does_not_pause_autoscaling(scaled: dict[str, Any], update: Update) -> None:
    assert "pausing" not in update().out


@pytest.mark.parametrize("moment", ["update", "wait"])
def test_an_interrupted_change_is_repaired_by_repeating(
    scaled: dict[str, Any], update: Update, moment: str, command: Command
) -> None:
    first = describe()["EndpointConfigName"]
    with patch.object(rollout, "wait", side_effect=KeyboardInterrupt):
        assert update(*OTHER_TYPE).code != 0
    assert state()["targets"] == []
    if moment == "update":  # AWS rolls back meanwhile, or never began
        describe()
        describe()
    outcome = update(*OTHER_TYPE)
    assert outcome.code == 0, outcome.err
    assert without_times(state()) == without_times(scaled)
    outcome = command("ops", "endpoint", "deploy", "--stage", "dev", "--rollback")
    assert outcome.code == 0, outcome.err
    assert describe()["EndpointConfigName"] == first


@pytest.mark.parametrize("late", [False, True])
def test_a_failed_change_resumes_autoscaling(
    scaled: dict[str, Any], update: Update, emulator: State, late: bool
) -> None:
    if late:
        emulator.endpoint_failure = "no capacity"
    else:
        emulator.refused["UpdateEndpoint"] = ("ResourceLimitExceeded", "0 instances")
    assert update(*OTHER_TYPE).code == 1
    assert without_times(state()) == without_times(scaled)


def test_detached_changes_leave_autoscaling_paused(scaled: dict[str, Any], update: Update) -> None:
    outcome = update(*OTHER_TYPE, "--detach")
    assert "autoscaling is paused" in outcome.out
    assert state()["targets"] == []
    outcome = update(*OTHER_TYPE)
    assert "already serves" in outcome.out
    assert without_times(state()) == without_times(scaled)


def test_teardown_and_scale_forget_what_is_paused(
    scaled: dict[str, Any], update: Update, command: Command
) -> None:
    update(*OTHER_TYPE, "--detach")
    assert command("ops", "endpoint", "scale", "--stage", "dev", "--max-instances", 2).code == 0
    assert "already serves" in update(*OTHER_TYPE).out
    assert state()["targets"][0]["MaxCapacity"] == 2
    update("--instance-type", "ml.c6i.large", "--detach")
    outcome = command("ops", "endpoint", "teardown", "--stage", "dev")
    assert "removed paused autoscaling of whatbreed-dev" in outcome.out
    assert everything() == [[], [], []]


# -- instances and serverless


@pytest.mark.usefixtures("small_images")
def test_instances_do_not_become_serverless(release: Any, update: Update) -> None:
    release()
    before = everything()
    for options in (["--dry-run"], []):
        outcome = update("--serverless", "true", *options)
        assert outcome.code == 1
        assert "teardown --stage dev" in outcome.err
    assert everything() == before


@pytest.mark.usefixtures("small_images")
def test_serverless_becomes_instances_once(release: Any, update: Update, command: Command) -> None:
    release("--serverless", "true")
    instances = ("--serverless", "false")
    outcome = update(*instances)
    assert outcome.code == 1
    assert "add --yes" in outcome.err
    outcome = update(*instances, "--yes")
    assert outcome.code == 0, outcome.err
    assert describe()["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    outcome = command("ops", "endpoint", "deploy", "--stage", "dev", "--rollback")
    assert outcome.code == 1
    assert "cannot make it serverless" in outcome.err


@pytest.mark.usefixtures("small_images")
def test_serverless_updates_and_keys(release: Any, update: Update, key: str) -> None:
    assert release("--serverless", "true").code == 0
    outcome = update("--serverless", "true", "--serverless-memory-mb", 2048)
    assert outcome.code == 0, outcome.err
    name = describe()["EndpointConfigName"]
    config = boto3.client("sagemaker").describe_endpoint_config(EndpointConfigName=name)
    assert config["KmsKeyId"] == key


def test_the_api_must_not_accept_more_than_a_serverless_endpoint(release: Any) -> None:
    outcome = release("--serverless", "true")
    assert outcome.code == 2
    assert "accepts images of 5242880 bytes" in outcome.err
    assert 'MAX_IMAGE_BYTES to "4000000"' in outcome.err
    assert everything() == [[], [], []]


def test_local_storage_takes_no_key(release: Any, key: str) -> None:
    assert release("--instance-type", "ml.m5d.large", "--capture-percent", 10).code == 0
    name = describe()["EndpointConfigName"]
    config = boto3.client("sagemaker").describe_endpoint_config(EndpointConfigName=name)
    assert "KmsKeyId" not in config
    assert config["DataCaptureConfig"]["KmsKeyId"] == key


def test_long_endpoint_names(release: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = {"app_name": "a", "stages": {"dev": {}}}
    document["stages"]["dev"]["environment_variables"] = {"ENDPOINT_NAME": 53 * "x"}  # type: ignore[index]
    (tmp_path / ".chalice").mkdir()
    (tmp_path / ".chalice" / "config.json").write_text(json.dumps(document))
    monkeypatch.setenv("WHATBREED_PROJECT", str(tmp_path))
    outcome = release()
    assert outcome.code == 2
    assert "has 53 characters" in outcome.err


# -- states


def test_a_change_under_way_is_waited_for(release: Any, update: Update, emulator: State) -> None:
    emulator.endpoint_polls = 3
    assert release("--detach").code == 0
    outcome = update()
    assert outcome.code == 0, outcome.err
    assert "whatbreed-dev: Creating" in outcome.out
    assert "whatbreed-dev serves" in outcome.out


def test_creating_is_not_serving(release: Any, emulator: State) -> None:
    release("--detach")
    emulator.endpoint_failure = "The primary container did not pass the ping health check"
    describe()
    outcome = release()
    assert outcome.code == 1
    assert "already serves" not in outcome.out
    assert "replacing whatbreed-dev, which failed: The primary container did not" in outcome.out
    assert everything()[2] == []


def test_a_deletion_under_way_is_waited_for(release: Any, emulator: State) -> None:
    release()
    emulator.endpoint_polls = 3
    boto3.client("sagemaker").delete_endpoint(EndpointName=NAME)
    assert describe()["EndpointStatus"] == "Deleting"
    outcome = release()
    assert outcome.code == 0, outcome.err
    assert "whatbreed-dev: Deleting" in outcome.out
    assert describe()["EndpointStatus"] == "InService"


@pytest.mark.parametrize("status", ["Creating", "Updating"])
def test_teardown_waits(
    release: Any, update: Update, command: Command, emulator: State, status: str
) -> None:
    emulator.endpoint_polls = 3
    if status == "Updating":
        release()
        update("--detach")
    else:
        release("--detach")
    with pytest.raises(ClientError, match="in-progress endpoint"):
        boto3.client("sagemaker").delete_endpoint(EndpointName=NAME)
    outcome = command("ops", "endpoint", "teardown", "--stage", "dev")
    assert outcome.code == 0, outcome.err
    assert everything() == [[], [], []]
    assert alarms() == {}


def test_a_failed_endpoint_keeps_its_autoscaling(scaled: dict[str, Any], release: Any) -> None:
    set_status("Failed", "The host died.\nReally.")
    outcome = release()
    assert outcome.code == 0, outcome.err
    assert "which failed: The host died. Really" in outcome.out
    assert without_times(state()) == without_times(scaled)


@pytest.mark.parametrize("arguments", [("scale",), ("deploy", "--rollback")])
def test_a_failed_endpoint_is_neither_scaled_nor_rolled_back(
    release: Any, command: Command, arguments: tuple[str, ...]
) -> None:
    release()
    set_status("Failed", "No space left")
    outcome = command("ops", "endpoint", *arguments, "--stage", "dev")
    assert outcome.code == 1
    assert "is Failed: No space left. `python -m ops endpoint deploy` repairs it" in outcome.err


def test_an_endpoint_out_of_service(release: Any, update: Update) -> None:
    release()
    set_status("OutOfService")
    outcome = update()
    assert outcome.code == 1
    assert "is OutOfService" in outcome.err


@pytest.mark.parametrize(
    ("status", "text"),
    [("Failed", "would replace"), ("Updating", "would wait"), ("Deleting", "would create")],
)
def test_a_dry_run_names_the_state(release: Any, update: Update, status: str, text: str) -> None:
    release()
    set_status(status)
    assert text in update("--dry-run").out


def test_an_interrupted_deployment_keeps_the_config_that_aws_is_moving_to(
    release: Any, update: Update, emulator: State
) -> None:
    """The network fails while the update continues."""
    release()
    emulator.endpoint_polls = 3
    with patch.object(rollout, "wait", side_effect=ClientError({"Error": {}}, "DescribeEndpoint")):
        outcome = update()
    assert outcome.code == 1
    assert "is still Updating: deploy again to resume" in outcome.out
    assert len(everything()[1]) == 2
    outcome = update()
    assert "already serves" in outcome.out


def test_a_role_that_never_works_is_reported(release: Any, emulator: State) -> None:
    boto3.client("iam").update_assume_role_policy(
        RoleName=ROLE, PolicyDocument=json.dumps(roles.trust("ec2.amazonaws.com"))
    )
    outcome = release()
    assert outcome.code == 1
    assert "assume role" in outcome.err


def test_nothing_is_saved_without_a_bucket(emulator: State) -> None:
    from aws.account import Account
    from aws.settings import AwsSettings

    assert saved_scaling.read(Account(AwsSettings()), NAME) is None
