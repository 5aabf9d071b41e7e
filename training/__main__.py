"""`python -m training COMMAND`: a registry that imports a command's module only when it runs.

A command is a module with two functions: `add_arguments(parser)` and `run(arguments) -> None`,
and a docstring that ends in an example; the docstring is what `--help` prints.
"""

import argparse
import sys
from importlib import import_module

from training.errors import TrainingError

# name: (module, what it does in one line)
COMMANDS = {
    "data": ("training.data", "fetch or check the photos and write their index"),
    "train": ("training.train", "train the model; goes on where it was interrupted"),
    "evaluate": ("training.evaluate", "judge a model through the code that serves it"),
    "export": ("training.export", "turn a trained model into the artifact that is served"),
    "tune": ("training.tune", "search for better hyperparameters"),
    "tune --cloud": ("training.jobs.tuning_job", "the same search by SageMaker's tuner"),
    "report": ("training.report", "one HTML page about a run"),
    "costs": ("ops.costs.command", "what a day of traffic needs and costs"),
    "audit": ("ops.audit.command", "what in the account costs, leaks or breaks"),
    "deploy": ("ops.endpoint.deploy", "put a model behind a stage's endpoint, or go back"),
    "ec2": ("training.jobs.ec2", "train on a bare machine that ends itself"),
    "fit": ("training.jobs.fit", "train in SageMaker, on any number of instances"),
    "image": ("ops.endpoint.serving_image", "build the serving image and push it"),
    "loadtest": ("ops.loadtest.command", "find the rate that one instance holds"),
    "jobs": ("training.jobs.job_table", "the training jobs: time, cost, speed-up; follow one"),
    "policy": ("ops.iam.policy", "write the least-privilege policies of API and roles"),
    "scale": ("ops.endpoint.scaling", "let an endpoint grow and shrink with its traffic"),
    "teardown": ("ops.endpoint.teardown", "remove what a stage costs; list what stays"),
    "transform": ("training.jobs.transform", "the breeds of millions of photos in S3"),
    "upload": ("training.jobs.upload", "copy the photos to S3; create the bucket"),
    "watch": ("training.watch.command", "the last hour of a stage: traffic, latency, cost"),
}


def main(argv: list[str] | None = None) -> int:
    """The exit code of one command: 0 only if it did its work."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] in ([], ["-h"], ["--help"]):
        print(_overview())
        return 0 if argv else 2
    name, *rest = argv
    if "--cloud" in rest and f"{name} --cloud" in COMMANDS:
        name = f"{name} --cloud"
        rest.remove("--cloud")
    if name not in COMMANDS:
        print(f"training: no command {name!r}; there are {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    module = import_module(COMMANDS[name][0])
    parser = argparse.ArgumentParser(
        prog=f"python -m training {name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    arguments = parser.parse_args(rest)
    try:
        module.run(arguments)
    except TrainingError as error:
        print(f"training {name}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"training {name}: interrupted", file=sys.stderr)
        return 130
    return 0


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: python -m training COMMAND [OPTIONS]",
            "",
            "Everything that makes, ships and watches the model.",
            "",
            *lines,
            "",
            "python -m training COMMAND --help explains one, with an example.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
