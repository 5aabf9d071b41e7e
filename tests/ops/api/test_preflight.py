"""Chalice's own command line: what cannot succeed is one line that says what to do."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ops.api.project import REGION, change_config, write_policy
from tests.servers import HOST, free_port

AUTORELOAD = pytest.mark.parametrize("autoreload", ["--autoreload", "--no-autoreload"])


def chalice(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Chalice's command line without an AWS that responds."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("chalice")), *arguments],
        cwd=project,
        env={
            **os.environ,
            "AWS_ENDPOINT_URL": f"http://{HOST}:{free_port()}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": REGION,
        },
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize(
    ("command", "stage"),
    [
        (["deploy", "--stage", "dev"], "dev"),
        (["deploy", "--stage", "dev", "--no-autogen-policy"], "dev"),
        (["deploy"], "dev"),
        (["package", "--stage", "prod", "build"], "prod"),
    ],
)
def test_without_a_policy_the_error_names_the_command(
    project: Path, command: list[str], stage: str
) -> None:
    process = chalice(project, *command)
    assert process.returncode == 1
    [line] = process.stderr.splitlines()
    assert f".chalice/policy-{stage}.json" in line
    assert f"`python -m ops policy --stage {stage}`" in line
    assert not (project / "build").exists()


def test_with_the_policy_it_packages(project: Path) -> None:
    write_policy(project, "dev")
    process = chalice(project, "package", "--stage", "dev", "build")
    assert process.returncode == 0, process.stderr
    assert (project / "build" / "sam.json").is_file()


def test_a_stage_that_needs_no_policy_file_packages(project: Path) -> None:
    assert chalice(project, "package", "--stage", "local", "build/local").returncode == 0
    change_config(project, "dev", autogen_policy=True)
    assert chalice(project, "package", "--stage", "dev", "build/dev").returncode == 0


def test_chalices_default_policy_file_is_required_too(project: Path) -> None:
    change_config(project, "dev", iam_policy_file=None)
    process = chalice(project, "package", "--stage", "dev", "build/dev")
    assert ".chalice/policy-dev.json" in process.stderr


def test_lambda_does_not_import_it(project: Path) -> None:
    program = "import sys, app; print('chalicelib.preflight' in sys.modules)"
    environment = {**os.environ, "ENDPOINT_NAME": "whatbreed-dev"}
    environment.pop("AWS_CHALICE_CLI_MODE", None)
    process = subprocess.run(
        [sys.executable, "-c", program],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.stdout == "False\n", process.stderr


@pytest.mark.parametrize("command", [["deploy"], ["package", "build"]])
def test_an_unknown_stage_lists_the_stages(project: Path, command: list[str]) -> None:
    process = chalice(project, *command, "--stage", "test")
    assert process.returncode == 1
    assert process.stderr == UNKNOWN_STAGE


UNKNOWN_STAGE = "Unknown stage 'test'. .chalice/config.json has: local, dev, prod.\n"


@AUTORELOAD
def test_local_with_an_unknown_stage_ends(project: Path, autoreload: str) -> None:
    """With --autoreload, Chalice loads the app in a thread, whose end it does not notice."""
    for stage in (["--stage", "test"], ["--stage=test"]):
        process = chalice(project, "local", *stage, autoreload)
        assert process.stderr == UNKNOWN_STAGE


@AUTORELOAD
def test_local_with_an_invalid_setting_ends(project: Path, autoreload: str) -> None:
    change_config(project, "dev", environment_variables={"ENDPOINT_NAME": "a_b"})
    process = chalice(project, "local", autoreload, "--port", str(free_port()))
    [line] = process.stderr.splitlines()
    assert line.startswith("ENDPOINT_NAME='a_b' is invalid")


@AUTORELOAD
def test_local_with_a_port_in_use_ends(project: Path, autoreload: str) -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = str(listener.getsockname()[1])
        process = chalice(project, "local", autoreload, "--port", port)
    [line] = process.stderr.splitlines()
    assert f"{HOST}:{port}: Address already in use" in line
    assert "--port" in line


@AUTORELOAD
def test_local_needs_no_other_settings(project: Path, tmp_path: Path, autoreload: str) -> None:
    """The stage local without a model server, in a shell that is set up for AWS."""
    shell = {"AWS_PROFILE": "missing", "HTTP_PROXY": "http://127.0.0.1:9", "HOME": str(tmp_path)}
    with chalice_local(project, autoreload, "--stage", "local", **shell) as (address, stderr):
        assert "`make run`" in stderr.read_text()
        assert get(f"{address}/health") == 200
        assert get(f"{address}/health?deep=true") in (200, 503)  # another program may use 8080
    if "The model cannot be reached." in stderr.read_text():
        assert "http://127.0.0.1:8080/endpoints/whatbreed-local" in stderr.read_text()


@AUTORELOAD
def test_local_without_a_stage_names_the_endpoint(
    project: Path, tmp_path: Path, autoreload: str
) -> None:
    shell = {"AWS_PROFILE": "missing", "HOME": str(tmp_path)}
    with chalice_local(project, autoreload, **shell) as (address, stderr):
        [hint] = stderr.read_text().splitlines()[:1]
        assert "whatbreed-dev in AWS" in hint
        assert "`make run`" in hint
        assert get(f"{address}/health?deep=true") == 503
    assert "ProfileNotFound: The config profile (missing) could not be found" in stderr.read_text()


def test_an_unreachable_endpoint_is_explained_in_the_terminal(project: Path) -> None:
    runtime = f"http://{HOST}:{free_port()}"
    aws = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": REGION}
    with chalice_local(
        project, "--no-autoreload", AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME=runtime, **aws
    ) as (address, stderr):
        assert get(f"{address}/health?deep=true") == 503
        [line] = [line for line in stderr.read_text().splitlines() if "model" in line]
    assert line.startswith("The model cannot be reached. EndpointConnectionError: ")
    assert f"{runtime}/endpoints/whatbreed-dev/invocations" in line


@contextmanager
def chalice_local(project: Path, *arguments: str, **environment: str) -> Iterator[tuple[str, Path]]:
    """Run `chalice local` until the block is left; yield its address and the file with stderr."""
    port = free_port()
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BOTO"))
    }
    stderr = project.parent / "stderr"
    command = [str(Path(sys.executable).with_name("chalice")), "local", "--port", str(port)]
    with stderr.open("w") as stream:
        child = subprocess.Popen(
            [*command, *arguments],
            cwd=project,
            env={**clean, **environment},
            stdout=subprocess.DEVNULL,
            stderr=stream,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 60
        while not is_listening(port):
            assert child.poll() is None, stderr.read_text()
            assert time.monotonic() < deadline, stderr.read_text()
            time.sleep(0.05)
        yield f"http://{HOST}:{port}", stderr
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def get(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
