"""Train the breed classifier: fit a linear head, then fine-tune the network below it.

If interrupted, run the same command again to resume. torchrun and SageMaker start this module too,
for several processes; a SageMaker job reads SM_CHANNEL_TRAINING, SM_MODEL_DIR and SM_HPS.

example:
  python -m training train --data photos --epochs 12 --learning-rate 0.0005
  torchrun --nproc-per-node 2 -m training.train --data photos --batch-size 16
"""

import shutil
import sys
import time
from contextlib import ExitStack
from pathlib import Path

if __package__ in (None, ""):  # SageMaker's launchers run this file, not the package
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import click

from cli import commands, settings
from training import distributed, photos, run_result, sagemaker_environment
from training.diagnostics import Diagnostics
from training.hooks import Hook
from training.profiling import Profiler, phase_table
from training.settings import ExportSettings, TrainSettings
from training.trainer import Trainer


@commands.command(__doc__)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    envvar=["SM_CHANNEL_TRAINING", "SM_CHANNEL_TRAIN"],
    required=True,
    help="Photos: a folder or an index. Default in a SageMaker job: the channel training.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=sagemaker_environment.run_folder,
    help="Folder of the run. Default: runs/default.",
)
@click.option("--fresh", is_flag=True, help="Delete the run in --output and start over.")
@click.option("--profile", is_flag=True, help="Trace a few steps and print the time per phase.")
@settings.options(TrainSettings)
def command(data: Path, output: Path, fresh: bool, profile: bool, train: TrainSettings) -> None:
    with distributed.process_group() as world, ExitStack() as stack:
        hooks: list[Hook] = []
        if world.is_leader:
            if fresh:
                shutil.rmtree(output, ignore_errors=True)
            hooks.append(Diagnostics())
            if profile:
                hooks.append(stack.enter_context(Profiler(output)))
        trainer = Trainer(train, data, output, world, hooks)
        trained = trainer.train()
        if profile and world.is_leader:
            print(phase_table(trainer.stopwatch.seconds))
        artifact, export_s = sagemaker_environment.model_folder(), 0.0
        if artifact is not None and world.is_leader:
            from training.export import export_model  # takes seconds to import

            began = time.monotonic()
            export_model(trained, photos.read(data), artifact, ExportSettings.read())
            export_s = time.monotonic() - began
        if world.is_leader:
            result = run_result.Result.of(trainer, trained, export_s)
            result.save(output)
            print(result.line(), flush=True)


if __name__ == "__main__":
    from training.__main__ import main

    sys.exit(main(["train", *sys.argv[1:]]))
