"""Measure the highest rate that one instance can take, and derive the scaling target.

Requests are due at scheduled times and latency counts from then, so that a slow server cannot hide
behind the requests that it delayed. The rate increases in steps until p99 exceeds its limit or a
request fails. The result is the highest rate that passed. Test one instance with autoscaling off,
or pass --instances. In AWS every request costs money.

example:
  python -m ops loadtest --url http://127.0.0.1:8080 --p99-ms 250 --chart loadtest.png
  python -m ops loadtest --stage dev --images photos/test --json > loadtest.json
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import click
from tqdm import tqdm

from aws import account as accounts
from aws import stages
from aws.account import Account
from cli import commands
from cli.errors import SettingsError
from ops.errors import LoadTestFailed
from ops.loadtest import images
from ops.loadtest.generator import open_loop, schedule
from ops.loadtest.images import Image
from ops.loadtest.search import Search, search
from ops.loadtest.settings import LoadTestSettings
from ops.loadtest.step import Step, summarize
from ops.loadtest.target import Endpoint, LocalServer, RequestFailed, Target


@commands.command(__doc__)
@click.option("--url", help="Model server on this machine: http://127.0.0.1:8080.")
@click.option("--stage", help="Endpoint of this stage of .chalice/config.json.")
@click.option("--endpoint", metavar="NAME", help="SageMaker endpoint by name.")
@click.option(
    "--instances",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Instances behind the endpoint.",
)
@click.option(
    "--images",
    "--photos",
    "image_paths",
    type=click.Path(path_type=Path),
    multiple=True,
    help="File or folder to send instead of the sample; repeatable.",
)
@click.option("--chart", "chart_path", type=Path, metavar="PNG", help="Draw latency by rate.")
@commands.json_option
@commands.dry_run_option
@accounts.options(LoadTestSettings)
def command(
    account: Account,
    loadtest: LoadTestSettings,
    url: str | None,
    stage: str | None,
    endpoint: str | None,
    instances: int,
    image_paths: Sequence[Path],
    chart_path: Path | None,
    as_json: bool,
    dry_run: bool,
) -> None:
    if [url, stage, endpoint].count(None) != 2:
        raise SettingsError("Give exactly one of --url, --stage and --endpoint.")
    if stage:
        endpoint = stages.read(stage).endpoint
    target: Target
    if endpoint:
        target = Endpoint(account, endpoint, loadtest.connections, loadtest.timeout_s)
    else:
        target = LocalServer(url or "", loadtest.timeout_s)
    payloads = images.read(image_paths)
    if dry_run:
        print(
            f"Would send at most {loadtest.max_requests} requests to {target.name} within "
            f"{loadtest.max_seconds:g} s, from {loadtest.start_rate:g} to at most "
            f"{loadtest.max_rate:g} per second."
        )
        return
    _send_one(target, payloads[0])
    # with --json, stdout has nothing else
    out = sys.stderr if as_json else sys.stdout
    result = _search(target, payloads, loadtest, out)
    if chart_path:
        from ops.loadtest import chart  # matplotlib takes half a second to import

        chart.draw(chart_path, result, loadtest.p99_ms)
        print(f"Chart: {chart_path}", file=out)
    if as_json:
        print(json.dumps(document(result, instances, loadtest), indent=2))
    print(conclusion(result, instances, stage, loadtest), file=out)


def _send_one(target: Target, image: Image) -> None:
    """Raise LoadTestFailed if a single request fails, before thousands are sent."""
    with target.connect() as send:
        try:
            send(image)
        except RequestFailed as failure:
            cause = failure.__cause__
            reason = accounts.explain(cause) if isinstance(cause, Exception) else str(failure)
            raise LoadTestFailed(f"{target.name} does not classify an image: {reason}") from None


def _search(
    target: Target, payloads: Sequence[Image], loadtest: LoadTestSettings, out: TextIO
) -> Search:
    def send(rate: float, duration_s: float) -> Step:
        due_s = schedule(rate, duration_s, loadtest.arrivals, loadtest.seed)
        with tqdm(total=len(due_s), desc=f"{rate:g}/s", leave=False, disable=None) as bar:
            recording = open_loop(
                target,
                payloads,
                due_s,
                loadtest.connections,
                give_up_s=loadtest.timeout_s,
                on_done=lambda body: bar.update(),
            )
        return summarize(rate, recording, loadtest.settle_s, loadtest.p99_ms)

    def measure(rate: float) -> Step:
        step = send(rate, loadtest.settle_s + loadtest.step_s)
        tqdm.write(_row(step), file=out)
        return step

    tqdm.write(f"{target.name}: warm-up, {loadtest.warm_up_s:g} s", file=out)
    send(loadtest.start_rate, loadtest.warm_up_s)
    tqdm.write(_HEADING, file=out)
    return search(measure, loadtest)


_HEADING = "     rate  answered     p50     p90     p99 ms  failed   late  verdict"


def _row(step: Step) -> str:
    verdict = "passed" if step.passed else "failed"
    if step.failed:
        verdict += f": {step.describe_errors()}"
    if step.generator_limited:
        verdict += " (the load generator was too slow)"
    return (
        f"{step.rate:9.1f} {step.answered_rate:9.1f} {step.p50_ms:7.1f} {step.p90_ms:7.1f} "
        f"{step.p99_ms:10.1f} {step.failed:7d} {step.late_p99_ms:6.1f}  {verdict}"
    )


def document(result: Search, instances: int, loadtest: LoadTestSettings) -> dict[str, Any]:
    """Return what `--json` prints: rates in requests per second, times in milliseconds."""
    best = result.best
    rate = best.rate / instances if best else None
    return {
        "p99_limit_ms": loadtest.p99_ms,
        "arrivals": loadtest.arrivals,
        "instances": instances,
        "rate": best and best.rate,
        "rate_per_instance": rate,
        "target_per_minute": rate and loadtest.target_per_minute(rate),
        "end_reason": result.end_reason,
        "generator_limited": result.generator_limited,
        "steps": [asdict(step) for step in result.steps],
    }


def conclusion(
    result: Search, instances: int, stage: str | None, loadtest: LoadTestSettings
) -> str:
    """Return the result and the commands that use it. Raise LoadTestFailed if no rate passed."""
    if not result.steps:
        raise LoadTestFailed(f"No rate was measured: {result.end_reason}.")
    if result.best is None:
        first = result.steps[0]
        slow = f"p99 was {first.p99_ms:.0f} ms, above {loadtest.p99_ms:g}"
        raise LoadTestFailed(
            f"The first rate, {first.rate:g} per second, failed: "
            f"{first.describe_errors() or slow}. Lower --start-rate."
        )
    rate = result.best.rate / instances
    target = f"{loadtest.target_per_minute(rate):.0f}"
    lines = [
        f"{rate:.1f} requests per second and instance keep p99 within {loadtest.p99_ms:g} ms "
        f"without a failure ({result.end_reason}).",
        f"Scaling target: {rate:.1f} x {loadtest.safety:g} x 60 = {target} "
        "invocations per minute and instance",
        f"  python -m ops endpoint scale --stage {stage or 'STAGE'} --target-per-minute {target}",
        f"  python -m ops costs --rate-per-instance {rate:.1f} --target-per-minute {target}",
    ]
    if result.generator_limited:
        lines.append(
            "The load generator was too slow at the rate that failed, so the endpoint may take "
            "more. Run the test on a machine of its own."
        )
    return "\n".join(lines)
