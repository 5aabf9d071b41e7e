"""The parts setup and model of `up`: what is missing is created, and what is there stays."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from aws import stages
from aws.stages import PROJECT_VARIABLE
from tests.emulator import inventory
from tests.emulator.corrected_moto import State
from tests.emulator.fixtures import ACCOUNT, BUCKET, Change, Command, Outcome
from tests.emulator.state_route import push_image
from tests.ops.api import project as projects

Up = Callable[..., Outcome]


@pytest.fixture
def up(command: Command, emulator: State, change_settings: Change) -> Up:
    """Run `up` for dev without the API: `up("--dry-run")`."""
    emulator.on_build = push_image
    change_settings("alerts", email="me@example.com", monthly_usd=80)

    def up(*options: str) -> Outcome:
        parts = ["--part", "setup", "--part", "model"]
        return command("ops", "up", "--stage", "dev", *parts, *options)

    return up


def everything() -> dict[str, list[str]]:
    return inventory.everything(boto3.client, ACCOUNT)


def endpoint() -> dict[str, Any]:
    return dict(boto3.client("sagemaker").describe_endpoint(EndpointName="whatbreed-dev"))


def test_an_empty_account(up: Up) -> None:
    outcome = up("--yes")
    assert outcome.code == 0, outcome.err
    assert endpoint()["EndpointStatus"] == "InService"
    assert everything()["s3 list_buckets"] == [BUCKET]
    budgets, names = boto3.client("budgets"), {"AccountId": ACCOUNT}
    [budget] = budgets.describe_budgets(**names)["Budgets"]
    assert budget["BudgetLimit"] == {"Amount": "80.00", "Unit": "USD"}
    names["BudgetName"] = budget["BudgetName"]
    for notification in budgets.describe_notifications_for_budget(**names)["Notifications"]:
        [subscriber] = budgets.describe_subscribers_for_notification(
            **names, Notification=notification
        )["Subscribers"]
        assert subscriber == {"SubscriptionType": "EMAIL", "Address": "me@example.com"}


def test_the_second_run_changes_nothing(up: Up, emulator: State) -> None:
    up("--yes")
    before = everything()
    emulator.actions.clear()
    outcome = up("--yes")
    assert outcome.code == 0, outcome.err
    assert everything() == before
    writes = ("Create", "Put", "Update", "Register", "Delete", "Start")
    assert not [name for name in emulator.actions if name.partition(":")[2].startswith(writes)]
    assert outcome.out.count(": done\n") == 6


def test_the_price_is_shown_before_anything_is_created(
    up: Up, change_settings: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_settings("scaling", max_instances=2)
    outcome = up()  # no terminal to ask on
    assert outcome.code == 2
    assert "Nothing was created" in outcome.err
    assert "Stage dev costs $74.46 to $148.92 per month" in outcome.out
    assert everything() == {}


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 2), ("", 2)])
def test_it_asks_once(up: Up, monkeypatch: pytest.MonkeyPatch, answer: str, code: int) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(f"{answer}\n"))
    assert up().code == code
    assert bool(everything()) == (code == 0)


def test_a_dry_run_says_everything_and_creates_nothing(up: Up) -> None:
    outcome = up("--dry-run")
    assert outcome.code == 0, outcome.err
    assert outcome.out.count("would") == 6
    assert everything() == {}


def test_a_blocked_stage_stays_empty(up: Up, emulator: State) -> None:
    emulator.quotas["ml.c6i.large for endpoint usage"] = 0
    outcome = up("--yes")
    assert outcome.code == 1
    assert "0 ml.c6i.large for endpoint usage; stage dev needs 1 to start" in outcome.err
    assert everything() == {}


@pytest.mark.parametrize(
    "operation",
    ["CreateBucket", "CreateRole", "CreateBudget", "StartBuild", "CreateModel", "CreateEndpoint",
     "RegisterScalableTarget"],
)  # fmt: skip
def test_a_run_after_a_failure_resumes(up: Up, emulator: State, operation: str) -> None:
    emulator.refused[operation] = ("InternalFailure", "try again")
    outcome = up("--yes")
    assert outcome.code == 1
    assert "try again" in outcome.err
    emulator.refused.clear()
    outcome = up("--yes")
    assert outcome.code == 0, outcome.err
    assert endpoint()["EndpointStatus"] == "InService"


def test_an_endpoint_that_failed_is_repaired(up: Up, emulator: State) -> None:
    emulator.endpoint_failure = "no capacity"
    outcome = up("--yes")
    assert outcome.code == 1
    assert "no capacity" in outcome.err
    emulator.endpoint_failure = ""
    assert up("--yes").code == 0
    assert endpoint()["EndpointStatus"] == "InService"


def test_the_model_in_service_stays(up: Up, command: Command, tiny_model_dir: Path) -> None:
    up("--yes")
    command("ops", "endpoint", "deploy", "--stage", "dev", "--model", tiny_model_dir)
    serving = endpoint()["EndpointConfigName"]
    assert up("--yes").code == 0
    assert endpoint()["EndpointConfigName"] == serving


def test_limits_set_by_hand_stay(up: Up, command: Command) -> None:
    up("--yes")
    command("ops", "endpoint", "scale", "--stage", "dev", "--max-instances", 7)
    up("--yes")
    targets = boto3.client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace="sagemaker"
    )["ScalableTargets"]
    assert [target["MaxCapacity"] for target in targets] == [7]


def test_serverless_costs_nothing_at_rest_and_has_no_scaling(
    up: Up, change_settings: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_settings("serving", serverless=True)
    project = projects.copy(tmp_path / "project")
    monkeypatch.setenv(PROJECT_VARIABLE, str(project))
    refused = up("--yes")
    assert refused.code == 1
    assert 'set MAX_IMAGE_BYTES to "4000000"' in refused.out
    variables = stages.Config.read().environment("dev")
    projects.change_config(
        project, "dev", environment_variables={**variables, "MAX_IMAGE_BYTES": "4000000"}
    )
    outcome = up("--yes")
    assert outcome.code == 0, outcome.err
    assert "Stage dev costs $0.00 per month" in outcome.out
    assert "scaling of" not in outcome.out


def test_an_unknown_price_does_not_stop_it(up: Up, change_settings: Change) -> None:
    change_settings("serving", instance_type="ml.t3.medium")
    outcome = up("--dry-run")
    assert outcome.code == 0, outcome.err
    assert "costs per month is unknown" in outcome.out
    change_settings("costs", prices={"hosting ml.t3.medium": 0.05})
    assert "Stage dev costs $36.50 to $146.00" in up("--dry-run").out


def test_another_releaser_is_added(up: Up) -> None:
    refused = up("--yes", "--releaser", f"arn:aws:iam::{ACCOUNT}:user/me")
    assert "That user or role does not exist: correct --releaser" in refused.err
    for name in ("me", "you"):
        boto3.client("iam").create_user(UserName=name)
    for name in ("me", "you", "you"):
        outcome = up("--yes", "--releaser", f"arn:aws:iam::{ACCOUNT}:user/{name}")
        assert outcome.code == 0, outcome.err
    assert "roles: done\n" in outcome.out
    role = boto3.client("iam").get_role(RoleName="whatbreed-pipeline-dev")["Role"]
    assert "user/you" in str(role["AssumeRolePolicyDocument"])


def test_a_changed_budget_is_brought_up_to_date(up: Up, change_settings: Change) -> None:
    up("--yes")
    change_settings("alerts", email="you@example.com")
    assert "notify you@example.com" in up("--yes").out
    assert "budget of $80.00 per month: done\n" in up("--yes").out


def test_setup_needs_an_administrator(up: Up, emulator: State) -> None:
    emulator.refused["CreateBucket"] = (
        "AccessDenied",
        "not authorized to perform: s3:CreateBucket",
    )
    outcome = up("--yes")
    assert outcome.code == 1
    assert "An administrator runs `up` with --part setup first" in outcome.err


def test_without_permission_to_look_at_roles_the_setup_is_taken_as_done(
    up: Up, emulator: State
) -> None:
    up("--yes")
    emulator.refused["GetRole"] = ("AccessDenied", "not authorized to perform: iam:GetRole")
    outcome = up("--yes")
    assert outcome.code == 0, outcome.err
    assert "roles: not checked, that needs an administrator" in outcome.out


def test_the_local_stage_is_refused(command: Command, aws: None) -> None:
    for name in ("up", "down", "doctor"):
        outcome = command("ops", name, "--stage", "local")
        assert outcome.code == 2
        assert "runs on this machine only" in outcome.err
