"""`python -m training COMMAND`."""

import sys
from collections.abc import Sequence

from cli.commands import Entry, Group
from cli.commands import main as run

SECTIONS = {
    "On this machine": {
        "data": Entry("training.data", "download or check photos and write their index"),
        "train": Entry("training.train", "train the model, resuming if interrupted"),
        "evaluate": Entry("training.evaluate", "measure a model through the code that serves it"),
        "export": Entry("training.export", "convert a trained model to the served artifact"),
        "tune": Entry("training.tune", "search for better hyperparameters"),
        "report": Entry("training.report", "write an HTML page about a run"),
    },
    "In AWS": {
        "upload": Entry("training.jobs.upload", "copy the photos to S3", True, True),
        "fit": Entry("training.jobs.fit", "train in a SageMaker job", True, True),
        "ec2": Entry("training.jobs.ec2", "train on one EC2 instance", True, True),
        "tune-job": Entry("training.jobs.tuning_job", "tune in SageMaker jobs", True, True),
        "transform": Entry("training.jobs.transform", "classify photos in S3", True, True),
        "jobs": Entry("training.jobs.job_table", "list, follow and stop jobs and runs", True),
        "compare": Entry("training.jobs.compare", "compare 1 and N instances, EC2", True, True),
    },
}
group = Group(
    "training",
    SECTIONS,
    """Train, evaluate and export the model, on this machine or in AWS.

    `python -m training COMMAND --help` explains a command, with an example.
    """,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    return run(group, arguments)


if __name__ == "__main__":
    sys.exit(main())
