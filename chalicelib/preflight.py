"""Checks before `chalice deploy` and `chalice package`, with a one-line error.

`app.py` imports this module only under Chalice's command line, never in Lambda.
"""

import json
import sys
from pathlib import Path

_COMMANDS = ("deploy", "package")


def check() -> None:
    """Raise `SystemExit` if the stage's IAM policy file is missing."""
    # Chalice does not pass its command and stage to the app, but click has them.
    context = sys.modules["click"].get_current_context(silent=True)
    if context is None or context.info_name not in _COMMANDS:
        return
    if context.params.get("autogen_policy"):  # an option of `deploy`
        return
    missing = missing_policy(Path(context.obj["project_dir"]), context.params["stage"])
    if missing:
        raise SystemExit(missing)


def missing_policy(project: Path, stage: str) -> str:
    """Return an error message if the stage's policy file is missing, or else ""."""
    config = json.loads((project / ".chalice" / "config.json").read_text(encoding="utf-8"))
    # A stage's own values override those for all stages (Chalice's configfile docs).
    values = {**config, **config.get("stages", {}).get(stage, {})}
    name = values.get("iam_policy_file", f"policy-{stage}.json")
    if values.get("autogen_policy", True) or (project / ".chalice" / name).is_file():
        return ""
    return f".chalice/{name} is missing. Create it with `python -m ops policy --stage {stage}`."
