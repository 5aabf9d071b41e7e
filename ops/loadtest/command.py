"""Measure the highest rate that one instance or the whole API can take.

For an instance, the scaling target is derived. For the API (--api), the bottleneck is named: its
own concurrency or the endpoint. The API fetches photos from a server that this command starts; a
deployed API cannot reach it and needs --photo-url, --photo-list or --upload.

Requests are due at scheduled times and latency counts from then, so that a slow server cannot hide
behind the requests that it delayed. The rate increases in steps until p99 exceeds its limit or a
request fails. The result is the highest rate that passed. Test one instance with autoscaling off,
or pass --instances. In AWS every request costs money; a deployed API is tested after confirmation.

example:
  python -m ops loadtest --url http://127.0.0.1:8080 --p99-ms 250 --chart loadtest.png
  python -m ops loadtest --stage dev --images photos/test --json > loadtest.json
  python -m ops loadtest --api http://127.0.0.1:8000
  API_KEY=… python -m ops loadtest --api https://api.example.com --upload --max-rate 20
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from ops.loadtest import api as whole_api
from ops.loadtest import bottleneck, images
from ops.loadtest.api import Api
from ops.loadtest.bottleneck import StageTimes
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
@click.option("--api", "api_url", metavar="URL", help="API: http://127.0.0.1:8000, or deployed.")
@click.option("--upload", is_flag=True, help="With --api: send the images instead of URLs.")
@click.option(
    "--photo-url", "photo_urls", multiple=True, metavar="URL", help="With --api; repeatable."
)
@click.option(
    "--photo-list",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --api: file with a photo URL per line.",
)
@click.option("--api-key", envvar="API_KEY", default="", help="With --api. Default: API_KEY.")
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
@commands.yes_option
@commands.dry_run_option
@accounts.options(LoadTestSettings)
def command(
    account: Account,
    loadtest: LoadTestSettings,
    url: str | None,
    stage: str | None,
    endpoint: str | None,
    api_url: str | None,
    upload: bool,
    photo_urls: Sequence[str],
    photo_list: Path | None,
    api_key: str,
    instances: int,
    image_paths: Sequence[Path],
    chart_path: Path | None,
    as_json: bool,
    yes: bool,
    dry_run: bool,
) -> None:
    if [url, stage, endpoint, api_url].count(None) != 3:
        raise SettingsError("Give exactly one of --url, --stage, --endpoint and --api.")
    if stage:
        endpoint = stages.read(stage).endpoint
    photo_urls = whole_api.read_photo_urls(photo_urls, photo_list)
    if (photo_urls or upload) and not api_url:
        raise SettingsError("--photo-url, --photo-list and --upload require --api.")
    if photo_urls and upload:
        raise SettingsError("--upload excludes --photo-url and --photo-list.")
    target: Target
    if api_url:
        target = Api(api_url, loadtest.timeout_s, api_key)
    elif endpoint:
        target = Endpoint(account, endpoint, loadtest.connections, loadtest.timeout_s)
    else:
        target = LocalServer(url or "", loadtest.timeout_s)
    with _payloads(target, images.read(image_paths), upload, photo_urls) as payloads:
        if dry_run:
            print(f"Would send {whole_api.plan(target, loadtest)}.")
            return
        if isinstance(target, Api):
            whole_api.confirm(target, loadtest, yes)
        _send_one(target, payloads[0])
        # with --json, stdout has nothing else
        out = sys.stderr if as_json else sys.stdout
        result, times = _search(target, payloads, loadtest, out)
    if chart_path:
        from ops.loadtest import chart  # matplotlib takes half a second to import

        chart.draw(chart_path, result, loadtest.p99_ms)
        print(f"Chart: {chart_path}", file=out)
    if isinstance(target, Api):
        report = bottleneck.report(result, times, loadtest, target.is_local)
        if as_json:
            print(json.dumps(report, indent=2))
        print(bottleneck.text(report), file=out)
        _require_a_rate(result, loadtest)
        return
    if as_json:
        print(json.dumps(document(result, instances, loadtest), indent=2))
    print(conclusion(result, instances, stage, loadtest), file=out)


@contextmanager
def _payloads(
    target: Target, payloads: list[Image], upload: bool, photo_urls: Sequence[str]
) -> Iterator[list[Image]]:
    if isinstance(target, Api):
        with whole_api.requests(target, payloads, upload, photo_urls) as bodies:
            yield bodies
    else:
        yield payloads


def _send_one(target: Target, image: Image) -> None:
    """Raise LoadTestFailed if a single request fails, before thousands are sent."""
    with target.connect() as send:
        try:
            send(image)
        except RequestFailed as failure:
            cause = failure.__cause__
            reason = accounts.explain(cause) if isinstance(cause, Exception) else str(failure)
            if reason == ConnectionRefusedError.__name__:
                reason = "nothing listens there. `make run` starts the API and a model server."
            raise LoadTestFailed(f"{target.name} does not classify an image: {reason}") from None


def _search(
    target: Target, payloads: Sequence[Image], loadtest: LoadTestSettings, out: TextIO
) -> tuple[Search, list[dict[str, float]]]:
    """Return the result, and for the API the median times of each step by part."""
    times: list[dict[str, float]] = []

    def send(rate: float, duration_s: float, stage_times: StageTimes) -> Step:
        due_s = schedule(rate, duration_s, loadtest.arrivals, loadtest.seed)
        with tqdm(total=len(due_s), desc=f"{rate:g}/s", leave=False, disable=None) as bar:

            def done(body: bytes | None) -> None:
                bar.update()
                if isinstance(target, Api):
                    stage_times.add(body)

            recording = open_loop(
                target,
                payloads,
                due_s,
                loadtest.connections,
                give_up_s=loadtest.timeout_s,
                on_done=done,
            )
        return summarize(rate, recording, loadtest.settle_s, loadtest.p99_ms)

    def measure(rate: float) -> Step:
        stage_times = StageTimes()
        step = send(rate, loadtest.settle_s + loadtest.step_s, stage_times)
        times.append(stage_times.medians(step))
        tqdm.write(_row(step), file=out)
        return step

    tqdm.write(f"{target.name}: warm-up, {loadtest.warm_up_s:g} s", file=out)
    send(loadtest.start_rate, loadtest.warm_up_s, StageTimes())
    tqdm.write(_HEADING, file=out)
    return search(measure, loadtest), times


_HEADING = "     rate  answered     p50     p90     p95     p99 ms  failed   late  verdict"


def _row(step: Step) -> str:
    verdict = "passed" if step.passed else "failed"
    if step.failed:
        verdict += f": {step.describe_errors()}"
    if step.generator_limited:
        verdict += " (the load generator was too slow)"
    return (
        f"{step.rate:9.1f} {step.answered_rate:9.1f} {step.p50_ms:7.1f} {step.p90_ms:7.1f} "
        f"{step.p95_ms:7.1f} {step.p99_ms:10.1f} {step.failed:7d} {step.late_p99_ms:6.1f}  "
        f"{verdict}"
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
    rate = _require_a_rate(result, loadtest).rate / instances
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


def _require_a_rate(result: Search, loadtest: LoadTestSettings) -> Step:
    """Return the best step. Raise LoadTestFailed if no rate passed."""
    if result.best:
        return result.best
    if not result.steps:
        raise LoadTestFailed(f"No rate was measured: {result.end_reason}.")
    first = result.steps[0]
    slow = f"p99 was {first.p99_ms:.0f} ms, above {loadtest.p99_ms:g}"
    raise LoadTestFailed(
        f"The first rate, {first.rate:g} per second, failed: "
        f"{first.describe_errors() or slow}. Lower --start-rate."
    )
