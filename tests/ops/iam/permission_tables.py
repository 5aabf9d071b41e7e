"""The tables of docs/security.md: what each role may do, from the policies that the commands write.

python -m tests.ops.iam.permission_tables      # writes them anew
"""

import os
import re
from collections.abc import Callable
from typing import Any

from aws import role_policies, stages
from aws.account import Account
from ops.iam import github_oidc, policy
from tests.servers import ROOT

PAGE = ROOT / "docs" / "security.md"
BEGIN, END = "<!-- tables of permissions: generated -->", "<!-- end of tables -->"
ACCOUNT, REGION = "123456789012", "eu-central-1"

Make = Callable[[Account], dict[str, Any]]


def _of_stage(make: Callable[[Account, stages.Stage], dict[str, Any]], stage: str) -> Make:
    return lambda account: make(account, stages.read(stage))


ROLES: list[tuple[str, str, Make]] = [
    ("Lambda, dev", "`whatbreed-dev-api_handler`", _of_stage(role_policies.lambda_, "dev")),
    ("Lambda, prod", "`whatbreed-prod-api_handler`", _of_stage(role_policies.lambda_, "prod")),
    (
        "Boundary, prod",
        "no role; `whatbreed-prod-api_handler` and `whatbreed-prod-release`, with which CodeDeploy "
        "moves the traffic, can do no more. The boundary of dev is the table of its Lambda",
        _of_stage(github_oidc.boundary, "prod"),
    ),
    ("Training", "training jobs: `whatbreed-training`", policy.ROLES["training"].policy),
    (
        "Serving",
        "endpoint and Batch Transform: `whatbreed-serving`",
        policy.ROLES["serving"].policy,
    ),
    ("Bare machine", "`python -m training ec2`: `whatbreed-ec2`", policy.ROLES["ec2"].policy),
    ("Image build", "CodeBuild: `whatbreed-codebuild`", policy.ROLES["codebuild"].policy),
    (
        "Pipeline, dev",
        "GitHub's environment dev, or who runs `make deploy STAGE=dev`: `whatbreed-pipeline-dev`",
        _of_stage(github_oidc.policy, "dev"),
    ),
    (
        "Pipeline, prod",
        "GitHub's environment prod, or who runs `make deploy STAGE=prod`: "
        "`whatbreed-pipeline-prod`",
        _of_stage(github_oidc.policy, "prod"),
    ),
    (
        "People who train and keep the endpoint",
        "your user or group: `policy --role deploy`",
        policy.ROLES["deploy"].policy,
    ),
    (
        "People who only watch",
        "your user or group: `policy --role watch`",
        policy.ROLES["watch"].policy,
    ),
]


def render() -> str:
    """All tables, in Markdown."""
    account = Account(AwsSettings.read({"region": REGION}))
    account.id = ACCOUNT
    return "\n\n".join(_table(title, whose, make(account)) for title, whose, make in ROLES)


def written() -> str:
    """The tables that stand in the page."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()


def _table(title: str, whose: str, document: dict[str, Any]) -> str:
    rows = [_row(statement) for statement in document["Statement"]]
    head = ["| May | On | Only if |", "|---|---|---|"]
    return "\n".join([f"**{title}** ({whose})", "", *head, *rows])


def _row(statement: dict[str, Any]) -> str:
    actions: dict[str, list[str]] = {}
    for action in _list(statement["Action"]):
        service, _, name = action.partition(":")
        actions.setdefault(service, []).append(name)
    may = "; ".join(f"{service}: {', '.join(names)}" for service, names in actions.items())
    on = "<br>".join(f"`{_short(one)}`" for one in _list(statement["Resource"]))
    conditions = [
        f"`{key}` is {' or '.join(f'`{_short(one)}`' for one in _list(value))}"
        for keys in statement.get("Condition", {}).values()
        for key, value in keys.items()
    ]
    return f"| {may} | {on} | {'; '.join(conditions)} |"


def _short(text: str) -> str:
    """An ARN without what is the same in all of them."""
    text = text.replace(f"whatbreed-{ACCOUNT}-{REGION}", "BUCKET")
    text = text.replace("arn:aws:", "").replace(f"{REGION}:{ACCOUNT}:", "…:")
    return re.sub(rf"({REGION}|{ACCOUNT})", "…", text)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


if __name__ == "__main__":
    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n\n{render()}\n\n{END}{after}", encoding="utf-8")
