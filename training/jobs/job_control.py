"""Follow or stop what trains in AWS, by the name of a run, a SageMaker job or an EC2 instance."""

from aws import ec2_instances, training_jobs
from aws.account import Account, or_none
from aws.errors import AwsError
from cli.errors import SettingsError
from training.jobs import ec2_log, hyperparameters, job_logs, runs
from training.jobs.runs import Run


def follow(account: Account, name: str) -> None:
    """Print the log of a run or job until it ends. Raises JobFailed unless it succeeds."""
    run, job = _latest(account, name)
    if run is not None and run.place == "ec2":
        ec2_log.follow(account, run)
    else:
        job_logs.follow(account, job)


def stop(account: Account, name: str, *, dry_run: bool = False) -> str:
    """Stop a run, training job, tuning job or instance. Return a sentence about it."""
    if (tuning := _tuning_job(account, name)) is not None:
        if tuning not in ("InProgress", "Stopping"):
            return f"{name} has ended already: {tuning}"
        if not dry_run:
            account.client("sagemaker").stop_hyper_parameter_tuning_job(
                HyperParameterTuningJobName=name
            )
        return f"{_verb(dry_run)} {name} and its training jobs"
    run, job = _latest(account, name)
    if run is not None and run.place == "ec2":
        state = ec2_instances.state(account, job)
        if state == "terminated":
            return f"{job} has terminated already"
        if not dry_run:
            ec2_instances.terminate(account, job)
    else:
        status = training_jobs.describe(account, job)["TrainingJobStatus"]
        if status not in ("InProgress", "Stopping"):
            return f"{job} has ended already: {status}"
        if not dry_run:
            account.client("sagemaker").stop_training_job(TrainingJobName=job)
    resume = f"python -m training {run.place if run else 'fit'} --resume {name}"
    return f"{_verb(dry_run)} {job}; to continue its run: {resume}"


def _verb(dry_run: bool) -> str:
    return "would stop" if dry_run else "stopping"


def _tuning_job(account: Account, name: str) -> str | None:
    describe = account.client("sagemaker").describe_hyper_parameter_tuning_job
    if len(name) > hyperparameters.MAX_TUNING_NAME or not _is_job_name(account, name):
        return None
    job = or_none(lambda: describe(HyperParameterTuningJobName=name))
    return None if job is None else str(job["HyperParameterTuningJobStatus"])


def _latest(account: Account, name: str) -> tuple[Run | None, str]:
    """Return the run of that name, if any, and the latest of its jobs, or the job `name`."""
    run = runs.get(account, name)
    if run is None and _is_job_name(account, name):
        return None, name
    try:
        run = run or runs.find(account, name)
    except SettingsError as error:
        raise AwsError(f"There is neither a job nor a run {name}. {error}") from None
    if not run.jobs:
        raise AwsError(f"Run {name} has no job: its start was interrupted.")
    return run, run.jobs[-1].id


def _is_job_name(account: Account, name: str) -> bool:
    """Whether `name` is one that operators may ask SageMaker about."""
    return name.startswith(f"{account.settings.prefix}-")
