"""What `chalice deploy` and `chalice package` need, in one line where Chalice takes fifty.

`app.py` imports this where Chalice's command line imports it, and nowhere else: never in Lambda.
"""

import json
import sys
from pathlib import Path

_COMMANDS = ("deploy", "package")


def check() -> None:
    """Raise `SystemExit`, with the line for the terminal, where the stage's policy is missing."""
    # Chalice tells the app neither command nor stage; its click, loaded by then, knows both.
    context = sys.modules["click"].get_current_context(silent=True)
    if context is None or context.info_name not in _COMMANDS:
        return
    if context.params.get("autogen_policy"):  # an option of `deploy`
        return
    missing = missing_policy(Path(context.obj["project_dir"]), context.params["stage"])
    if missing:
        raise SystemExit(missing)


def missing_policy(project: Path, stage: str) -> str:
    """How to make the policy that the stage's function is to have; empty where it is there."""
    config = json.loads((project / ".chalice" / "config.json").read_text(encoding="utf-8"))
    # A stage's own value goes before one that stands for all stages (Chalice's configfile docs).
    values = {**config, **config.get("stages", {}).get(stage, {})}
    name = values.get("iam_policy_file", f"policy-{stage}.json")
    if values.get("autogen_policy", True) or (project / ".chalice" / name).is_file():
        return ""
    return f".chalice/{name} is missing: make it with `python -m training policy --stage {stage}`"
