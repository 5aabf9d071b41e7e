"""`python -m training costs`: what it says, draws and refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cli.errors import SettingsError
from ops.costs.instances import instance, vcpus
from training import __main__ as training
from training import settings


def run(*options: str) -> int:
    return training.main(["costs", *options])


@pytest.fixture(autouse=True)
def _a_stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A stage whose settings do not change with the project's."""
    folder = tmp_path / ".chalice"
    folder.mkdir()
    config = {
        "app_name": "whatbreed",
        "lambda_memory_size": 512,
        "stages": {
            "prod": {"environment_variables": {"ENDPOINT_NAME": "e"}, "reserved_concurrency": 10}
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("aws.stages.CONFIG", folder / "config.json")


def plan(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    assert run("--json", *options) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_the_plan_for_a_person(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chart = tmp_path / "charts" / "costs.png"
    assert run("--mean-rps", "5", "--chart", str(chart)) == 0
    out = capsys.readouterr().out
    for part in (
        "432,000 requests a day: 5 a second on average, 15 at the peak",
        "hosting ml.c6i.large",
        "lambda provisioned arm64",
        "10, as in write-ups           10   every         6 s",
        "functions of stage prod (512 MB, 0.3 s a request): 1.5 at a time on average, 4.5 at",
        "a training job of 2 h on 1 x ml.g5.xlarge: 2.84 $ on demand, about 1.00 $ on spot",
        "? assumed, not measured",
        "prices: us-east-1",
    ):
        assert part in out
    with Image.open(chart) as image:
        assert image.format == "PNG"
        assert image.height > 500


def test_the_write_ups_target_is_shown_for_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--rate-per-instance", "80", "--target-per-minute", "10", "--max-instances", "200")
    found = plan(capsys, *options)
    first = found["findings"][0]
    assert first.startswith(
        "A target of 10 is 10 requests per MINUTE and instance, one every 6 s, not 10 "
        "simultaneous requests"
    )
    assert "asks for 90 instances at its peak, where 1 would do" in first
    assert "--target-per-minute 2400" in first
    # 15 requests a second at the peak are 900 a minute: 90 instances.
    assert found["instance_types"][0]["instances_peak"] == 90
    [write_up] = [t for t in found["targets"] if t["name"] == "10, as in write-ups"]
    assert write_up["seconds_between_requests"] == 6
    assert write_up["instances_peak"] == 90
    rule = next(t for t in found["targets"] if t["name"] == "by AWS's rule")
    assert rule["target_per_minute"] == 80 * 0.5 * 60
    assert rule["instances_peak"] == 1
    assert write_up["instances_usd_a_month"] > 20 * rule["instances_usd_a_month"]


def test_several_instance_types_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    found = plan(
        capsys,
        *("--instance-type", "ml.c6i.large", "--instance-types", "ml.c6i.xlarge,ml.c7g.large"),
        *("--rate", "ml.c6i.xlarge=150", "--rate-per-instance", "80"),
    )
    types = {choice["instance_type"]: choice for choice in found["instance_types"]}
    assert list(types) == ["ml.c6i.large", "ml.c6i.xlarge", "ml.c7g.large"]
    assert [t["rate_per_instance"] for t in types.values()] == [80, 150, pytest.approx(100)]
    assert [t["rate_measured"] for t in types.values()] == [True, True, False]
    # The target is the same part of each type's rate.
    assert types["ml.c6i.xlarge"]["target_per_minute"] == pytest.approx(3000 * 150 / 80)
    for choice in types.values():
        assert sum(item["usd"] for item in choice["items"]) == pytest.approx(choice["usd_a_month"])


def test_refusals_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    hours = ",".join(["40"] * 24)
    found = plan(capsys, "--hours", hours, "--surge", "6@12:00+30", "--rate-per-instance", "100")
    told = " ".join(found["findings"])
    assert found["instance_types"][0]["refused_a_day"] == pytest.approx(140 * 9 * 60, rel=0.01)
    assert "The endpoint refuses 75," in told
    assert "10 functions at a time (reserved) refuse" in told


def test_what_if_the_stage_had_other_settings(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--reserved", "400", "--provisioned", "350", "--throttle-rate", "900")
    found = plan(capsys, "--mean-rps", "1000", "--peak-factor", "1", *options)
    functions = found["functions"]
    assert (functions["reserved"], functions["provisioned"]) == (400, 350)
    assert functions["mean"] == pytest.approx(300)
    assert functions["refused"] < 1
    assert functions["spilled"] < 0.001
    assert functions["throttled"] == pytest.approx(100 * 86_400)


def test_an_option_overrides_a_price(capsys: pytest.CaptureFixture[str]) -> None:
    found = plan(capsys, "--peak-factor", "1", "--price", "api gateway requests=1e-6")
    items = {item["name"]: item["usd"] for item in found["instance_types"][0]["items"]}
    assert items["api gateway requests"] == pytest.approx(13.14)


def test_settings_override_prices(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = plan(capsys)["instance_types"][0]["usd_a_month"]
    table = settings.table("costs")
    changed = {**table, "prices": {"hosting ml.c6i.large": 1.102}}
    original = settings.table
    monkeypatch.setattr(
        settings, "table", lambda name: changed if name == "costs" else original(name)
    )
    found = plan(capsys)
    assert found["instance_types"][0]["usd_a_month"] == pytest.approx(before + 730)
    assert "overridden by settings" in found["prices"]["source"]


def test_a_profile_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "day.csv"
    file.write_text("\n".join(["2"] * 24))
    assert plan(capsys, "--profile", str(file))["traffic"]["requests_a_day"] == pytest.approx(
        172800
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--hours", "1,2"), "24 rates"),
        (("--hours", "a"), "--hours"),
        (("--profile", "nowhere.csv"), "nowhere.csv"),
        (("--surge", "much"), "--surge"),
        (("--rate", "ml.c6i.large"), "--rate is"),
        (("--price", "logs stored"), "--price is"),
        (("--price", "logs stored=-1"), "not a price"),
        (("--reserved", "-1"), "0 or more"),
        (("--rate-per-instance", "0"), "not above 0"),
        (("--instance-type", "ml.c6i.huge"), "no instance type"),
        (("--instance-type", "ml.x9.large"), "no price of 'hosting ml.x9.large'"),
        (("--stage", "nowhere"), "no stage 'nowhere'"),
        (("--min-instances", "9"), "9 to 4 instances"),
        (("--prices", "nowhere.json"), "nowhere.json"),
        (("--lambda-ms", "0"), "lambda_ms is 0"),
        (("--spot-saving", "1.5"), "spot_saving is 1.5"),
    ],
)
def test_what_is_refused_in_one_line(
    options: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*options) == 2
    error = capsys.readouterr().err
    assert error.startswith("training costs: ")
    assert said in error
    assert error.count("\n") == 1


def test_vcpus_by_size() -> None:
    types = ("ml.c7g.medium", "ml.c6i.large", "ml.m5.xlarge", "ml.c7i.4xlarge")
    assert [vcpus(name) for name in types] == [1, 2, 4, 16]
    with pytest.raises(SettingsError):
        vcpus("ml.c6i")


def test_an_instance_takes_exactly_its_rate() -> None:
    found = instance("ml.c6i.xlarge", {}, rate_per_vcpu=25, waiting=64)
    assert found.rate == 100
    assert found.server.service_s == 0.04
    assert not found.measured


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("--help")
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert "example:" in out
    assert "rate_per_vcpu" not in out  # options are told as options
    assert "ASSUMED requests a second that one vCPU takes" in " ".join(out.split())
