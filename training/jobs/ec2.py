"""Train on one EC2 instance, which installs, trains, uploads the model and terminates itself.

Every call starts a new run. The instance writes its log, metrics of CPU, memory and GPU, and
checkpoints to S3; if a spot instance is interrupted, --resume continues the run. The instance
terminates at the end, on any error, and after max_hours. `python -m training jobs` lists, follows
and stops it. --dry-run prints the request, the role's policy and the script.

example:
  python -m training ec2 --run big --epochs 30 --instance-type g5.xlarge
  python -m training ec2 --resume big
  python -m training ec2 --spot false --dry-run
"""

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aws import account as accounts
from aws import ec2_instances, prices, role_policies, roles, s3_layout, s3_storage
from aws.account import Account
from aws.errors import AwsError
from aws.polling import retry
from aws.settings import Ec2Settings, FitSettings
from cli import commands
from training.jobs import ec2_request, hyperparameters, runs, s3_photos, source_code
from training.jobs.run_options import require_new, resume_option, run_option
from training.jobs.runs import Run
from training.settings import TrainSettings


@dataclass(frozen=True, slots=True)
class Plan:
    """An instance for `run` that is ready to start.

    `values` are options of `train`; `fit` says where the photos are.
    """

    run: Run
    ec2: Ec2Settings
    values: dict[str, Any]
    fit: FitSettings


@commands.command(__doc__)
@run_option
@resume_option
@commands.dry_run_option
@accounts.options(Ec2Settings, TrainSettings, without_options=[FitSettings])
def command(
    account: Account,
    run: str | None,
    resume: str | None,
    dry_run: bool,
    ec2: Ec2Settings,
    train: TrainSettings,
    fit: FitSettings,
) -> None:
    require_new(resume, run=run)
    plan = resumed(account, resume, fit) if resume else new(account, run, ec2, train, fit)
    if dry_run:
        image = ec2_request.machine_image(account, plan.ec2)
        print(json.dumps(summary(account, plan, image), indent=2))
        print(_script(account, plan))
        return
    instance = start(account, plan)
    name, kind = plan.run.name, "spot" if plan.ec2.spot else "on demand"
    verb = "resumed" if plan.run.jobs else "started"
    print(f"{verb} run {name} on {instance}: {plan.ec2.instance_type}, {kind}")
    print(f"log:   python -m training jobs --follow {name}")
    print(f"stop:  python -m training jobs --stop {name}")
    print(f"shell: aws ssm start-session --region {account.region} --target {instance}")
    print(f"model: {model_uri(account, plan.run)} at the end")
    print(f"serve: python -m ops endpoint deploy --stage dev --model {name}")


def new(
    account: Account, name: str | None, ec2: Ec2Settings, train: TrainSettings, fit: FitSettings
) -> Plan:
    """Plan a new run. Raises an error if its name or its photos are not usable."""
    data = s3_photos.training_photos(account, fit.data)
    name = runs.new_name(account, "ec2", name)
    run = Run.of(name, "ec2", train, ec2, data)
    return Plan(run, ec2, hyperparameters.changed(train), fit)


def resumed(account: Account, name: str, fit: FitSettings) -> Plan:
    """Plan the next instance of a run, with the settings that it was started with.

    Raises an error if the run is being trained or is finished, or if settings or photos differ.
    """
    run = runs.load(account, "ec2", name)
    if (instance := ec2_instances.of_run(account, run.name)) is not None:
        raise AwsError(
            f"Run {run.name} is being trained by {instance['InstanceId']}: see its log with "
            f"`python -m training jobs --follow {run.name}`, or stop it with --stop."
        )
    if s3_storage.object_exists(account, model_uri(account, run)):
        raise runs.finished(run, model_uri(account, run))
    ec2, train = runs.resumed_machine(run, Ec2Settings), runs.resumed_train(run)
    runs.require_same_source(run, s3_photos.source(account, fit.data))
    runs.require_same_photos(run, s3_photos.training_photos(account, fit.data))
    return Plan(run, ec2, hyperparameters.changed(train), fit)


def start(account: Account, plan: Plan) -> str:
    """Launch the instance, record it, and return its id. If EC2 refuses it, delete the uploads."""
    run, ec2, began = plan.run, plan.ec2, datetime.now(UTC)
    script = _script(account, plan)
    image = ec2_request.machine_image(account, ec2)
    request = ec2_request.launch_request(account, ec2, run.name, image)
    policy = role_policies.ec2(account, plan.fit)
    roles.ensure_role(account, ec2.role, roles.trust("ec2.amazonaws.com"), policy)
    roles.ensure_instance_profile(account, ec2.role)
    if ec2.spot:
        roles.ensure_service_linked_role(account, "spot.amazonaws.com")
    runs.save(account, run)
    package = upload_source(account, run.name)
    try:
        # EC2 accepts a new instance profile only after some seconds.
        response = retry(
            account,
            lambda: account.client("ec2").run_instances(**request, UserData=script),
            lambda error: "iaminstanceprofile" in str(error).lower().replace(" ", ""),
        )
    except BaseException:
        s3_storage.delete(account, [package])
        if not run.jobs:
            runs.delete(account, run)
        raise
    instance = str(response["Instances"][0]["InstanceId"])
    runs.save(account, run.with_job(instance, began))
    return instance


def model_uri(account: Account, run: Run) -> str:
    """Return the S3 URI of the model that a finished run has uploaded."""
    return f"{runs.uri(account, run)}/{s3_layout.ARCHIVE}"


def summary(account: Account, plan: Plan, image: dict[str, Any]) -> dict[str, Any]:
    """Return what `ec2` would start, and its maximum cost if the price is known."""
    ec2 = plan.ec2
    return {
        "run": plan.run.name,
        "resumes": bool(plan.run.jobs),
        "data": plan.run.data,
        "photos": plan.run.photos,
        "request": ec2_request.launch_request(account, ec2, plan.run.name, image),
        "policy": role_policies.ec2(account, plan.fit),
        **prices.at_most("ec2", ec2.instance_type, ec2.max_hours),
        "spot_usd_per_hour": ec2_instances.spot_usd_per_hour(account, ec2.instance_type),
    }


def upload_source(account: Account, run: str) -> str:
    """Upload the code of the run as a tar archive, and return its key in the bucket."""
    key = f"{account.settings.prefix}/{s3_layout.EC2}/{run}/source.tar.gz"
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "source"
        source_code.pack(folder)
        archive = shutil.make_archive(str(folder), "gztar", folder)
        account.client("s3").upload_file(archive, account.bucket, key)
    return key


def _script(account: Account, plan: Plan) -> str:
    folder = runs.uri(account, plan.run)
    return ec2_request.user_data(account, plan.ec2, plan.run.data, folder, plan.values)
