"""Checks before Chalice's commands, with a one-line error, and hints for `chalice local`.

`app.py` imports this module only under Chalice's command line, never in Lambda.
"""

import argparse
import json
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from chalicelib import settings
from chalicelib.local_environment import MODEL_URL, URL_VARIABLES, local_environment
from chalicelib.problems import Problem

_LOCAL_STAGE = "local"


def check() -> None:
    """Exit if the command cannot succeed. Prepare the environment of `chalice local`."""
    command, options = _command_line()
    if "stage" not in options:
        return
    project, stage = Path.cwd(), options["stage"]  # Chalice has changed to the project's folder
    error = _unknown_stage(project, stage)
    if not error and command in ("deploy", "package") and not options.get("autogen_policy"):
        error = missing_policy(project, stage)
    if not error and command == "local":
        error = _invalid_settings() or _port_in_use(options["host"], options["port"])
    if error:
        _exit(error)
    if command == "local" and not any(os.environ.get(name) for name in URL_VARIABLES):
        _choose_model(stage)


def explain(problem: Problem, error: Exception) -> None:
    """Write why the endpoint failed to the terminal: the log line has only the error's type."""
    message = " ".join(str(error).split())
    _write(f"{problem.detail} {type(error).__name__}: {message}")


def missing_policy(project: Path, stage: str) -> str:
    """Return an error message if the stage's policy file is missing, or else ""."""
    config = _config(project)
    # A stage's own values override those for all stages (Chalice's configfile docs).
    values = {**config, **config.get("stages", {}).get(stage, {})}
    name = values.get("iam_policy_file", f"policy-{stage}.json")
    if values.get("autogen_policy", True) or (project / ".chalice" / name).is_file():
        return ""
    return f".chalice/{name} is missing. Create it with `python -m ops policy --stage {stage}`."


def _command_line() -> tuple[str, dict[str, Any]]:
    """Return Chalice's command and its options. Chalice does not pass them to the app."""
    context = sys.modules["click"].get_current_context(silent=True)
    if context is not None:
        return context.info_name, context.params
    if threading.current_thread() is threading.main_thread():
        return "", {}
    # Only `chalice local` loads the app in a thread. click's context belongs to the main thread.
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--stage", default="dev")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", default=8000, type=int)
    return "local", vars(parser.parse_known_args()[0])


def _unknown_stage(project: Path, stage: str) -> str:
    stages = _config(project).get("stages", {})
    if stage in stages:
        return ""
    return f"Unknown stage {stage!r}. .chalice/config.json has: {', '.join(stages)}."


def _config(project: Path) -> dict[str, Any]:
    text = (project / ".chalice" / "config.json").read_text(encoding="utf-8")
    config: dict[str, Any] = json.loads(text)
    return config


def _invalid_settings() -> str:
    try:
        settings.load(os.environ)
    except settings.SettingsError as error:
        return str(error)
    return ""


def _port_in_use(host: str, port: int) -> str:
    try:
        socket.create_server((host, port)).close()  # sets SO_REUSEADDR, as Chalice does
    except OSError as error:
        return f"The API cannot listen on {host}:{port}: {error.strerror}. Try --port 9000."
    return ""


def _exit(message: str) -> None:
    if threading.current_thread() is threading.main_thread():
        raise SystemExit(message)
    _write(message)
    os._exit(1)  # SystemExit would end only this thread, and Chalice would wait for changes


def _choose_model(stage: str) -> None:
    """Use the local model server for the stage local. Print which model the API uses."""
    if stage == _LOCAL_STAGE:
        environment = local_environment(os.environ, MODEL_URL)
        os.environ.clear()
        os.environ.update(environment)
        hint = (
            f"The API expects the model at {MODEL_URL}. Use `make run`, which starts both, or run "
            "`pip install -r locks/run.txt && python -m model_code.local` in a second terminal."
        )
    else:
        hint = (
            f"The API invokes the endpoint {os.environ['ENDPOINT_NAME']} in AWS. To use the model "
            "without AWS, run `make run` instead."
        )
    _write(hint)


def _write(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
