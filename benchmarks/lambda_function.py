"""The Lambda function: start, time added to a call, memory, size.

The unpacked bundle runs in separate processes, in the environment of the stage local. No start
leaves bytecode for the next (`-B`), because /var/task is read-only in Lambda. The reference for the
start is a function that only imports boto3 and creates its client. Starts of both take turns.
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from statistics import median
from typing import Any

from tqdm import tqdm

from benchmarks import images, results, stacks
from benchmarks.processes import HOST, ServerFailed, without_proxies, without_venv
from benchmarks.results import Row
from benchmarks.scale import Scale
from benchmarks.stacks import Stack
from model_code.local import ENDPOINT_NAME, REGION
from ops.api.bundle import package
from ops.loadtest.step import percentile

PART = "lambda"
MAX_ADDED_MS = 4
MAX_MEMORY_MB = 64
MAX_BUNDLE_KB = 300

_CLOCKED = """
import sys, time
sys.path.insert(0, sys.argv[1])
began, spent = time.perf_counter(), time.process_time()
{start}
took = time.perf_counter() - began, time.process_time() - spent
import json
print(json.dumps({{"ms": took[0] * 1000, "cpu_ms": took[1] * 1000}}), file=sys.stderr)
"""
OURS = _CLOCKED.format(start="import app")  # in Lambda, that creates the client too
BOTO3 = _CLOCKED.format(start="import boto3\nboto3.client('sagemaker-runtime')")

HANDLE = """
import json, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import app
image, event = Path(sys.argv[2]).read_bytes(), json.loads(Path(sys.argv[3]).read_text())
calls, compared = int(sys.argv[4]), sys.argv[5] == "compared"

def api():
    response = app.app(event, None)
    assert response["statusCode"] == 200, response

if compared:
    import botocore.session
    client = botocore.session.get_session().create_client("sagemaker-runtime")

def direct():
    client.invoke_endpoint(
        EndpointName=app.config.endpoint_name, Body=image, ContentType="image/jpeg",
        Accept="application/json",
    )["Body"].read()

def clock(work):
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000

api()
pairs = []
for number in range(calls):
    if not compared:
        api()
    elif number % 2:
        pairs.append((clock(api), clock(direct)))
    else:
        pairs.append((clock(direct), clock(api))[::-1])
status = Path("/proc/self/status").read_text()
peak_kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
print(json.dumps({"pairs": pairs, "peak_kb": peak_kb}), file=sys.stderr)
"""
"""Memory is VmHWM, because ru_maxrss starts with the memory of the parent."""


def measure(scale: Scale) -> tuple[list[Row], dict[str, Any]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle_bytes = len(package("local", REGION, folder / "package").archive)
        unpacked = folder / "task"
        zipfile.ZipFile(folder / "package" / "deployment.zip").extractall(unpacked)
        starts = _starts(unpacked, scale.starts)
        calls = _calls(unpacked, folder, scale.calls)
    added_ms = [api - direct for api, direct in calls["pairs"]]
    peak_mb = calls["peak_kb"] * 1024 / 1e6
    ours_ms, boto3_ms = (median(starts[name]) for name in ("ours", "boto3"))
    rows = [
        results.at_most(
            PART, "Lambda start vs. import of boto3 and its client", "ms", ours_ms, boto3_ms, 1
        ),
        results.at_most(
            PART, "Lambda time added to InvokeEndpoint", "ms", median(added_ms), None, MAX_ADDED_MS
        ),
        results.at_most(PART, "Lambda peak memory", "MB", peak_mb, None, MAX_MEMORY_MB),
        results.at_most(PART, "Lambda bundle", "KB", bundle_bytes / 1000, None, MAX_BUNDLE_KB),
    ]
    return rows, {
        "start_ms": {name: round(median(values), 1) for name, values in starts.items()},
        "api_ms": round(median(api for api, _ in calls["pairs"]), 2),
        "direct_ms": round(median(direct for _, direct in calls["pairs"]), 2),
        "added_ms": {
            "p50": round(median(added_ms), 2),
            "p90": round(percentile(added_ms, 90), 2),
        },
        "peak_mb": round(peak_mb, 1),
        "bundle_bytes": bundle_bytes,
    }


def _starts(unpacked: Path, times: int) -> dict[str, list[float]]:
    """Milliseconds from the import to a client, `times` each, in turn."""
    times_ms: dict[str, list[float]] = {}
    for _ in tqdm(range(times), desc="lambda", unit="start", disable=None):
        for name, program in (("ours", OURS), ("boto3", BOTO3)):
            start = _run(program, str(unpacked))
            times_ms.setdefault(name, []).append(start["ms"])
            times_ms.setdefault(f"{name}, CPU", []).append(start["cpu_ms"])
    return times_ms


def _calls(unpacked: Path, folder: Path, times: int) -> dict[str, Any]:
    """Pairs of milliseconds (API, direct), and the peak memory in KiB without the direct client."""
    jpeg = images.payloads(stacks.IMAGES)[0]
    (folder / "image.jpg").write_bytes(jpeg)
    (folder / "event.json").write_text(json.dumps(event(jpeg)))
    arguments = [str(unpacked), str(folder / "image.jpg"), str(folder / "event.json"), str(times)]
    runtime = Stack(
        "local endpoint",
        [sys.executable, "-m", "model_code.local", "--host", HOST, "--port"],
        path=f"/endpoints/{ENDPOINT_NAME}/invocations",
    )
    with stacks.started(runtime) as server:
        address = f"http://{HOST}:{server.port}"
        compared = _run(HANDLE, *arguments, "compared", runtime=address)
        alone = _run(HANDLE, *arguments, "alone", runtime=address)
    return {"pairs": compared["pairs"], "peak_kb": alone["peak_kb"]}


def event(jpeg: bytes) -> dict[str, Any]:
    """Return the event of API Gateway's REST API for POST /predict with a JPEG."""
    return {
        "resource": "/predict",
        "path": "/predict",
        "httpMethod": "POST",
        "headers": {"Accept": "*/*", "Content-Type": "image/jpeg"},
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "resourcePath": "/predict",
            "httpMethod": "POST",
            "requestId": "benchmark",
        },
        "body": base64.b64encode(jpeg).decode(),
        "isBase64Encoded": True,
    }


def _run(program: str, *arguments: str, runtime: str = f"http://{HOST}:9") -> Any:
    """The JSON that `program` wrote to stderr. Its stdout is the function's log."""
    environment = {
        "ENDPOINT_NAME": ENDPOINT_NAME,
        "AWS_LAMBDA_FUNCTION_NAME": "whatbreed-benchmark",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": runtime,
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    completed = subprocess.run(
        [sys.executable, "-I", "-B", "-c", program, *arguments],
        env=without_proxies(without_venv(inherited)) | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if completed.returncode:
        raise ServerFailed(f"the function failed: {completed.stderr[-2000:]}")
    return json.loads(completed.stderr)
