"""Serve a model on the endpoint of a stage, or roll back to the previous version.

The first deployment creates the endpoint, whose name is in .chalice/config.json. Later ones shift
traffic to the new version in steps, watched by CloudWatch alarms that roll it back. Autoscaling's
instance count is kept. If the stage already serves this version, nothing changes. A failed
deployment removes what it created, and the old version keeps serving.

example:
  python -m ops endpoint deploy --stage dev --model model_code/default
  python -m ops endpoint deploy --stage prod --job whatbreed-fit-20261121120000 --rollout rolling
  python -m ops endpoint deploy --stage prod --rollback
"""

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
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
from ops.endpoint import model_archive, model_version, rollback_alarms, rollout
from ops.endpoint.model_version import ModelVersion
from ops.endpoint.serving_image import architecture, latest_image, require_usable


@commands.command(__doc__)
@click.option("--stage", required=True, help="Stage in .chalice/config.json.")
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="Folder of the model artifact. Default: the model that the project ships.",
)
@click.option("--job", metavar="NAME", help="Deploy the model of this training job.")
@click.option("--rollback", is_flag=True, help="Return to the previous version.")
@click.option("--image", help="Serving image. Default: the latest one that `image` pushed.")
@click.option("--detach", is_flag=True, help="Do not wait for the deployment to finish.")
@commands.dry_run_option
@commands.json_option
@accounts.options(ServingSettings)
def command(
    account: Account,
    serving: ServingSettings,
    stage: str,
    model: Path | None,
    job: str | None,
    rollback: bool,
    image: str | None,
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
            needed = architecture(serving)
            image = (
                require_usable(account, image, needed)
                if image
                else latest_image(account, serving.repository, needed)
            )
            if job:
                archive, uri = None, model_archive.job_model_uri(account, job)
            else:
                archive = model_archive.pack(model or DEFAULT_MODEL_DIR)
                uri = model_archive.uri(account, archive)
            version = model_version.plan(account, target.endpoint, image, uri, serving)
            endpoint = deploy(
                account, target, serving, version, archive, wait=not detach, dry_run=dry_run
            )
    if as_json:
        print(json.dumps(endpoint, default=str, indent=2))


def deploy(
    account: Account,
    stage: Stage,
    serving: ServingSettings,
    version: ModelVersion,
    archive: bytes | None,
    *,
    wait: bool,
    dry_run: bool,
) -> dict[str, Any] | None:
    """Deploy `version` and return the endpoint's description, or None after a dry run.

    `archive` is uploaded first, unless the model is in S3 already.
    """
    name = stage.endpoint
    current = endpoints.describe(account, name)
    failed = current is not None and current["EndpointStatus"] == "Failed"
    if current and not failed and current["EndpointConfigName"] == version.config_name:
        print(f"{name} already serves {version.config_name}")
        return current
    if dry_run:
        print(f"would {'update' if current else 'create'} endpoint {name}:")
        print(json.dumps({"model": version.model, "config": version.config}, indent=2))
        return None
    _require_settled(current)
    if archive:
        model_archive.upload(account, archive)
    if failed:
        endpoints.delete(account, name)
        current = None
    endpoint = _roll_out(account, stage, serving, version, new=current is None, wait=wait)
    keep = {version.config_name}
    if current:
        rollout.remember_previous(account, endpoint, current["EndpointConfigName"])
        keep.add(current["EndpointConfigName"])
    if wait:
        model_version.prune(account, name, keep)
        print(f"{name} serves {version.model_name} with {version.config_name}")
    else:
        command = f"aws sagemaker wait endpoint-in-service --endpoint-name {name}"
        print(f"deploying {version.config_name}; to wait for it, run `{command}`")
    return endpoint


def _roll_out(
    account: Account,
    stage: Stage,
    serving: ServingSettings,
    version: ModelVersion,
    *,
    new: bool,
    wait: bool,
) -> dict[str, Any]:
    """Create or update the endpoint. Remove everything that was created if that fails."""
    name = stage.endpoint
    log_groups.ensure(account, log_groups.endpoint_group(name))
    created = model_version.create(account, version)
    try:
        if new:
            created.callback(rollback_alarms.delete, account, name)
            rollback_alarms.put(account, name, serving)
            account.client("sagemaker").create_endpoint(
                EndpointName=name,
                EndpointConfigName=version.config_name,
                Tags=account.settings.tag_list(),
            )
            created.callback(endpoints.delete, account, name)
        else:
            rollout.update(account, name, version.config_name, serving)
        if wait:
            return rollout.wait(account, name, version.config_name)
        return endpoints.present(account, name)
    except Exception:
        try:
            created.close()
        except Exception as error:  # the error of the deployment matters more
            print(f"Some resources are left: {accounts.explain(error)}", flush=True)
            print(f"`python -m ops endpoint teardown --stage {stage.name}` removes them.")
        raise


def roll_back(
    account: Account, stage: Stage, serving: ServingSettings, *, dry_run: bool
) -> dict[str, Any] | None:
    """Return the endpoint to its previous config. A second rollback undoes the first."""
    name = stage.endpoint
    current = endpoints.present(account, name)
    current_config = current["EndpointConfigName"]
    previous = rollout.previous_config(account, current)
    if (
        previous is None
        or previous == current_config
        or endpoints.describe_config(account, previous) is None
    ):
        raise AwsError(f"{name} has no version before {current_config}.")
    if dry_run:
        print(f"would roll {name} back from {current_config} to {previous}")
        return None
    _require_settled(current)
    rollout.update(account, name, previous, serving)
    endpoint = rollout.wait(account, name, previous)
    rollout.remember_previous(account, endpoint, current_config)
    print(f"{name} is rolled back to {previous}")
    return endpoint


def _require_settled(endpoint: dict[str, Any] | None) -> None:
    if endpoint and endpoint["EndpointStatus"] not in ("InService", "Failed"):
        raise AwsError(
            f"{endpoint['EndpointName']} is {endpoint['EndpointStatus']}: "
            "wait until it is InService."
        )
