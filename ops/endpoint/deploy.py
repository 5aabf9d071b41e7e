"""Serve a model on the endpoint of a stage, or roll back to the previous version.

The first deployment creates the endpoint, whose name is in .chalice/config.json. Later ones shift
traffic to the new version in steps, watched by CloudWatch alarms that roll it back. Autoscaling's
instance count is kept. If the stage already serves this version, nothing changes. A failed
deployment removes what it created, and the old version keeps serving.

The model may be in a folder, in an archive, in S3, or be the result of a training job or an EC2
run. It is checked and copied to the bucket's models. What neither options nor settings.toml give,
such as the instance type, stays as the endpoint has it.

An endpoint that is changing is waited for; one whose creation failed is replaced. For another
instance type, autoscaling is paused during the update. If the command is interrupted, run it again.

example:
  python -m ops endpoint deploy --stage dev --model model_code/default
  python -m ops endpoint deploy --stage prod --model fit-20261121120000 --rollout rolling
  python -m ops endpoint deploy --stage prod --rollback
"""

import json
import sys
from contextlib import ExitStack, redirect_stdout
from typing import Any

import click

from aws import account as accounts
from aws import endpoints, log_groups, stages
from aws.account import Account
from aws.errors import AwsError
from aws.settings import ServingSettings
from aws.stages import Stage
from cli import commands
from cli.errors import SettingsError
from model_code.artifact import DEFAULT_MODEL_DIR
from ops.endpoint import (
    compatibility,
    endpoint_alarms,
    model_archive,
    model_source,
    model_version,
    rollout,
    scaling,
)
from ops.endpoint.model_source import ModelSource
from ops.endpoint.model_version import ModelVersion
from ops.endpoint.serving_image import architecture, latest_image, require_usable


@commands.command(__doc__)
@click.option("--stage", required=True, help="Stage in .chalice/config.json.")
@click.option(
    "--model",
    metavar="SOURCE",
    help="A folder, a model.tar.gz, its S3 URI, or the name of a training job or run. "
    "Default: the model that the project ships.",
)
@click.option("--job", metavar="NAME", help="Like --model, for a training job or a run only.")
@click.option("--rollback", is_flag=True, help="Return to the previous version.")
@click.option("--image", help="Serving image. Default: the latest one that `image` pushed.")
@click.option("--yes", is_flag=True, help="Move a serverless endpoint to instances, for good.")
@click.option("--detach", is_flag=True, help="Do not wait for the deployment to finish.")
@commands.dry_run_option
@commands.json_option
@accounts.options(ServingSettings)
def command(
    account: Account,
    serving: ServingSettings,
    stage: str,
    model: str | None,
    job: str | None,
    rollback: bool,
    image: str | None,
    yes: bool,
    detach: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    if (model is not None) + (job is not None) + rollback > 1:
        raise SettingsError("--model, --job and --rollback exclude each other.")
    target = stages.read(stage)
    with redirect_stdout(sys.stderr if as_json else sys.stdout):
        if rollback:
            endpoint = roll_back(account, target, serving, dry_run=dry_run)
        else:
            if job:
                source = model_source.of_name(account, job)
            else:
                source = model_source.find(account, model or str(DEFAULT_MODEL_DIR))
            print(f"model: {source}")
            find = endpoints.describe if dry_run else endpoints.settled
            serving = compatibility.keep(account, find(account, target.endpoint), serving)
            image = _image(account, image, serving, dry_run=dry_run)
            version = model_version.plan(account, target.endpoint, image, source, serving)
            endpoint = deploy(
                account,
                target,
                serving,
                version,
                source,
                wait=not detach,
                dry_run=dry_run,
                leave_serverless=yes,
            )
    if as_json:
        print(json.dumps(endpoint, default=str, indent=2))


def deploy(
    account: Account,
    stage: Stage,
    serving: ServingSettings,
    version: ModelVersion,
    source: ModelSource,
    *,
    wait: bool,
    dry_run: bool,
    leave_serverless: bool = False,
) -> dict[str, Any] | None:
    """Deploy `version` and return the endpoint's description, or None after a dry run.

    The archive of `source` is uploaded first. AWS cannot undo the move of a serverless endpoint to
    instances, which therefore needs `leave_serverless`.
    """
    name = stage.endpoint
    compatibility.check_image_size(stage, serving)
    current = endpoints.describe(account, name) if dry_run else endpoints.settled(account, name)
    status = current["EndpointStatus"] if current else ""
    if current and status == "InService":
        if current["EndpointConfigName"] == version.config_name:
            if not dry_run:
                scaling.resume(account, name)
                endpoint_alarms.delete(account, [version.config_name])
            print(f"{name} already serves {version.config_name}")
            return current
        compatibility.require_same_kind(
            stage,
            current["ProductionVariants"],
            version.config["ProductionVariants"],
            leave_serverless=leave_serverless,
        )
    if dry_run:
        _describe_dry_run(name, current, version)
        return None
    if status == "OutOfService":
        raise AwsError(
            f"{name} is OutOfService: {endpoints.failure_reason(current or {})}. Run `python -m "
            f"ops endpoint teardown --stage {stage.name}` and deploy again."
        )
    model_archive.upload(account, source.archive)
    if current and status == "Failed":
        print(f"replacing {name}, which failed: {endpoints.failure_reason(current)}")
        scaling.pause(account, name)
        endpoints.delete(account, name)
        current = None
    endpoint = _roll_out(account, stage, serving, version, current, wait=wait)
    if wait:
        keep = {version.config_name} | ({current["EndpointConfigName"]} if current else set())
        endpoint_alarms.delete(account, model_version.prune(account, name, keep))
        print(f"{name} serves {version.model_name} with {version.config_name}")
    else:
        command = f"aws sagemaker wait endpoint-in-service --endpoint-name {name}"
        print(f"deploying {version.config_name}; to wait for it, run `{command}`")
        if scaling.is_paused(account, name):
            print("autoscaling is paused: run the same command again, without --detach, to resume")
    return endpoint


def _image(account: Account, image: str | None, serving: ServingSettings, *, dry_run: bool) -> str:
    """Return the image to serve with. A dry run continues without one, and says so."""
    needed = architecture(serving)
    try:
        if image:
            return require_usable(account, image, needed)
        return latest_image(account, serving.repository, needed)
    except AwsError as error:
        if not dry_run:
            raise
        print(f"before that: {error}")
        return image or f"{serving.repository}:{needed}"


def _describe_dry_run(name: str, current: dict[str, Any] | None, version: ModelVersion) -> None:
    status = current["EndpointStatus"] if current else ""
    if status in endpoints.BUSY:
        print(f"would wait: {name} is {status}")
    action = {"": "create", "Failed": "replace", "Deleting": "create"}.get(status, "update")
    print(f"would {action} endpoint {name}:")
    print(json.dumps({"model": version.model, "config": version.config}, indent=2))


def _roll_out(
    account: Account,
    stage: Stage,
    serving: ServingSettings,
    version: ModelVersion,
    current: dict[str, Any] | None,
    *,
    wait: bool,
) -> dict[str, Any]:
    """Create or update the endpoint. Remove everything that was created if that fails."""
    name = stage.endpoint
    log_groups.ensure(account, log_groups.endpoint_group(name))
    created = model_version.create(account, version)
    try:
        if current is None:
            created.callback(endpoint_alarms.delete, account, [name])
            endpoint_alarms.put_for_endpoint(account, stage, serving)
            endpoints.once_visible(
                account,
                lambda: account.client("sagemaker").create_endpoint(
                    EndpointName=name,
                    EndpointConfigName=version.config_name,
                    Tags=account.settings.tag_list(),
                ),
            )
            created.callback(endpoints.delete, account, name)
        else:
            endpoint_alarms.put_for_endpoint(account, stage, serving)
            rollout.update(account, name, version.config_name, serving, watched=True)
            # before waiting: an interrupted command must not lose what to roll back to
            before = rollout.previous_config(account, current)
            rollout.remember_previous(account, current, current["EndpointConfigName"])
            created.callback(rollout.remember_previous, account, current, before or "")
        if wait:
            return rollout.wait(account, name, version.config_name)
        return endpoints.present(account, name)
    except Exception:
        _clean_up(account, stage, created)
        raise


def _clean_up(account: Account, stage: Stage, created: ExitStack) -> None:
    """Remove what a failed deployment created, unless AWS is still at work with it."""
    try:
        endpoint = endpoints.describe(account, stage.endpoint)
        if endpoint and endpoint["EndpointStatus"] in endpoints.BUSY:
            print(f"{stage.endpoint} is still {endpoint['EndpointStatus']}: deploy again to resume")
        else:
            created.close()
    except Exception as error:  # the error of the deployment matters more
        print(f"Some resources are left: {accounts.explain(error)}", flush=True)
        print(f"`python -m ops endpoint teardown --stage {stage.name}` removes them.")


def roll_back(
    account: Account, stage: Stage, serving: ServingSettings, *, dry_run: bool
) -> dict[str, Any] | None:
    """Return the endpoint to its previous config. A second rollback undoes the first."""
    name = stage.endpoint
    current = endpoints.present(account, name) if dry_run else endpoints.in_service(account, name)
    current_config = current["EndpointConfigName"]
    previous = rollout.previous_config(account, current)
    config = endpoints.describe_config(account, previous) if previous else None
    if config is None or previous is None or previous == current_config:
        raise AwsError(f"{name} has no version before {current_config}.")
    compatibility.require_same_kind(
        stage,
        current.get("ProductionVariants", []),
        config["ProductionVariants"],
        leave_serverless=False,
    )
    if dry_run:
        print(f"would roll {name} back from {current_config} to {previous}")
        return None
    rollout.update(account, name, previous, serving, watched=False)
    endpoint = rollout.wait(account, name, previous)
    rollout.remember_previous(account, endpoint, current_config)
    print(f"{name} is rolled back to {previous}")
    return endpoint
