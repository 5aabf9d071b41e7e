"""Print the log that an EC2 run writes to S3 every minute."""

from botocore.exceptions import ClientError

from aws import ec2_instances, s3_storage
from aws.account import Account, error_code, is_missing
from aws.errors import JobFailed
from aws.polling import poll
from training.jobs import runs
from training.jobs.runs import Run

LOG = "log.txt"


class S3Tail:
    """A log in S3 that is replaced by a longer one from time to time."""

    def __init__(self, account: Account, uri: str) -> None:
        self._s3 = account.client("s3")
        self._bucket, self._key = s3_storage.split_uri(uri)
        self._printed = 0

    def print_new(self) -> None:
        """Print what was added since the last call; nothing if there is no log yet."""
        try:
            text = self._s3.get_object(
                Bucket=self._bucket, Key=self._key, Range=f"bytes={self._printed}-"
            )["Body"].read()
        except ClientError as error:
            if is_missing(error) or error_code(error) == "InvalidRange":  # nothing was added
                return
            raise
        self._printed += len(text)
        print(text.decode(errors="replace"), end="", flush=True)


def follow(account: Account, run: Run) -> None:
    """Print the log of a run's instance until it terminates.

    Raises JobFailed if the run then has no model.
    """
    folder, instance = runs.uri(account, run), run.jobs[-1].id
    tail = S3Tail(account, f"{folder}/{LOG}")
    poll(
        account,
        lambda: ec2_instances.state(account, instance),
        lambda state: state == "terminated",
        lambda state: f"{run.name} on {instance}: {state}",
        tail.print_new,
    )
    tail.print_new()
    model = f"{folder}/model.tar.gz"
    if not s3_storage.object_exists(account, model):
        raise JobFailed(
            f"Run {run.name} ended without a model: see the log above. To continue it: "
            f"python -m training ec2 --resume {run.name}."
        )
    print(f"model: {model}")
