"""Tests of `python -m ops costs`: text, JSON, chart and errors."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from model_code import serve
from ops.costs.settings import CostsSettings
from tests.emulator.fixtures import Change, Command

# These do not depend on the settings of the project's stages.
LIMITS = ("--reserved", "10", "--provisioned", "0", "--throttle-rate", "1e6")


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --refresh, neither credentials nor a region are needed."""
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


def plan(command: Command, *options: str) -> dict[str, Any]:
    outcome = command("ops", "costs", "--json", *LIMITS, *options)
    assert outcome.code == 0, outcome.err
    document: dict[str, Any] = outcome.json
    return document


def test_the_text_and_the_chart(tmp_path: Path, command: Command) -> None:
    chart = tmp_path / "charts" / "costs.png"
    outcome = command("ops", "costs", *LIMITS, "--mean-rps", "5", "--chart", chart)
    assert outcome.code == 0
    for part in (
        "432,000 requests per day: 5 per second on average, 15 at the peak",
        "hosting ml.c6i.large",
        "lambda provisioned arm64",
        "Functions of stage prod (512 MB, 0.3 s per request): 1.5 concurrent on average, 4.5 at",
        "ml.c7g.large (Graviton)",
        "not measured on Graviton",
        "serverless, 3 GB",
        "Amazon Rekognition DetectLabels",
        "1,000.00  list price, 2026-09-23",
        "predictions per day",
        "cold starts are not included",
        "A training job of 2 h on 1 x ml.g5.xlarge: $2.84 on demand, about $1.00 on spot instances",
        "is assumed (rate_per_vcpu in [costs]), not measured",
        "Prices: us-east-1",
    ):
        assert part in outcome.out
    [row] = [line.split() for line in outcome.out.splitlines() if "tutorials: 10 " in line]
    assert row[2:4] == ["10", "6"]
    with Image.open(chart) as image:
        assert image.format == "PNG"
        assert image.height > 500


def test_the_price_per_million_is_in_the_json(command: Command) -> None:
    document = plan(command, "--rate-per-instance", "100", "--serverless-ms", "10")
    names = [offer["name"] for offer in document["per_million"]]
    assert names[0] == "ml.c6i.large (x86)"
    assert document["per_million"][0]["images_per_s"] == 100
    assert document["serverless"]["ms"] == 10
    assert document["serverless"]["per_month"] == pytest.approx(74.46 / 6e-7)


def test_a_target_in_requests_per_second_is_reported(command: Command) -> None:
    options = ("--rate-per-instance", "80", "--target-per-minute", "10", "--max-instances", "200")
    document = plan(command, *options)
    first = document["findings"][0]
    assert first.startswith(
        "A target of 10 means 10 requests per MINUTE and instance, one every 6 s, not 10 "
        "concurrent requests"
    )
    assert "needs 90 instances at its peak instead of 1" in first
    assert "--target-per-minute 2400" in first
    # 15 requests per second at the peak are 900 per minute: 90 instances.
    assert document["instance_types"][0]["instances_max"] == 90
    targets = {target["name"]: target for target in document["targets"]}
    tutorial, rule = targets["tutorials: 10"], targets["AWS rule"]
    assert tutorial["seconds_between_requests"] == 6
    assert tutorial["instances_max"] == 90
    assert rule["target_per_minute"] == 80 * 0.5 * 60
    assert rule["instances_max"] == 1
    assert tutorial["instances_usd_per_month"] > 20 * rule["instances_usd_per_month"]


def test_several_instance_types_are_compared(command: Command) -> None:
    document = plan(
        command,
        *("--instance-type", "ml.c6i.large", "--instance-types", "ml.c6i.xlarge,ml.c7g.large"),
        *("--rate", "ml.c6i.xlarge=150", "--rate-per-instance", "80"),
    )
    types = {choice["instance_type"]: choice for choice in document["instance_types"]}
    assert list(types) == ["ml.c6i.large", "ml.c6i.xlarge", "ml.c7g.large"]
    assert [t["rate_per_instance"] for t in types.values()] == [80, 150, pytest.approx(100)]
    assert [t["rate_measured"] for t in types.values()] == [True, True, False]
    # The target is the same fraction of each type's rate.
    assert types["ml.c6i.xlarge"]["target_per_minute"] == pytest.approx(3000 * 150 / 80)
    for choice in types.values():
        assert sum(item["usd"] for item in choice["items"]) == pytest.approx(
            choice["usd_per_month"]
        )


def test_rejected_requests_are_findings(command: Command) -> None:
    hours = ",".join(["40"] * 24)
    document = plan(
        command, "--hours", hours, "--surge", "6@12:00+30", "--rate-per-instance", "100"
    )
    findings = " ".join(document["findings"])
    rejected = document["instance_types"][0]["rejected_per_day"]
    assert rejected == pytest.approx(140 * 9 * 60, rel=0.01)
    assert "The endpoint rejects 75," in findings
    assert "A limit of 10 concurrent functions (reserved) rejects" in findings


def test_options_override_the_limits_of_the_stage(command: Command) -> None:
    options = ("--reserved", "400", "--provisioned", "350", "--throttle-rate", "900")
    document = plan(command, "--mean-rps", "1000", "--peak-factor", "1", *options)
    functions = document["functions"]
    assert (functions["reserved"], functions["provisioned"]) == (400, 350)
    assert functions["mean"] == pytest.approx(300)
    assert functions["rejected_per_day"] < 1
    assert functions["spillover"] < 0.001
    assert functions["throttled_per_day"] == pytest.approx(100 * 86_400)


def test_the_limits_of_the_stage_are_the_default(command: Command) -> None:
    outcome = command("ops", "costs", "--stage", "dev", "--json")
    assert outcome.json["functions"]["stage"] == "dev"
    assert outcome.json["functions"]["reserved"]


def test_an_option_overrides_a_price(command: Command) -> None:
    document = plan(command, "--peak-factor", "1", "--price", "api gateway requests=1e-6")
    items = {item["name"]: item["usd"] for item in document["instance_types"][0]["items"]}
    assert items["api gateway requests"] == pytest.approx(13.14)


def test_settings_override_prices(command: Command, change_settings: Change) -> None:
    before = plan(command)["instance_types"][0]["usd_per_month"]
    change_settings("costs", prices={"hosting ml.c6i.large": 1.102})
    document = plan(command)
    assert document["instance_types"][0]["usd_per_month"] == pytest.approx(before + 730)
    assert "overridden by settings" in document["prices"]["source"]


def test_settings_of_the_stage_and_of_a_file_count(tmp_path: Path, command: Command) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        '[serving]\ninstance_type = "ml.m5.large"\n[stage.prod.scaling]\nmin_instances = 3\n'
        "[loadtest]\nsafety = 0.25\n"
    )
    document = plan(command, "--settings", str(file))
    first = document["instance_types"][0]
    assert (first["instance_type"], first["instances_min"]) == ("ml.m5.large", 3)
    targets = {target["name"]: target for target in document["targets"]}
    assert targets["AWS rule"]["target_per_minute"] == 100 * 0.25 * 60


def test_a_profile_from_a_file(tmp_path: Path, command: Command) -> None:
    file = tmp_path / "day.csv"
    file.write_text("\n".join(["2"] * 24))
    document = plan(command, "--profile", str(file))
    assert document["traffic"]["requests_per_day"] == pytest.approx(172800)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--hours", "1,2"), "24 rates"),
        (("--hours", "a"), "--hours"),
        (("--surge", "much"), "--surge"),
        (("--rate", "ml.c6i.large"), "--rate is"),
        (("--rate", "ml.c6i.xlarge=0"), "The rate of ml.c6i.xlarge is 0: it must be above 0."),
        (("--rate-per-instance", "0"), "The rate of ml.c6i.large is 0"),
        (("--price", "logs stored"), "--price is"),
        (("--price", "logs stored=-1"), "must be 0 or more"),
        (("--instance-type", "ml.c6i.huge"), '"ml.c6i.huge" is not an instance type'),
        (("--instance-type", "ml.x9.large"), 'no price for "hosting ml.x9.large"'),
        (("--stage", "nowhere"), "nowhere"),
        (("--min-instances", "9"), "min_instances 9 is above max_instances 4"),
        (("--lambda-ms", "0"), "--lambda-ms is "),
        (("--spot-saving", "1.5"), "--spot-saving is "),
        (("--mean-rps", "inf"), "--mean-rps is "),
        (("--peak-factor", "24"), "--peak-factor is "),
        (("--peak-hour", "24"), "--peak-hour is "),
    ],
)
def test_errors_of_the_user_are_one_line(
    options: tuple[str, ...], message: str, command: Command
) -> None:
    outcome = command("ops", "costs", *options)
    assert outcome.code == 2
    assert outcome.err.startswith("ops costs: ")
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [
        ("--profile", "nowhere.csv"),
        ("--prices", "nowhere.json"),
        ("--reserved", "-1"),
        ("--throttle-rate", "-1"),
    ],
)
def test_invalid_options_are_named(options: tuple[str, ...], command: Command) -> None:
    outcome = command("ops", "costs", *options)
    assert outcome.code == 2
    assert f"Invalid value for '{options[0]}'" in outcome.err


def test_the_assumed_queue_is_the_one_of_the_model_server() -> None:
    assert CostsSettings().queue == serve.MAX_WAITING


def test_help_has_an_example_and_the_settings(command: Command) -> None:
    outcome = command("ops", "costs", "--help")
    assert outcome.code == 0
    assert "example:" in outcome.out
    assert "ASSUMED requests per second and vCPU" in " ".join(outcome.out.split())
