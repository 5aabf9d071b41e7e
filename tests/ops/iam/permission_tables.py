"""The permission tables of docs/security.md, generated from the policies that `ops policy` writes.

python -m tests.ops.iam.permission_tables      # rewrites them
"""

import os
import re
from collections.abc import Callable, Sequence
from typing import Any

from aws import role_policies, stages
from aws.account import Account
from aws.settings import AwsSettings
from ops.iam import api_roles, github_oidc, policy
from tests.servers import ROOT

PAGE = ROOT / "docs" / "security.md"
BEGIN, END = "<!-- tables of permissions: generated -->", "<!-- end of tables -->"
ACCOUNT, REGION = "123456789012", "eu-central-1"

PolicyOf = Callable[[Account], dict[str, Any]]
Row = tuple[str, str, PolicyOf]
"""Title, who has the policy, and the function that makes it."""


def _of_stage(policy_of: Callable[[Account, stages.Stage], dict[str, Any]], stage: str) -> PolicyOf:
    return lambda account: policy_of(account, stages.read(stage))


ROLES: list[Row] = [
    ("Lambda, dev", "`whatbreed-dev-api_handler`", _of_stage(role_policies.lambda_, "dev")),
    ("Lambda, prod", "`whatbreed-prod-api_handler`", _of_stage(role_policies.lambda_, "prod")),
    (
        "CodeDeploy, prod",
        "shifts the traffic: `whatbreed-prod-release`",
        _of_stage(api_roles.traffic_shifting, "prod"),
    ),
    ("Training", "training jobs: `whatbreed-training`", policy.SERVICE_ROLES["training"].policy),
    (
        "Serving",
        "endpoint and Batch Transform: `whatbreed-serving`",
        policy.SERVICE_ROLES["serving"].policy,
    ),
    ("EC2", "`python -m training ec2`: `whatbreed-ec2`", policy.SERVICE_ROLES["ec2"].policy),
    ("Image build", "CodeBuild: `whatbreed-codebuild`", policy.SERVICE_ROLES["codebuild"].policy),
    (
        "Pipeline, dev",
        "GitHub environment dev, or a person who assumes it: `whatbreed-pipeline-dev`",
        _of_stage(github_oidc.policy, "dev"),
    ),
    (
        "Pipeline, prod",
        "GitHub environment prod, or a person who assumes it: `whatbreed-pipeline-prod`",
        _of_stage(github_oidc.policy, "prod"),
    ),
    (
        "People who train the model and operate the endpoint",
        "your group or permission set: `policy --role deploy`",
        policy.operator,
    ),
]


def render(roles: Sequence[Row] = ROLES) -> str:
    """Return the tables in Markdown."""
    account = Account(AwsSettings.read({"region": REGION}))
    account.id = ACCOUNT
    return "\n\n".join(
        _table(title, holder, policy_of(account)) for title, holder, policy_of in roles
    )


def written() -> str:
    """Return the tables of the page."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()


def _table(title: str, holder: str, document: dict[str, Any]) -> str:
    rows = [_row(statement) for statement in document["Statement"]]
    head = ["| Actions | Resources | Conditions |", "|---|---|---|"]
    return "\n".join([f"**{title}** ({holder})", "", *head, *rows])


def _row(statement: dict[str, Any]) -> str:
    actions: dict[str, list[str]] = {}
    for action in _list(statement["Action"]):
        service, _, name = action.partition(":")
        actions.setdefault(service, []).append(name)
    named = "; ".join(f"{service}: {', '.join(names)}" for service, names in actions.items())
    resources = "<br>".join(f"`{_short(arn)}`" for arn in _list(statement["Resource"]))
    conditions = [
        f"`{key}` is {' or '.join(f'`{_short(item)}`' for item in _list(value))}"
        for keys in statement.get("Condition", {}).values()
        for key, value in keys.items()
    ]
    effect = "**denied** " if statement["Effect"] == "Deny" else ""
    return f"| {effect}{named} | {resources} | {'; '.join(conditions)} |"


def _short(text: str) -> str:
    """Shorten an ARN by the parts that are the same in all of them."""
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
