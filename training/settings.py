"""The tables of settings.toml that concern learning."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cli.settings import Section


class DataSettings(Section):
    """The table [data]: the archive of photos that `data --fetch` downloads."""

    TABLE = "data"

    url: str = "https://s3-us-west-1.amazonaws.com/udacity-aind/dog-project/dogImages.zip"
    """Archive to download: 133 breeds, 8,351 photos."""
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    """SHA-256 of that archive. Empty: not verified."""


class TrainSettings(Section):
    """The table [train]: one training run."""

    TABLE = "train"
    HYPERPARAMETERS = True
    OTHER_HYPERPARAMETERS = ("data", "output", "fresh", "profile")
    MAY_DIFFER: ClassVar[frozenset[str]] = frozenset({"workers", "checkpoint_steps", "threads"})
    """These change the speed of a run, not its result: a resumed run may have other values."""

    backbone: str = "tf_efficientnet_lite2"
    """Backbone by its timm name. Installed weights: tf_efficientnet_lite0, _lite1, _lite2."""
    pretrained: bool = True
    """Start from ImageNet weights, not from random ones."""
    size: int = Field(default=224, ge=32)
    """Side of the served model's square input in pixels."""
    crop: float = Field(default=1.0, gt=0, le=1)
    """Fraction of the short side that the centre crop keeps at inference."""
    second_looks: float = Field(default=0.22, ge=0, lt=1)
    """Fraction of the photos, the least certain ones, that the model looks at twice. 0: none."""
    max_aspect: float = Field(default=1.8, gt=1)
    """Ratio of an image's sides above which the model always looks again, after an overview."""
    map_threshold: float = Field(default=0.7, gt=0, le=1)
    """Fraction of a location map's maximum from which the second look covers a place."""
    min_side: float = Field(default=0.6, gt=0, le=1)
    """Smallest side of the second look as a fraction of the image's short side."""
    # A random crop enlarges the dog, so a smaller input matches (Touvron et al. 2019, FixRes).
    train_size: int = Field(default=208, ge=32)
    """Side of the square input during training in pixels."""
    valid_fraction: float = Field(default=0.12, ge=0, lt=1)
    """Fraction of split train to hold out by source if there is no split valid. 0: hold out none;
    with epochs = 0 the head is then cross-validated."""
    epochs: int = Field(default=6, ge=0)
    """Epochs of fine-tuning. 0: keep the linear head."""
    batch_size: int = Field(default=32, ge=1)
    """Photos per step and process."""
    # The head is fitted already; a large step undoes that (0.0005 cost 7 points in one epoch).
    learning_rate: float = Field(default=0.00004, gt=0)
    """Learning rate of the head, the highest of all layers."""
    layer_decay: float = Field(default=0.93, gt=0, le=1)
    """Factor between the learning rates of a layer and of the layer above it."""
    frozen_below: float = Field(default=0.3, ge=0, le=1)
    """Freeze layers whose learning rate would be below this fraction of learning_rate."""
    depthwise: bool = False
    """Train depthwise convolutions too: 4 % of the weights, most of a CPU's backward pass."""
    weight_decay: float = Field(default=0.05, ge=0)
    """Weight decay of AdamW."""
    warmup: float = Field(default=0.1, ge=0, le=1)
    """Fraction of the steps during which the learning rate rises."""
    clip_norm: float = Field(default=5.0, gt=0)
    """Maximum gradient norm."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Fraction of the target spread over all breeds."""
    mixup: float = Field(default=0.0, ge=0)
    """Beta parameter of mixup. 0: off."""
    least_area: float = Field(default=0.5, gt=0, le=1)
    """Smallest fraction of a photo that a random crop keeps."""
    colour: float = Field(default=0.2, ge=0, le=1)
    """Strength of brightness, contrast and saturation jitter."""
    erasing: float = Field(default=0.1, ge=0, le=1)
    """Probability of blanking a rectangle of the photo."""
    balance: float = Field(default=1.0, ge=0, le=1)
    """Weight of rare breeds. 0: every photo counts the same; 1: every breed counts the same."""
    probe_penalty: float = Field(default=0.002, ge=0)
    """Penalty on the distance of the linear head from its initial mixture of ImageNet's classes."""
    min_label_probability: float = Field(default=0.01, ge=0, lt=0.1)
    """Leave photos out of the fit whose label has a lower probability, and another breed over 0.9,
    by heads that were fitted without their source. 0: none."""
    gate_weight: float = Field(default=0.1, ge=0)
    """Weight of the loss that preserves ImageNet's head, the dog gate."""
    ema_decay: float = Field(default=0.985, ge=0, lt=1)
    """Decay of the moving average of the weights, which is evaluated and served."""
    precision: Literal["fp32", "bf16", "auto"] = "auto"
    """Precision of the forward pass. auto: bf16 on hardware built for it."""
    cache_size: int = Field(default=300, ge=32)
    """Short side of decoded photos in memory in pixels."""
    workers: int = Field(default=0, ge=0)
    """Processes that augment photos. 0: augment in the training process."""
    checkpoint_steps: int = Field(default=25, ge=1)
    """Steps between checkpoints."""
    sharded: bool = False
    """Each machine has its own shard of the photos (SageMaker's ShardedByS3Key)."""
    seed: int = Field(default=0, ge=0)
    """Random seed."""
    threads: int = Field(default=0, ge=0)
    """CPU threads per process. 0: torch's default."""


class ExportSettings(Section):
    """The table [export]: what a smaller precision may cost."""

    TABLE = "export"

    calibration_photos: int = Field(default=300, ge=1)
    """Photos of split train for int8 calibration."""
    # int8 gives 1 % of photos another breed than fp32 does: as often a better as a worse one.
    max_drop: float = Field(default=1.0, ge=0)
    """Maximum loss of top-1 accuracy against fp32, in percentage points."""
    # The order of additions changes the logits of the shipped model by up to 0.16, larger logits by
    # more.
    max_logit_difference: float = Field(default=1.0, gt=0)
    """Maximum difference of a first look's logits between this CPU and an older one."""
    max_dogs_refused: float = Field(default=0.01, ge=0, le=1)
    """Maximum fraction of dogs the gate may reject."""


class _Dimension(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Range(_Dimension):
    """A dimension between two bounds; `log` searches a float on a log scale."""

    type: Literal["float", "log", "int"]
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} is above high {self.high:g}")
        return self


class Choice(_Dimension):
    """A dimension with a list of values."""

    type: Literal["choice"]
    values: list[int | float | str] = Field(min_length=1)


class TuneSettings(Section):
    """The table [tune]: the local search and the search space of both searches."""

    TABLE = "tune"

    trials: int = Field(default=12, ge=1)
    """Number of trials, including those of earlier calls."""
    patience_epochs: int = Field(default=2, ge=0)
    """Stop a trial below the median of the others from this epoch on."""
    space: dict[str, Annotated[Range | Choice, Field(discriminator="type")]] = {
        "learning_rate": Range(type="log", low=0.00003, high=0.001),
        "layer_decay": Range(type="float", low=0.75, high=0.95),
        "label_smoothing": Range(type="float", low=0.0, high=0.2),
        "mixup": Range(type="float", low=0.0, high=0.4),
        "least_area": Range(type="float", low=0.2, high=0.6),
        "weight_decay": Range(type="log", low=0.01, high=0.3),
        "train_size": Choice(type="choice", values=[192, 224]),
        "seed": Range(type="int", low=0, high=9),
    }
    """Search space: keys of [train] with a range or a list of values."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        for key in self.space:
            if key not in TrainSettings.model_fields:
                raise ValueError(f'space has the unknown key "{key}", which is not in [train]')
        return self


def as_toml(values: Mapping[str, Any]) -> str:
    """Return `values` as the table [train]; JSON's strings, numbers and booleans are TOML's."""
    return "[train]\n" + "".join(
        f"{name.replace('-', '_')} = {json.dumps(value)}\n" for name, value in values.items()
    )
