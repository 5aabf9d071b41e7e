"""`python -m training watch`: its figures, from real log lines through CloudWatch's own rules."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import numpy as np
import pytest

from tests.servers import ROOT, process
from tests.training.watch import cloudwatch
from tests.training.watch.cloudwatch import Datum, measured, prediction
from training import __main__ as training
from training.cloud import scaling

pytestmark = pytest.mark.server

REGION = "us-east-1"
API = {"ApiName": "whatbreed-prod", "Stage": "prod"}
FUNCTION = {"FunctionName": "whatbreed-prod"}
ALIAS = {**FUNCTION, "Resource": "whatbreed-prod:live"}
VARIANT = {"EndpointName": "whatbreed-prod", "VariantName": "AllTraffic"}

# Forty minutes with three answers each, some way from both ends of the hour that is asked for:
# the test may take its time. One instance in the first half, two in the second.
MINUTES = range(-50, -10)
SECOND_INSTANCE = -30
FETCH_MS = [50.0 + number for number in range(120)]
INFERENCE_MS = [10.0 + number / 10 for number in range(120)]
TOTAL_MS = [fetch + inference + 2 for fetch, inference in zip(FETCH_MS, INFERENCE_MS, strict=True)]
TOTAL_MS[7] = 5000.0  # one outlier, which p99 of 120 does not reach but a minute's p99 does
DOG = [0.5 + number / 240 for number in range(120)]
TOP = [0.3 + number / 240 for number in range(120)]
BATCH = [prediction(300.0, 30.0, 0.1, 0.2)] * 3
PROBLEMS = ["image-unreachable"] * 5 + ["not-an-image"] * 2


@dataclass(frozen=True)
class Account:
    """An AWS account at an address."""

    address: str

    def client(self, service: str) -> Any:
        return boto3.Session("testing", "testing", region_name=REGION).client(
            service, endpoint_url=self.address
        )

    def watch(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """What `python -m training watch` does there."""
        ended = subprocess.run(
            [sys.executable, "-m", "training", "watch", *arguments],
            cwd=ROOT,
            env={**os.environ, **self.environment(), **environment},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert "Traceback" not in ended.stderr
        return ended

    def environment(self) -> dict[str, str]:
        return {
            **cloudwatch.CREDENTIALS,
            "AWS_ENDPOINT_URL": self.address,
            "AWS_DEFAULT_REGION": REGION,
            "COLUMNS": "113",
            "PYTHONIOENCODING": "utf-8",
        }


def lines(now: datetime) -> list[str]:
    """The log of the API in that hour, as its own code writes it."""
    moments = [now + timedelta(minutes=minute) for minute in MINUTES for _ in range(3)]
    found = [
        cloudwatch.line(moment, duration_ms=total, answer=prediction(fetch, inference, dog, top))
        for moment, total, fetch, inference, dog, top in zip(
            moments, TOTAL_MS, FETCH_MS, INFERENCE_MS, DOG, TOP, strict=True
        )
    ]
    middle = now - timedelta(minutes=30)
    for kind in PROBLEMS:
        found.append(cloudwatch.line(middle, duration_ms=20.0, problem=kind, cause="x", status=424))
    results = [*BATCH, {"type": "image-unreachable"}]
    found.append(cloudwatch.line(middle, duration_ms=300.0, answer={"results": results}))
    # What must not be counted: another stage, and the day before, whose mean is shown beside.
    found.append(cloudwatch.line(middle, duration_ms=9e9, stage="dev"))
    for number in range(4):
        moment = now - timedelta(hours=3.5 + number)
        answer = prediction(1.0, 1.0, 0.96, 0.81)
        found.append(cloudwatch.line(moment, duration_ms=9e9, answer=answer))
    return found


def of_aws(now: datetime) -> list[tuple[str, Datum]]:
    """What AWS measures by itself in that hour: a minute each."""
    found = []
    for minute in MINUTES:
        moment = now + timedelta(minutes=minute)
        instances = 1 if minute < SECOND_INSTANCE else 2
        calls = [1.0] * 3
        each = [1 / instances] * 3
        found += [
            measured("AWS/ApiGateway", "Count", moment, [1.0] * 4, **API),
            measured("AWS/ApiGateway", "4XXError", moment, [1.0, 0, 0, 0], **API),
            measured("AWS/ApiGateway", "Latency", moment, [80.0, 90.0, 700.0], **API),
            measured("AWS/Lambda", "Invocations", moment, calls, **FUNCTION),
            measured("AWS/Lambda", "Duration", moment, [100.0, 100.0, 400.0], **FUNCTION),
            measured("AWS/Lambda", "ConcurrentExecutions", moment, [1.0, 4.0], **FUNCTION),
            measured(
                "AWS/Lambda", "Throttles", moment, [1.0 if minute == -20 else 0.0], **FUNCTION
            ),
            measured("AWS/Lambda", "ProvisionedConcurrencyInvocations", moment, [1.0], **ALIAS),
            measured("AWS/Lambda", "ProvisionedConcurrentExecutions", moment, [2.0], **ALIAS),
            measured("AWS/SageMaker", "Invocations", moment, calls, **VARIANT),
            measured("AWS/SageMaker", "InvocationsPerInstance", moment, each, **VARIANT),
            measured("AWS/SageMaker", "ModelLatency", moment, [7000.0, 8000.0, 9000.0], **VARIANT),
            # The same names elsewhere, which are somebody else's.
            measured("AWS/Lambda", "Invocations", moment, [1e6], FunctionName="other"),
            measured("Other", "requests", moment, [1e6], stage="prod"),
        ]
    return found


@pytest.fixture(scope="module")
def hour() -> Iterator[Account]:
    """An account in which the stage prod has had an hour."""
    with cloudwatch.aws_server() as address:
        account = Account(address)
        now = datetime.now(UTC).replace(second=30, microsecond=0)
        data = [one for text in lines(now) for one in cloudwatch.extract(text)]
        cloudwatch.put(account.client("cloudwatch"), [*data, *of_aws(now)])
        sagemaker = account.client("sagemaker")
        sagemaker.create_model(
            ModelName="whatbreed-prod-1",
            ExecutionRoleArn="arn:aws:iam::123456789012:role/whatbreed-serving",
            PrimaryContainer={"Image": "image", "ModelDataUrl": "s3://bucket/model.tar.gz"},
        )
        sagemaker.create_endpoint_config(
            EndpointConfigName="whatbreed-prod-1",
            ProductionVariants=[
                {
                    "VariantName": "AllTraffic",
                    "ModelName": "whatbreed-prod-1",
                    "InstanceType": "ml.c6i.large",
                    "InitialInstanceCount": 2,
                }
            ],
        )
        sagemaker.create_endpoint(
            EndpointName="whatbreed-prod", EndpointConfigName="whatbreed-prod-1"
        )
        client, where = account.client("application-autoscaling"), scaling.where("whatbreed-prod")
        client.register_scalable_target(**where, MinCapacity=1, MaxCapacity=4)
        client.put_scaling_policy(
            **where,
            PolicyName=scaling.POLICY,
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={
                "TargetValue": 60.0,
                "PredefinedMetricSpecification": {"PredefinedMetricType": scaling.METRIC},
            },
        )
        yield account


def rank(values: list[float], percent: float) -> float:
    return float(np.percentile(values, percent, method="inverted_cdf"))


def test_the_figures(hour: Account) -> None:
    ended = hour.watch("--stage", "prod", "--json")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    whole = found["whole"]
    durations = [*TOTAL_MS, *([20.0] * len(PROBLEMS)), 300.0]
    assert whole["requests"] == len(durations) == 128
    assert found["requests_per_s"] == pytest.approx(128 / 3600)
    assert whole["total_p50"] == rank(durations, 50)
    assert whole["total_p99"] == rank(durations, 99) < 5000
    assert max(one for one in found["columns"]["total_p99"] if one is not None) == 5000
    parts = {"fetch": [*FETCH_MS, *[300.0] * 3], "inference": [*INFERENCE_MS, *[30.0] * 3]}
    for key, values in parts.items():
        assert whole[f"{key}_p50"] == rank(values, 50)
        assert whole[f"{key}_p99"] == rank(values, 99)
    for key, values in {"dog": [*DOG, *[0.1] * 3], "top": [*TOP, *[0.2] * 3]}.items():
        assert whole[f"{key}_mean"] == pytest.approx(float(np.mean(values)))
        assert whole[f"{key}_p10"] == rank(values, 10)
    assert found["day_before"] == pytest.approx({"dog_mean": 0.96, "top_mean": 0.81})
    assert whole["problems"] == 7
    kinds = {key: count for key, count in whole.items() if key.startswith("problem ") and count}
    assert kinds == {"problem image-unreachable": 5, "problem not-an-image": 2}
    assert (whole["batch_pictures"], whole["batch_failed"]) == (4, 1)
    assert (whole["gateway_requests"], whole["gateway_4xx"]) == (160, 40)
    assert (whole["gateway_p50"], whole["gateway_p99"]) == (90, 700)
    assert (whole["functions"], whole["function_throttles"]) == (4, 1)
    assert whole["model_p50"] == 8000  # microseconds
    assert len(found["columns"]["requests"]) == 60
    assert found["period_s"] == 60


def test_instances_and_cost(hour: Account) -> None:
    found = json.loads(hour.watch("--stage", "prod", "--json").stdout)
    assert found["endpoint"]["instance_type"] == "ml.c6i.large"
    assert (found["endpoint"]["instances"], found["endpoint"]["max_instances"]) == (2, 4)
    assert found["endpoint"]["target_per_minute"] == 60
    # moto's endpoint is a moment old: before, there were instances only while they were asked.
    counted = [one for one in found["columns"]["instances"] if one is not None]
    assert counted == pytest.approx([1] * 20 + [2] * 20)
    items = {item["name"]: item for item in found["cost_estimate"]["items"]}
    assert items["hosting ml.c6i.large"]["quantity"] == pytest.approx(1.0)
    assert items["hosting ml.c6i.large"]["usd"] == pytest.approx(0.102)
    # 40 x 0.6 s x 0.5 GB, a third of the calls on provisioned functions; two of those, for an hour
    assert items["lambda duration arm64"]["quantity"] == pytest.approx(8.0)
    assert items["lambda duration arm64 on provisioned"]["quantity"] == pytest.approx(4.0)
    assert items["lambda provisioned arm64"]["quantity"] == pytest.approx(2 * 0.5 * 3600)
    assert items["lambda requests"]["usd"] == pytest.approx(120 * 0.2e-6)
    assert items["api gateway requests"]["usd"] == pytest.approx(160 * 3.5e-6)
    usd = found["cost_estimate"]["usd"]
    assert usd == pytest.approx(sum(item["usd"] for item in items.values()))
    assert found["cost_estimate"]["usd_per_month"] == pytest.approx(usd * 730)


def test_the_screen(hour: Account) -> None:
    ended = hour.watch("--stage", "prod")
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    rows = {line[:15].strip(): line for line in ended.stdout.splitlines() if line[:15].strip()}
    drawn = rows["requests"][17:77]
    assert re.fullmatch(r" +[▁-█]{40} +", drawn), drawn
    assert rows["requests"].endswith("0.0356/s, at most 0.183/s")  # 11 in the busiest minute
    assert rows["problems"].endswith("7, 5.5% of the requests")
    assert re.search(r"image-unreachable +█{24} 5\n +not-an-image +█{10} 2\n", ended.stdout)
    durations = [*TOTAL_MS, *([20.0] * len(PROBLEMS)), 300.0]
    p50, p99 = rank(durations, 50), rank(durations, 99)
    assert re.search(rf"{p50:,.0f} +{p99:,.0f} ms$", rows["API"])
    assert re.search(r"8\.0 +9\.0 ms$", rows["model"])
    assert re.search(r"0\.732 +0\.537 +0\.960$", rows["dog probability"])
    assert rows["functions"].endswith("at most 4 of 10 at once")
    assert rows["instances"].endswith("2 x ml.c6i.large (1 to 4)")
    assert set(rows["instances"][17:77]) == {" ", "▅", "█"}
    assert "at most 5.0% of the scaling target of 60 a minute" in ended.stdout
    assert "40 did not reach a function" in ended.stdout
    assert "cost, estimated" in ended.stdout
    assert max(map(len, ended.stdout.splitlines())) <= 113
    advice = re.sub(r"\s+", " ", ended.stdout.partition("next: ")[2])
    assert "1 requests found no function free" in advice
    assert "The dog probability fell from 0.960 (the day before) to 0.732" in advice


def test_a_narrow_terminal_without_blocks(hour: Account) -> None:
    ended = hour.watch("--stage", "prod", COLUMNS="80", PYTHONIOENCODING="ascii")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.isascii()
    assert max(map(len, ended.stdout.splitlines())) <= 80
    assert "a column is 3 min" in ended.stdout


def test_a_longer_time_is_cut_into_longer_columns(hour: Account) -> None:
    found = json.loads(hour.watch("--stage", "prod", "--minutes", "300", "--json").stdout)
    assert (found["period_s"], len(found["columns"]["requests"])) == (300, 60)
    assert found["whole"]["requests"] == 128 + 2  # two of the day before are within
    rates = [one for one in found["columns"]["model_calls_each"] if one is not None]
    assert sum(rates) == pytest.approx(20 * 3 + 20 * 1.5)


def test_a_stage_that_is_not_there_says_what_to_do(hour: Account) -> None:
    ended = hour.watch("--stage", "dev")
    assert ended.returncode == 0, ended.stderr
    advice = re.sub(r"\s+", " ", ended.stdout)
    assert (
        "no endpoint whatbreed-dev in us-east-1: `python -m training deploy --stage dev`" in advice
    )
    assert "log group /aws/lambda/whatbreed-dev" not in advice
    assert "not measured" in ended.stdout


def test_following_ends_with_ctrl_c(hour: Account) -> None:
    command = [sys.executable, "-m", "training", "watch", "--stage", "prod", "--follow", "--json"]
    with process([*command, "--interval", "10"], **hour.environment()) as child:
        deadline = time.monotonic() + 300
        while child.said().count("\n") < 2 and child.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        child.send_signal(signal.SIGINT)
        assert child.wait(60) == 0, child.said()
        looks = [json.loads(text) for text in child.said().splitlines() if text]
    assert len(looks) >= 2
    assert {look["whole"]["requests"] for look in looks} == {128}


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--stage", "none"], 2, "has no stage 'none'"),
        (["--stage", "prod", "--minutes", "0"], 2, "not within 1..1440"),
        (["--stage", "prod", "--minutes", "1441"], 2, "not within 1..1440"),
        (["--stage", "prod", "--interval", "1"], 2, "less than 10"),
        (["--stage", "prod"], 1, "no AWS credentials"),
    ],
)
def test_errors_are_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    told: str,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert training.main(["watch", *arguments]) == code
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("training watch: ")
    assert told in line
