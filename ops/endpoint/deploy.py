"""Put a model behind the endpoint of a stage, or go back to the version before.

The endpoint's name is the one in .chalice/config.json. The first time it is created; afterwards it
is updated blue/green: a part of the traffic first, the rest once the alarms kept quiet, and back
where they did not. The number of instances that scaling has found stays. Deploying what is in
service already changes nothing. A deployment that fails removes what it created, and the old
version keeps serving.

example:
  python -m training deploy --stage dev --model model_code/default
  python -m training deploy --stage prod --job whatbreed-fit-20261121120000 --rollout rolling
  python -m training deploy --stage prod --rollback
"""

import argparse
import json
from pathlib import Path
from typing import Any

from aws import account as accounts
from aws import endpoints, s3_storage, settings, stages
from aws.account import Account, told_in_one_line
from aws.errors import AwsError
from aws.instance_types import architecture
from aws.settings import ServingSettings
from aws.stages import Stage
from model_code.inference import DEFAULT_MODEL_DIR
from ops.endpoint import alarms, model_archive, versions
from ops.endpoint.serving_image import latest_image


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stage", required=True, help="stage of .chalice/config.json")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--model", type=Path, default=DEFAULT_MODEL_DIR, help="artifact's folder")
    what.add_argument("--job", metavar="NAME", help="the model that this training job left")
    what.add_argument("--rollback", action="store_true", help="go back to the version before")
    parser.add_argument("--image", help="serving image (default: the latest that `image` pushed)")
    parser.add_argument("--detach", action="store_true", help="do not wait for the end")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    parser.add_argument("--json", action="store_true", help="print the endpoint as JSON at the end")
    accounts.add_options(parser)
    settings.add_options(parser, ServingSettings)


@told_in_one_line
def run(arguments: argparse.Namespace) -> None:
    account = accounts.open_account(arguments)
    stage = stages.read(arguments.stage)
    options = ServingSettings.read(vars(arguments))
    if arguments.rollback:
        found = roll_back(account, stage, options, dry_run=arguments.dry_run)
    else:
        found = deploy(account, stage, options, arguments)
    if arguments.json:
        print(json.dumps(found, default=str, indent=2))


def deploy(
    account: Account, stage: Stage, options: ServingSettings, arguments: argparse.Namespace
) -> dict[str, Any] | None:
    """Deploy the model and return the endpoint's description; None after a dry run."""
    # Serverless inference runs on x86, whatever the instance type says.
    wanted_by = "amd64" if options.serverless else architecture(options.instance_type)
    image = arguments.image or latest_image(account, options.repository, wanted_by)
    if arguments.job:
        model_uri = model_archive.of_job(account, arguments.job)
    else:
        model_uri = model_archive.address(account, arguments.model)
    wanted = versions.version(account, stage.endpoint, image, model_uri, options)
    current = endpoints.describe(account, stage.endpoint)
    if current and current["EndpointConfigName"] == wanted.config_name:
        print(f"{stage.endpoint} serves this already: {wanted.config_name}")
        return current
    if arguments.dry_run:
        verb = "update" if current else "create"
        print(f"would {verb} endpoint {stage.endpoint}:")
        print(json.dumps({"model": wanted.model, "config": wanted.config}, indent=2))
        return None
    _require_rest(current)
    if not arguments.job:
        if not s3_storage.exists(account):
            raise AwsError(f"bucket {account.bucket} does not exist: upload --create-bucket")
        _, sent = model_archive.upload(account, arguments.model)
        print(f"{model_uri} {'sent' if sent else 'was there'}", flush=True)
    new = current is None or current["EndpointStatus"] == "Failed"
    undo = versions.create_parts(account, wanted)
    try:
        alarm_names = alarms.put(account, stage.endpoint, options)
        if new:
            found = _create(account, stage, wanted, current, wait=not arguments.detach)
        else:
            versions.update(account, stage.endpoint, wanted.config_name, options, alarm_names)
            found = _settled(account, stage, wanted.config_name, wait=not arguments.detach)
    except Exception:
        _take_back(account, stage, undo, new=new)
        raise
    if current is not None and not new:
        versions.remember_previous(account, found, current["EndpointConfigName"])
    if arguments.detach:
        print(f"{stage.endpoint} moves to {wanted.config_name}; run the same command to see how")
        return found
    before = {current["EndpointConfigName"]} if current else set()
    versions.prune(account, stage.endpoint, {wanted.config_name} | before)
    print(f"{stage.endpoint} serves {wanted.model_name} with {wanted.config_name}")
    return found


def roll_back(
    account: Account, stage: Stage, options: ServingSettings, *, dry_run: bool
) -> dict[str, Any] | None:
    """Return the endpoint to the config before, which then can be returned from likewise."""
    current = endpoints.present(account, stage.endpoint)
    target = versions.previous_config(account, current)
    if target in (None, current["EndpointConfigName"]) or not endpoints.describe_config(
        account, str(target)
    ):
        raise AwsError(f"{stage.endpoint} has no version before {current['EndpointConfigName']}")
    if dry_run:
        print(f"would return {stage.endpoint} from {current['EndpointConfigName']} to {target}")
        return None
    _require_rest(current)
    alarm_names = alarms.put(account, stage.endpoint, options)
    versions.update(account, stage.endpoint, str(target), options, alarm_names)
    found = _settled(account, stage, str(target), wait=True)
    versions.remember_previous(account, found, current["EndpointConfigName"])
    print(f"{stage.endpoint} is back at {target}")
    return found


def _create(
    account: Account,
    stage: Stage,
    wanted: versions.Version,
    wreck: dict[str, Any] | None,
    *,
    wait: bool,
) -> dict[str, Any]:
    """Create the endpoint, after removing the one that a creation before left in state Failed."""
    sagemaker = account.client("sagemaker")
    if wreck is not None:
        sagemaker.delete_endpoint(EndpointName=stage.endpoint)
    sagemaker.create_endpoint(
        EndpointName=stage.endpoint,
        EndpointConfigName=wanted.config_name,
        Tags=account.settings.tag_list(),
    )
    return _settled(account, stage, wanted.config_name, wait=wait)


def _settled(account: Account, stage: Stage, config_name: str, *, wait: bool) -> dict[str, Any]:
    """The endpoint once it serves `config_name`. Raises `AwsError` with AWS's reason if not."""
    if not wait:
        return endpoints.present(account, stage.endpoint)
    found = versions.wait(account, stage.endpoint)
    if found["EndpointStatus"] == "InService" and found["EndpointConfigName"] == config_name:
        return found
    reason = " ".join(found.get("FailureReason", "AWS gives no reason").split())
    serving = (
        f"{found['EndpointConfigName']} keeps serving"
        if found["EndpointStatus"] == "InService"
        else f"the endpoint is {found['EndpointStatus']}"
    )
    raise AwsError(
        f"the deployment of {config_name} failed: {reason}; {serving}. "
        f"Log: /aws/sagemaker/Endpoints/{stage.endpoint}"
    )


def _take_back(account: Account, stage: Stage, undo: list[Any], *, new: bool) -> None:
    """Remove what a failed deployment made; what AWS still holds on to is named instead."""
    found = endpoints.describe(account, stage.endpoint)
    try:
        if new:
            if found is not None:
                account.client("sagemaker").delete_endpoint(EndpointName=stage.endpoint)
            names = alarms.existing(account, stage.endpoint)
            if names:
                account.client("cloudwatch").delete_alarms(AlarmNames=names)
        versions.undo_all(undo)
    except Exception as error:
        print(f"not everything could be removed ({accounts.explain(error)}):", flush=True)
        print(f"run `python -m training teardown --stage {stage.name}` for the rest")


def _require_rest(current: dict[str, Any] | None) -> None:
    if current and current["EndpointStatus"] not in ("InService", "Failed"):
        raise AwsError(
            f"{current['EndpointName']} is {current['EndpointStatus']}: wait until it is InService"
        )
