"""The calls that CloudFormation makes for each resource type of our templates.

They are facts of the public resource schemas, kept in handler_permissions.json.
`python -m tests.aws_rules.handler_permissions` updates it from the schemas that cfn-lint contains.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resource-type-schemas.html
"""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_suffix(".json")
TYPES = (
    "AWS::ApiGateway::ApiKey",
    "AWS::ApiGateway::Deployment",
    "AWS::ApiGateway::GatewayResponse",
    "AWS::ApiGateway::RestApi",
    "AWS::ApiGateway::Stage",
    "AWS::ApiGateway::UsagePlan",
    "AWS::ApiGateway::UsagePlanKey",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::CodeDeploy::Application",
    "AWS::CodeDeploy::DeploymentGroup",
    "AWS::IAM::Role",
    "AWS::Lambda::Alias",
    "AWS::Lambda::Function",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Version",
    "AWS::Logs::LogGroup",
    "AWS::SNS::Topic",
)


def permissions() -> dict[str, dict[str, list[str]]]:
    """Return the actions by resource type and handler; `tagging` is one of the handlers."""
    types: dict[str, dict[str, list[str]]] = json.loads(FILE.read_text())["types"]
    return types


def of_cfn_lint() -> dict[str, Any]:
    """Return the document that the schemas of cfn-lint give."""
    data = files("cfnlint") / "data" / "schemas"
    date = json.loads((data / "version.json").read_text())["schema_date"]
    types = {}
    for path in (data / "resources").iterdir():
        schema = json.loads(path.read_text())
        if schema.get("typeName") in TYPES:
            handlers = {name: each["permissions"] for name, each in schema["handlers"].items()}
            tagging = schema.get("tagging", {}).get("permissions", [])
            actions = {**handlers, **({"tagging": tagging} if tagging else {})}
            types[schema["typeName"]] = {name: sorted(set(each)) for name, each in actions.items()}
    return {"date": date[:10], "types": {name: types[name] for name in sorted(types)}}


if __name__ == "__main__":
    FILE.write_text(json.dumps(of_cfn_lint(), indent=1) + "\n")
