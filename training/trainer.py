"""A training run: fit a linear head, then fine-tune the network below it."""

import json
import math
import signal
import sys
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from tqdm import tqdm

from cli.files import write_atomically
from model_code.artifact import InputSpec
from training import (
    backbones,
    checkpoint,
    linear_head,
    optimiser,
    provenance,
    run_files,
    second_look,
    training_set,
)
from training.augmentation import AugmentedPhotos, Batch, collate
from training.checkpoint import State
from training.distributed import World
from training.errors import Interrupted, TrainingError
from training.hooks import Epoch, Hook, Step
from training.looks import Extractor
from training.loss import Loss
from training.model import BreedClassifier
from training.precision import autocast
from training.preprocessing import decode, normalise
from training.profiling import Stopwatch
from training.run_files import TrainedModel
from training.sampler import ShardedBatches
from training.settings import TrainSettings
from training.validation import Validation, accuracy_of
from training.weights import MovingAverage


class Trainer:
    """Everything a run needs. `train` runs it to the end, from the checkpoint in `output` if any.

    SIGTERM sets `stop_requested`, which ends the run after the current step. Raises TrainingError
    if the photos, the settings or the checkpoint do not fit.
    """

    def __init__(
        self,
        settings: TrainSettings,
        data: Path,
        output: Path,
        world: World,
        hooks: Sequence[Hook] = (),
    ) -> None:
        self.settings = settings
        self.output = output
        self.world = world
        self.hooks = hooks
        self.stopwatch = Stopwatch()
        self.stop_requested = _sigterm_event()
        self.resumed = False
        self.device = _device(world)
        output.mkdir(parents=True, exist_ok=True)
        if settings.threads:
            torch.set_num_threads(settings.threads)
        torch.manual_seed(settings.seed)

        # Model: a pretrained backbone, and a linear head fitted on its features.
        self.photos = training_set.read(data, settings, world)
        self.stopwatch.lap("photos")
        self.backbone = backbones.create(settings.backbone, pretrained=settings.pretrained)
        spec = InputSpec(settings.size, settings.crop, self.backbone.mean, self.backbone.std)
        self.model = BreedClassifier(self.backbone, len(self.photos.breeds)).to(self.device).eval()
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        extractor = Extractor(self.model, self.backbone, self.photos, spec, settings, world)
        self.head = linear_head.load_or_fit(output, extractor)
        self.head.apply(self.model)
        self.stopwatch.lap("head")

        # Data: photos decoded once, augmented in every epoch, distributed over the processes.
        local = [self.photos.train[number] for number in self.photos.local]
        self.dataset = AugmentedPhotos(
            decode(local, settings.cache_size), self.photos.local, settings
        )
        self.sampler = ShardedBatches(
            len(local),
            settings.batch_size,
            seed=settings.seed,
            rank=self.photos.rank,
            ranks=self.photos.ranks,
        )
        self.sampler.steps = min(world.gather(self.sampler.steps))  # shards differ in size
        self.loader = DataLoader(
            self.dataset,
            batch_sampler=self.sampler,
            num_workers=settings.workers,
            collate_fn=collate,
        )
        self.validation = Validation(self.photos, spec, self.backbone, world, settings.precision)
        self.stopwatch.lap("decode")

        # Optimisation: loss, optimiser, learning rates, and the state that a checkpoint holds.
        self.loss = Loss(self.photos, self.head.imagenet, settings)
        steps = settings.epochs * len(self.sampler)
        self.state = State(
            self.model,
            MovingAverage(self.model, settings.ema_decay),
            *optimiser.create(self.model, settings, steps),
        )
        self.network: nn.Module = self.model

    def train(self) -> TrainedModel:
        """Train all remaining epochs, and save and return the best weights.

        Raises Interrupted after SIGTERM, once a checkpoint is written.
        """
        self.resumed = self._resume()
        if not self.resumed:
            self._evaluate_head()
        for hook in self.hooks:
            hook.before_training(self.model, self.state.history)
        if self.world.size > 1 and self.settings.epochs > 0:
            self.network = DistributedDataParallel(self.model, gradient_as_bucket_view=True)
        try:
            for epoch in range(self.state.epoch, self.settings.epochs):
                images = self._train_epoch(epoch)
                self._finish_epoch(epoch, images)
        finally:
            # If DDP outlived the process group, its destructor would hold the GIL while it joins
            # gloo's threads, which need the GIL: a deadlock.
            self.network = self.model
        return self._finish()

    def _resume(self) -> bool:
        """Restore the checkpoint, if there is one."""
        saved = None
        if self.world.is_leader:
            saved = checkpoint.load(self.output, self.settings, self.photos.fingerprint)
        saved = self.world.broadcast(saved)
        if saved is None:
            return False
        self.state.restore(saved, self.world)
        if self.world.is_leader:
            print(f"resuming in epoch {self.state.epoch + 1} after step {self.state.step}")
        return True

    def _evaluate_head(self) -> None:
        title, accuracy = "linear head", self.validation.accuracy(self.model)
        if self.head.held_out is not None:
            title = "linear head, cross-validated"
            rule = None
            if "sizes" in self.head.held_out:
                rule = second_look.fit(self.head.held_out, self.settings.model_dump())
            logits, _ = second_look.combine(self.head.held_out, rule)
            accuracy = accuracy_of(torch.from_numpy(logits), self.photos.targets)
        self.state.best.offer(0, accuracy, self.model)
        if self.world.is_leader:
            print(f"{title}: valid_top1={accuracy.top1:.4f}; valid_top5={accuracy.top5:.4f};")

    def _train_epoch(self, epoch: int) -> Tensor | None:
        """Train the remaining steps of an epoch and return the images of the last one."""
        settings, state = self.settings, self.state
        self.model.train()
        if settings.pretrained:
            backbones.freeze_batch_norm(self.model)
        self.dataset.epoch = epoch
        self.sampler.start(epoch, state.step)
        self.stopwatch.start_epoch()
        images = None
        for batch in self._batches(epoch):
            data_s = self.stopwatch.lap("data")
            images = normalise(batch.pixels, self.backbone).to(self.device)
            with autocast(settings.precision, self.device):
                breed_logits, imagenet_logits = self.network(images)
            loss = self.loss(batch, breed_logits.float(), imagenet_logits.float())
            state.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            norm = nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip_norm)
            state.optimiser.step()
            state.rates.step()
            state.average.update(self.model)
            state.tally += torch.tensor([loss.item(), 1.0]) * len(batch.photos)
            compute_s = self.stopwatch.lap("train")
            step = Step(
                state.step, loss.item(), norm.item(), breed_logits.detach(), data_s, compute_s
            )
            state.step += 1
            for hook in self.hooks:
                hook.after_step(step)
            if not math.isfinite(step.loss):
                raise TrainingError(f"The loss is {step.loss} in epoch {epoch + 1}.")
            self.stopwatch.lap("train")
            self._save_if_due()
        return images

    def _batches(self, epoch: int) -> Iterable[Batch]:
        """Return the remaining batches of the epoch, with a progress bar."""
        batches: Iterable[Batch] = tqdm(
            self.loader,
            initial=self.state.step,
            total=len(self.sampler),
            desc=f"epoch {epoch + 1}/{self.settings.epochs}",
            unit="step",
            leave=False,
            disable=None if self.world.is_leader else True,
        )
        return batches

    def _save_if_due(self) -> None:
        stop = self.world.any(self.stop_requested.is_set())
        if stop or self.state.step % self.settings.checkpoint_steps == 0:
            self._save()
        if stop:
            raise Interrupted("Stopped by SIGTERM. Run the same command again to resume.")

    def _save(self) -> None:
        self.state.save(self.output, self.settings, self.photos.fingerprint, self.world)
        self.stopwatch.lap("checkpoint")

    def _finish_epoch(self, epoch: int, images: Tensor | None) -> None:
        """Validate the averaged weights, extend the history and write a checkpoint."""
        state = self.state
        cpu_use = None
        if self.device.type == "cpu":
            cpu_use = self.stopwatch.cpu_use(torch.get_num_threads())
        self.model.eval()
        accuracy = self.validation.accuracy(state.average.model)
        state.best.offer(epoch + 1, accuracy, state.average.model)
        self.stopwatch.lap("validate")
        loss_sum, photos = self.world.sum(state.tally).tolist()
        new_photos = (
            (len(self.sampler) - self.sampler.first_step)
            * self.settings.batch_size
            * self.world.size
        )
        step_s = max(1e-9, self.stopwatch.in_epoch("data", "train"))
        state.history.append(
            {
                "epoch": epoch + 1,
                "train_loss": round(loss_sum / photos, 5),
                **accuracy.row(),
                "learning_rate": state.rates.get_last_lr()[-1],
                "images_per_s": round(new_photos / step_s, 1),
                "seconds": {phase: round(s, 1) for phase, s in self.stopwatch.seconds.items()},
            }
        )
        state.epoch, state.step = epoch + 1, 0
        state.tally.zero_()
        if self.world.is_leader:
            print(_epoch_line(state.history[-1], self.settings.epochs), flush=True)
            rows = "".join(json.dumps(row) + "\n" for row in state.history)
            write_atomically(self.output / run_files.HISTORY_FILE, rows)
        self._save()
        for hook in self.hooks:
            hook.after_epoch(Epoch(state.history, images, cpu_use))

    def _finish(self) -> TrainedModel:
        settings, best = self.settings, self.state.best
        trained = TrainedModel(
            backbone=settings.backbone,
            breeds=self.photos.breeds,
            size=settings.size,
            crop=settings.crop,
            state=best.weights,
            epoch=best.epoch,
            valid_top1=best.top1,
            settings=settings.model_dump(),
            data=self.photos.fingerprint,
            command=provenance.command_line(sys.argv),
            held_out=self.head.held_out,
            commit=provenance.commit(),
            job=provenance.job(),
        )
        if self.world.is_leader:
            trained.save(self.output)
            if settings.epochs > 0:
                print(best.summary())
        return trained


def _device(world: World) -> torch.device:
    if torch.cuda.is_available():
        torch.cuda.set_device(world.local_rank)
        return torch.device("cuda", world.local_rank)
    return torch.device("cpu")


def _sigterm_event() -> threading.Event:
    """Return an event that SIGTERM sets: a spot instance is reclaimed two minutes later."""
    event = threading.Event()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: event.set())
    return event


def _epoch_line(row: dict[str, Any], epochs: int) -> str:
    """Format an epoch; SageMaker's metric definitions match `valid_top1=0.9012;` in it."""
    names = ("train_loss", "valid_loss", "valid_top1", "valid_top5", "images_per_s")
    values = " ".join(f"{name}={row[name]};" for name in names)
    return f"epoch {row['epoch']}/{epochs}: {values}"
