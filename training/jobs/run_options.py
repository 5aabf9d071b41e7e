"""The options --run and --resume of the commands that start runs."""

import click

from cli.errors import SettingsError

run_option = click.option(
    "--run", metavar="NAME", help="Name of the new run. Default: the command and the time."
)
resume_option = click.option(
    "--resume", metavar="RUN", help="Continue this interrupted run, or that of this job."
)


def require_new(resume: str | None, **others: str | None) -> None:
    """Raise SettingsError if --resume is combined with an option for new runs."""
    for name, value in others.items():
        if resume and value:
            option = f"--{name.replace('_', '-')}"
            raise SettingsError(
                f"--resume continues run {resume} with its own settings: omit {option} or --resume."
            )
