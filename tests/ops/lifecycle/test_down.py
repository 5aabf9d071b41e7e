"""The parts setup and model of `down`: what goes, what stays, and what a failure leaves."""

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from tests.emulator import inventory
from tests.emulator.corrected_moto import State
from tests.emulator.fixtures import ACCOUNT, BUCKET, Change, Command, Outcome
from tests.emulator.state_route import push_image

Down = Callable[..., Outcome]
PARTS = ("--part", "setup", "--part", "model")


@pytest.fixture
def down(command: Command, emulator: State, change_settings: Change) -> Down:
    """Run `down` for dev, which is up without its API: `down("--data")`."""
    emulator.on_build = push_image
    change_settings("alerts", email="me@example.com")
    assert command("ops", "up", "--stage", "dev", "--yes", *PARTS).code == 0

    def down(*options: str) -> Outcome:
        return command("ops", "down", "--stage", "dev", "--yes", *PARTS, *options)

    return down


def everything() -> dict[str, list[str]]:
    return inventory.everything(boto3.client, ACCOUNT)


def any_image() -> str:
    images = boto3.client("ec2").describe_images(Owners=["amazon"])["Images"]
    return str(images[0]["ImageId"])


def start_instance() -> str:
    tags = [{"Key": "Name", "Value": "whatbreed-run"}, {"Key": "project", "Value": "whatbreed"}]
    response = boto3.client("ec2").run_instances(
        ImageId=any_image(),
        InstanceType="m5.large",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )
    return str(response["Instances"][0]["InstanceId"])


def test_only_the_bucket_stays(down: Down) -> None:
    outcome = down()
    assert outcome.code == 0, outcome.err
    assert everything() == {"s3 list_buckets": [BUCKET]}
    assert f"s3://{BUCKET}/whatbreed/models" in outcome.out
    assert "per month" in outcome.out


def test_nothing_stays_with_data(down: Down) -> None:
    s3 = boto3.client("s3")
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for _ in range(2):
        s3.put_object(Bucket=BUCKET, Key="whatbreed/data/a.jpg", Body=b"a")
    s3.delete_object(Bucket=BUCKET, Key="whatbreed/data/a.jpg")
    s3.create_multipart_upload(Bucket=BUCKET, Key="whatbreed/data/b.jpg")
    outcome = down("--data")
    assert outcome.code == 0, outcome.err
    assert everything() == {}
    assert "nothing remains" in outcome.out


def test_twice(down: Down) -> None:
    down("--data")
    outcome = down("--data")
    assert outcome.code == 0
    assert "nothing is left to remove" in outcome.out


def test_a_dry_run_lists_the_same_and_removes_nothing(down: Down) -> None:
    before = everything()
    planned = down("--dry-run", "--data", "--json").json["removed"]
    assert everything() == before
    assert down("--data", "--json").json["removed"] == planned


def test_machines_logs_and_warm_pools_of_the_project(
    down: Down, command: Command, change_settings: Change
) -> None:
    ours, logs = start_instance(), boto3.client("logs")
    for name in ("TrainingJobs", "Endpoints/whatbreed-dev-2"):
        logs.create_log_group(logGroupName=f"/aws/sagemaker/{name}")
    ec2 = boto3.client("ec2")
    ec2.run_instances(
        ImageId=any_image(), InstanceType="m5.large", MinCount=1, MaxCount=1
    )  # someone else's
    outcome = down()
    assert outcome.code == 0, outcome.err
    left = everything()
    assert left["logs describe_log_groups"] == [
        "/aws/sagemaker/Endpoints/whatbreed-dev-2",
        "/aws/sagemaker/TrainingJobs",  # shared by all jobs of the account
    ]
    assert ours not in left["ec2 describe_instances"]
    assert len(left["ec2 describe_instances"]) == 1


def test_shared_things_stay_for_the_other_stage(down: Down, command: Command) -> None:
    assert command("ops", "up", "--stage", "prod", "--yes", *PARTS).code == 0
    machine = start_instance()
    outcome = down("--data")
    assert outcome.code == 0, outcome.err
    left = everything()
    assert left["sagemaker list_endpoints"] == ["whatbreed-prod"]
    assert left["ecr describe_repositories"] == ["whatbreed-serving"]
    assert left["budgets"] == ["whatbreed-monthly"]
    assert left["ec2 describe_instances"] == [machine]
    assert left["s3 list_buckets"] == [BUCKET]
    roles = set(left["iam list_roles"])
    assert roles == {
        "whatbreed-serving", "whatbreed-codebuild", "whatbreed-prod-api_handler",
        "whatbreed-prod-release",
    }  # fmt: skip
    assert f"bucket {BUCKET}: stage prod uses it" in outcome.out
    assert command("ops", "down", "--stage", "prod", "--yes", "--data", *PARTS).code == 0
    assert everything() == {}


def test_a_failure_does_not_stop_the_rest(down: Down, emulator: State) -> None:
    emulator.refused["DeleteEndpoint"] = ("InternalFailure", "out of order")
    outcome = down("--data")
    assert outcome.code == 1
    assert "could not remove endpoint whatbreed-dev: DeleteEndpoint: out of order" in outcome.out
    assert "Could not remove endpoint whatbreed-dev" in outcome.err
    assert "s3 list_buckets" not in everything()
    emulator.refused.clear()
    assert down("--data").code == 0
    assert everything() == {}


def test_what_an_operator_may_not_list_is_a_failure_too(down: Down, emulator: State) -> None:
    emulator.refused["GetRole"] = ("AccessDenied", "not authorized to perform: iam:GetRole")
    outcome = down("--json")
    assert outcome.code == 1
    document = json.loads(outcome.out)
    assert document["failed"] == ["roles of stage dev", "shared roles"]
    assert "endpoint whatbreed-dev" in document["removed"]


def test_attached_policies_are_listed(down: Down, command: Command) -> None:
    iam: Any = boto3.client("iam")
    command("ops", "policy", "--role", "deploy", "--apply")
    first, *rest = iam.list_policies(Scope="Local")["Policies"]
    first = next(each for each in [first, *rest] if "operator" in each["PolicyName"])
    iam.create_user(UserName="person")
    iam.attach_user_policy(UserName="person", PolicyArn=first["Arn"])
    outcome = down("--data")
    assert outcome.code == 0, outcome.err
    assert everything() == {"iam list_policies": [first["PolicyName"]]}
    assert f"policy {first['PolicyName']}, which is attached" in outcome.out


def test_an_identity_provider_that_others_trust_stays(down: Down, command: Command) -> None:
    apply = ["policy", "--role", "pipeline", "--stage", "dev", "--repository", "o@1/n@2", "--apply"]
    assert command("ops", *apply).code == 0
    iam = boto3.client("iam")
    trust = iam.get_role(RoleName="whatbreed-pipeline-dev")["Role"]["AssumeRolePolicyDocument"]
    iam.create_role(RoleName="other", AssumeRolePolicyDocument=json.dumps(trust))
    down("--data")
    assert len(everything()["iam list_open_id_connect_providers"]) == 1
    iam.delete_role(RoleName="other")
    down("--data")
    assert set(everything()) == {"apigateway get_rest_apis"}  # of the part api


def test_it_asks_first(down: Down, command: Command) -> None:
    before = everything()
    outcome = command("ops", "down", "--stage", "dev")
    assert outcome.code == 2
    assert "Nothing was removed" in outcome.err
    assert everything() == before
