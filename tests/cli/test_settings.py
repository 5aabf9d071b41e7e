"""Settings: sources and their order, unknown keys by name, types, ranges, broken files."""

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest

from aws.settings import AwsSettings, FitSettings, ScalingSettings
from cli import settings
from cli.errors import SettingsError
from cli.settings import PATH, PATH_VARIABLE, STAGE_TABLES, TABLES, Section
from tests.emulator.fixtures import Command
from tests.servers import ROOT
from training.settings import TrainSettings, TuneSettings

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write the file that is read instead of settings.toml."""
    path = tmp_path / "settings.toml"
    monkeypatch.setenv(PATH_VARIABLE, str(path))

    def write(text: str) -> Path:
        path.write_text(text)
        return path

    write("")
    return write


@pytest.fixture
def sections() -> list[type[Section]]:
    """All tables of the project."""
    for path in ROOT.glob("*/**/settings.py"):
        if path.relative_to(ROOT).parts[0] in ("aws", "ops", "training"):
            import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return Section.__subclasses__()


def refusal(section: type[Section], **arguments: Any) -> str:
    """The message of the error that reading raises, which is one line."""
    with pytest.raises(SettingsError) as caught:
        section.read(**arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_tables_are_the_subclasses_of_section(sections: list[type[Section]]) -> None:
    assert sorted(section.TABLE for section in sections) == sorted(TABLES)
    of_stages = [section.TABLE for section in sections if section.stage_names()]
    assert sorted(of_stages) == sorted(STAGE_TABLES)


def test_every_field_has_a_help_text(sections: list[type[Section]]) -> None:
    for section in sections:
        for name, field in section.model_fields.items():
            assert field.description, f"[{section.TABLE}] {name}"


def test_every_scalar_is_an_option(sections: list[type[Section]]) -> None:
    for section in sections:
        command = click.command()(settings.options(section)(lambda **_: None))
        options = {name for parameter in command.params for name in parameter.opts}
        for name, field in section.model_fields.items():
            compound = "dict" in str(field.annotation) or "Schedule" in str(field.annotation)
            assert (f"--{name.replace('_', '-')}" in options) != compound, name


def test_the_file_of_the_project_is_valid(sections: list[type[Section]]) -> None:
    for section in sections:
        section.read(file=PATH, stage="prod")


def test_a_later_source_overrides_an_earlier_one(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("[train]\nepochs = 2\nseed = 2\nmixup = 0.1\nbatch_size = 2\n")
    hyperparameters = {"epochs": "3", "batch-size": '"3"', "mixup": 0.3, "sagemaker_region": "x"}
    monkeypatch.setenv("SM_HPS", json.dumps(hyperparameters))
    file = tmp_path / "tuned.toml"
    file.write_text("[train]\nepochs = 4\nmixup = 0.4\n")
    train = TrainSettings.read({"epochs": "5", "seed": None, "pretrained": "false"}, file=file)
    assert (train.epochs, train.mixup, train.batch_size, train.seed) == (5, 0.4, 3, 2)
    assert train.pretrained is False
    assert train.size == TrainSettings.model_fields["size"].default


def test_a_table_of_a_stage_overrides_the_table_of_all(write: Write) -> None:
    write("[scaling]\nmax_instances = 7\n[stage.prod.scaling]\nmax_instances = 9\n")
    assert ScalingSettings.read().max_instances == 7
    assert ScalingSettings.read(stage="dev").max_instances == 7
    assert ScalingSettings.read(stage="prod").max_instances == 9
    assert ScalingSettings.read({"max_instances": 8}, stage="prod").max_instances == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[train]\nepoch = 1\n", 'settings.toml [train]: unknown key "epoch". Did you mean'),
        ("[train]\nxyzzy = 1\n", "Allowed: backbone, "),
        ("[trian]\nepochs = 1\n", 'settings.toml: unknown table "trian". Did you mean "train"?'),
        ("epochs = 1\n", 'unknown table "epochs"'),
        ("train = 1\n", "write [train]"),
        ("[train]\nepochs = -1\n", "settings.toml [train]: epochs is -1: "),
        ("[train]\nepochs = 1.5\n", "epochs is 1.5: "),
        ("[train]\nepochs = true\n", "epochs is true: input should be a number"),
        ('[train]\nepochs = "many"\n', 'epochs is "many": '),
        ("[train]\nepochs = 2026-11-26\n", 'epochs is "2026-11-26": '),
        ("[train]\nepochs = []\n", "epochs is []: "),
        ("[train]\nlearning_rate = nan\n", "learning_rate is NaN: "),
        ("[train]\nlearning_rate = inf\n", "learning_rate is Infinity: "),
        ('[train]\nprecision = "fp8"\n', "'fp32', 'bf16' or 'auto'"),
        ("[train]\nbackbone = 1\n", "backbone is 1: "),
        ("[stage.prod.train]\nepochs = 1\n", '[stage.prod]: unknown table "train"'),
        ("[stage]\nprod = 1\n", "write [stage.prod.TABLE]"),
        ("stage = 1\n", "write [stage]"),
    ],
)
def test_a_wrong_file_names_the_place(
    write: Write, tmp_path: Path, text: str, message: str
) -> None:
    path = write(text)
    assert message in refusal(TrainSettings)
    write("")
    other = tmp_path / "other.toml"
    other.write_text(text)
    expected = message.replace(path.name, other.name)
    assert expected in refusal(TrainSettings, file=other)


def test_a_wrong_table_of_a_stage(write: Write) -> None:
    write("[stage.prod.scaling]\nmax_instance = 9\n")
    message = refusal(ScalingSettings, stage="prod")
    assert 'settings.toml [stage.prod.scaling]: unknown key "max_instance"' in message
    write("[stage.prod]\nscaling = 9\n")
    assert "write [scaling]" in refusal(ScalingSettings, stage="prod")
    write("[stage.prd.scaling]\nmax_instances = 9\n")
    assert 'unknown stage "prd". Did you mean "prod"?' in refusal(ScalingSettings)


@pytest.mark.parametrize(
    "content",
    [
        b"[train",
        b"[train]\nepochs = \n",
        b"[train]\nepochs = 1\nepochs = 2\n",
        b"[train]\n[train]\n",
        b"\xff\xfe",
        b"\x00",
        b"x = " + b"[" * 100_000,
        b"x = 1" + b"0" * 10_000,
    ],
    ids=["table", "value", "twice", "table twice", "not UTF-8", "NUL", "nested", "long number"],
)
def test_a_broken_file_is_one_line(write: Write, command: Command, content: bytes) -> None:
    path = write("")
    path.write_bytes(content)
    assert path.name in refusal(TrainSettings)
    outcome = command("training", "jobs")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert path.name in outcome.err


def test_a_missing_file(write: Write, tmp_path: Path) -> None:
    write("").unlink()
    assert "settings.toml" in refusal(TrainSettings)
    assert "settings.toml" in refusal(TrainSettings, file=tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": "many"}, '--epochs is "many": '),
        ({"batch_size": "0"}, '--batch-size is "0": input should be greater than or equal to 1'),
        ({"pretrained": "perhaps"}, '--pretrained is "perhaps": '),
        ({"epochen": "1"}, 'option: unknown key "epochen"'),
    ],
)
def test_a_wrong_option(write: Write, options: dict[str, str], message: str) -> None:
    assert message in refusal(TrainSettings, options=options)


def test_values_that_contradict_each_other(write: Write) -> None:
    assert "max_instances 2" in refusal(
        ScalingSettings, options={"min_instances": 3, "max_instances": 2}
    )
    assert "warm_pool_s" in refusal(FitSettings, options={"spot": "true", "warm_pool_s": "60"})
    assert "together" in refusal(AwsSettings, options={"subnets": "subnet-1"})
    write('[tune.space]\nepoch = { type = "int", low = 1, high = 2 }\n')
    assert '"epoch"' in refusal(TuneSettings)


def test_a_list_is_comma_separated_as_an_option(write: Write) -> None:
    aws = AwsSettings.read({"subnets": "subnet-1, subnet-2", "security_groups": "sg-1"})
    assert aws.subnets == ["subnet-1", "subnet-2"]
    assert aws.security_groups == ["sg-1"]


@pytest.mark.parametrize("text", ["{", "[]", "1", '"x"', "null"])
def test_hyperparameters_that_are_not_an_object(text: str) -> None:
    with pytest.raises(SettingsError, match="SM_HPS is not a JSON object"):
        settings.sagemaker_hyperparameters({"SM_HPS": text})


def test_hyperparameters_count_in_train_only(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SM_HPS", '{"epochs": "3", "_tuning_objective_metric": "x"}')
    assert TrainSettings.read().epochs == 3
    assert FitSettings.read().instance_count == 1
    monkeypatch.setenv("SM_HPS", '{"epoch": "3"}')
    assert 'SM_HPS: unknown key "epoch"' in refusal(TrainSettings)


def test_a_command_line(write: Write, command: Command, aws: None, tmp_path: Path) -> None:
    outcome = command("training", "fit", "--epoch", "1")
    assert outcome.code == 2
    assert "--epoch" in outcome.err
    outcome = command("training", "fit", "--epochs", "many")
    assert outcome.code == 2
    assert '--epochs is "many"' in outcome.err
    outcome = command("training", "fit", "--settings", tmp_path / "none.toml")
    assert outcome.code == 2
    assert "does not exist" in outcome.err
