"""Train the breed classifier: fit a linear head, then fine-tune the network under it.

Interrupted by whatever means and started again, it goes on where it was. One script, three places:

  python -m training train --data ../shared/photos --output runs/default
  torchrun --nproc-per-node 2 -m training.train --data ../shared/photos --batch-size 16
  SageMaker: entry script training/train.py; SM_CHANNEL_TRAINING, SM_MODEL_DIR and SM_HPS are read

example:
  python -m training train --data ../shared/photos --epochs 12 --learning-rate 0.0005
"""

import argparse
import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # SageMaker's launchers run this file, not the package
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from tqdm import tqdm

from model_code.artifact import InputSpec
from training import (
    backbones,
    checkpoint,
    collection,
    default_paths,
    distributed,
    photos,
    pixels,
    probe,
    run_folder,
    schedule,
    start,
)
from training import settings as configuration
from training.augment import Augmentation, AugmentedPhotos, collate, decode
from training.checkpoint import State
from training.collection import Collection
from training.diagnostics import Watch
from training.distributed import World
from training.ema import Average
from training.errors import DataError, Interrupted, TrainingError
from training.loss import Objective
from training.model import BreedClassifier
from training.monitor import Stopwatch, dead_channels, layer_gradients
from training.precision import autocast
from training.profiling import phase_table, traced
from training.run_folder import TrainedModel
from training.sampler import ShardedBatches
from training.settings import TrainSettings
from training.validation import Validation, accuracy_of

LOOK_INSIDE_EVERY = 25  # steps between two looks at the gradients of every layer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    channel = default_paths.data_channel()
    parser.add_argument(
        "--data",
        type=Path,
        default=channel,
        required=channel is None,
        help="photos: a folder or an index (in a SageMaker job: the channel training)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=default_paths.run_folder(),
        help="the run's folder (%(default)s)",
    )
    parser.add_argument("--fresh", action="store_true", help="start over, whatever is there")
    parser.add_argument("--profile", action="store_true", help="trace a few steps of the run")
    configuration.add_train_options(parser)


def run(arguments: argparse.Namespace) -> None:
    options = configuration.train_settings(vars(arguments))
    with distributed.joined() as world:
        if arguments.fresh and world.leads:
            shutil.rmtree(arguments.output, ignore_errors=True)
        trained = train(options, arguments.data, arguments.output, world, arguments.profile)
        served = default_paths.model_folder()
        if served is not None and world.leads:
            from training import export  # what it imports takes seconds

            export.export(trained, photos.read(arguments.data), served)


def train(
    options: TrainSettings,
    data: Path,
    output: Path,
    world: World,
    profile: bool = False,
    after_epoch: Callable[[dict[str, Any]], None] | None = None,
) -> TrainedModel:
    """Train to the end, from wherever the run in `output` stands, and return the result.

    `after_epoch` is told the row of the history that each epoch adds, and may raise to end the run.
    Raises `Interrupted` after SIGTERM, once a checkpoint is written, and `TrainingError` for what
    is wrong with the photos, the settings or the checkpoint.
    """
    sigterm = _sigterm()
    clock = Stopwatch()
    output.mkdir(parents=True, exist_ok=True)
    device = _device(world)
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)

    # The model, with a head fitted on what ImageNet's backbone sees in the photos.
    found = collection.gather(data, options, world)
    if options.epochs > 0 and not found.valid:
        raise DataError(
            "fine-tuning needs a split valid, to calibrate on: set valid_fraction above 0, or "
            "epochs to 0 for the linear head alone, which is cross-validated"
        )
    backbone = backbones.create(options.backbone, pretrained=options.pretrained)
    spec = InputSpec(options.size, options.crop, backbone.mean, backbone.std)
    model = BreedClassifier(backbone, len(found.breeds)).to(device).eval()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    begin = world.from_leader(start.load(output, found.fingerprint) if world.leads else None)
    if begin is None:
        begin = start.prepare(model, backbone, found, spec, options, world)
        if world.leads:
            start.save(output, begin, found.fingerprint)
    start.apply(begin, model)
    clock.lap("head")

    # The photos, decoded once, augmented in every epoch, dealt out to the processes.
    dataset, sampler = _dataset(found, options), _sampler(len(found.here), options, world)
    loader = DataLoader(
        dataset, batch_sampler=sampler, num_workers=options.workers, collate_fn=collate
    )
    validation = Validation(
        found.valid, found.valid_targets, spec, backbone, world, options.precision
    )
    clock.lap("decode")

    # What is optimised, how, and how far that has come.
    objective = Objective(
        targets=found.targets,
        weights=probe.class_weights(found.targets, len(found.breeds), options.balance),
        imagenet=begin.imagenet,
        label_smoothing=options.label_smoothing,
        gate_weight=options.gate_weight,
    )
    state = _first_state(model, options, steps=options.epochs * len(sampler))
    watch = Watch(len(found.breeds))
    saved = checkpoint.load(output, options, found.fingerprint) if world.leads else None
    if (saved := world.from_leader(saved)) is not None:
        state.restore(saved, world)
        watch.epochs(state.history)
        if world.leads:
            print(f"going on in epoch {state.epoch + 1} after step {state.step}")
    else:
        judged, accuracy = "linear head", validation.accuracy(model)
        if begin.held_out is not None:
            judged = "linear head, cross-validated"
            accuracy = accuracy_of(begin.held_out, found.targets)
        state.best.offer(0, accuracy, model)
        if world.leads:
            print(f"{judged}: valid_top1={accuracy.top1:.4f}; valid_top5={accuracy.top5:.4f};")

    network: nn.Module = model
    if world.size > 1 and options.epochs > 0:
        network = DistributedDataParallel(model, gradient_as_bucket_view=True)
    with traced(output, profile and world.leads) as tracer:
        for epoch in range(state.epoch, options.epochs):
            model.train()
            if options.pretrained:
                backbones.freeze_batch_norm(model)
            dataset.epoch = epoch
            sampler.start(epoch, state.step)
            steps = tqdm(
                loader,
                initial=state.step,
                total=len(sampler),
                desc=f"epoch {epoch + 1}/{options.epochs}",
                unit="step",
                leave=False,
                disable=None if world.leads else True,
            )
            clock.restart()
            first = state.step
            for batch in steps:
                data_s = clock.lap("data")
                images = pixels.normalised(batch.pixels, backbone).to(device)
                with autocast(options.precision, device):
                    breed_logits, imagenet_logits = network(images)
                loss = objective(batch, breed_logits.float(), imagenet_logits.float())
                state.optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                if state.step % LOOK_INSIDE_EVERY == 0:
                    watch.seen.layer_gradients = layer_gradients(model)
                norm = nn.utils.clip_grad_norm_(model.parameters(), options.clip_norm)
                if watch.seen.first_logit_spread is None:
                    spread = breed_logits.detach().float().std(dim=0).max()
                    watch.seen.first_logit_spread = spread.item()
                watch.step(loss.item(), norm.item(), data_s)
                _tell(watch, world)
                if not loss.isfinite():
                    raise TrainingError(f"the loss is {loss.item()} in epoch {epoch + 1}")
                state.optimiser.step()
                state.rates.step()
                state.average.update(model)
                state.step += 1
                state.tally += torch.tensor([loss.item(), 1.0]) * len(batch.photos)
                watch.seen.step_compute_s.append(clock.lap("train"))
                tracer.step()
                stop = world.any(sigterm.is_set())
                if stop or state.step % options.checkpoint_steps == 0:
                    state.save(output, options, found.fingerprint, world)
                    clock.lap("checkpoint")
                if stop:
                    raise Interrupted("stopped by SIGTERM; the same command goes on from here")

            # The epoch is over: judge the average, look inside, write down what was seen.
            watch.seen.busy = clock.busy(torch.get_num_threads())
            watch.seen.dead_channels = dead_channels(model.eval(), images[:16])
            accuracy = validation.accuracy(state.average.model)
            state.best.offer(epoch + 1, accuracy, state.average.model)
            clock.lap("validate")
            fresh = (state.step - first) * options.batch_size * world.size
            loss_sum, seen = world.sum(state.tally).tolist()
            state.history.append(
                {
                    "epoch": epoch + 1,
                    "train_loss": round(loss_sum / seen, 5),
                    **accuracy.row(),
                    "learning_rate": state.rates.get_last_lr()[-1],
                    "images_per_s": round(fresh / clock.since_restart("data", "train"), 1),
                    "seconds": {phase: round(s, 1) for phase, s in clock.seconds.items()},
                }
            )
            state.epoch, state.step = epoch + 1, 0
            state.tally.zero_()
            watch.epochs(state.history)
            _tell(watch, world)
            if world.leads:
                print(_line(state.history[-1], options.epochs), flush=True)
                run_folder.write_history(output, state.history)
            state.save(output, options, found.fingerprint, world)
            clock.lap("checkpoint")
            if after_epoch is not None:
                after_epoch(state.history[-1])

    trained = TrainedModel(
        backbone=options.backbone,
        breeds=found.breeds,
        size=options.size,
        crop=options.crop,
        state=state.best.weights,
        epoch=state.best.epoch,
        valid_top1=state.best.top1,
        settings=asdict(options),
        data=found.fingerprint,
        command=shlex.join(["python", "-m", "training", *sys.argv[1:]]),
        held_out=start.held_out(begin, found.targets),
    )
    if world.leads:
        run_folder.save_model(output, trained)
        if options.epochs > 0:
            print(state.best.line())
        if profile:
            print(phase_table(clock.seconds))
    return trained


def _dataset(found: Collection, options: TrainSettings) -> AugmentedPhotos:
    """The photos on this machine, decoded."""
    return AugmentedPhotos(
        decode([found.train[number] for number in found.here], options.cache_size),
        found.here,
        Augmentation(
            options.train_size, options.least_area, options.colour, options.erasing, options.mixup
        ),
        options.seed,
    )


def _sampler(here: int, options: TrainSettings, world: World) -> ShardedBatches:
    """This process's share of the `here` photos on this machine."""
    sampler = ShardedBatches(
        here,
        options.batch_size,
        seed=options.seed,
        rank=world.local_rank if options.sharded else world.rank,
        ranks=world.local_size if options.sharded else world.size,
    )
    sampler.steps = min(world.gather(sampler.steps))  # shards need not be equally large
    return sampler


def _first_state(model: BreedClassifier, options: TrainSettings, steps: int) -> State:
    """The state before the first of `steps` steps."""
    groups = schedule.parameter_groups(
        model,
        rate=options.learning_rate,
        weight_decay=options.weight_decay,
        layer_decay=options.layer_decay,
        frozen=options.frozen_below if options.pretrained else 0.0,
        depthwise=options.depthwise or not options.pretrained,
    )
    optimiser = torch.optim.AdamW(groups)
    rates = schedule.cosine(optimiser, steps, round(options.warmup * steps))
    return State(model, Average(model, options.ema_decay), optimiser, rates)


def _device(world: World) -> torch.device:
    """The GPU of this process, or the CPU."""
    if torch.cuda.is_available():
        torch.cuda.set_device(world.local_rank)
        return torch.device("cuda", world.local_rank)
    return torch.device("cpu")


def _sigterm() -> threading.Event:
    """An event that is set once SIGTERM came: a spot instance is taken away two minutes later."""
    event = threading.Event()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: event.set())
    return event


def _tell(watch: Watch, world: World) -> None:
    for finding in watch.examine():
        if world.leads:
            tqdm.write(f"diagnostics: {finding}", file=sys.stderr)


def _line(row: dict[str, Any], epochs: int) -> str:
    """One line an epoch; SageMaker's metric definitions find `valid_top1=0.9012;` in it."""
    names = ("train_loss", "valid_loss", "valid_top1", "valid_top5", "images_per_s")
    figures = " ".join(f"{name}={row[name]};" for name in names)
    return f"epoch {row['epoch']}/{epochs}: {figures}"


if __name__ == "__main__":
    from training.__main__ import main

    sys.exit(main(["train", *sys.argv[1:]]))
