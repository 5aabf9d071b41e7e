"""Command-line options that several commands share."""

from pathlib import Path

import click

from model_code.inference import DEFAULT_MODEL_DIR
from training.folder_layout import SPLITS

data_option = click.option(
    "--data",
    "data_path",
    type=click.Path(path_type=Path),
    required=True,
    help="Photos: a folder or an index.",
)
run_option = click.option(
    "--run",
    "run_path",
    type=click.Path(path_type=Path),
    default=Path("runs/default"),
    help="Folder of the run, the --output of train. Default: runs/default.",
)
model_option = click.option(
    "--model",
    "model_path",
    type=click.Path(path_type=Path),
    default=DEFAULT_MODEL_DIR,
    help="Folder of the exported model. Default: model_code/default.",
)
split_option = click.option(
    "--split", default="test", type=click.Choice(SPLITS), help="Split to measure. Default: test."
)
