"""Corrections to moto's CloudFormation, for the lifetime of the process.

moto accepts a SAM template and creates nothing: SAM's own code transforms it first. The resource
types of the prod stack that moto lacks are added. Aliases, stages and keys are created in moto's
Lambda and API Gateway, so tests can read them; alarms and CodeDeploy's resources only exist in the
stack.
"""

import copy
import json
from typing import Any

from moto.apigateway.models import RestAPI, apigateway_backends
from moto.awslambda.models import LambdaVersion, Permission, lambda_backends
from moto.cloudformation import models as cloudformation
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.parsing import OutputMap, parse_and_update_resource
from moto.core.common_models import CloudFormationModel

from tests.aws_rules.lambda_ import check_provisioned

_parse_template = cloudformation.ChangeSet._parse_template
_apply = cloudformation.ChangeSet.apply


def transform(template: dict[str, Any], region: str) -> dict[str, Any]:
    """Return the CloudFormation template that AWS's transform makes of a SAM template."""
    # Only release tests need SAM's packages, which import slowly.
    import boto3
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator

    session = boto3.Session(region_name=region)
    translator = Translator({}, Parser(), boto_session=session)
    transformed: dict[str, Any] = translator.translate(copy.deepcopy(template), {})
    return transformed


def correct() -> None:
    """Apply the corrections."""
    models: dict[str, Any] = {
        "AWS::Lambda::Alias": _Alias,
        "AWS::ApiGateway::Stage": _Stage,
        "AWS::ApiGateway::ApiKey": _ApiKey,
        "AWS::ApiGateway::UsagePlan": _UsagePlan,
        "AWS::ApiGateway::UsagePlanKey": _UsagePlanKey,
        "AWS::ApiGateway::GatewayResponse": _Resource,
        "AWS::CloudWatch::Alarm": _Resource,
        "AWS::CodeDeploy::Application": _Resource,
        "AWS::CodeDeploy::DeploymentGroup": _Resource,
    }
    for kind, model in models.items():
        _register(kind, model)
    _correct_versions()
    _correct_apis()
    _correct_permissions()
    cloudformation.ChangeSet._parse_template = parse_template  # type: ignore[method-assign]
    cloudformation.ChangeSet.apply = apply  # type: ignore[method-assign]


def parse_template(self: Any) -> None:
    _parse_template(self)
    if "Transform" in self.template_dict:
        self.template_dict = transform(self.template_dict, self.stack.region_name)


def apply(self: Any) -> None:
    """Update functions first: moto adds new versions before it changes the function's code."""
    stack = self.stack
    for name, resource in self.template_dict["Resources"].items():
        if (
            resource["Type"] == "AWS::Lambda::Function"
            and name in stack.resource_map._parsed_resources
        ):
            parse_and_update_resource(
                name, resource, stack.resource_map, stack.account_id, stack.region_name
            )
    _apply(self)
    stack.output_map = OutputMap(stack.resource_map, self.template_dict, self.stack_id)


class _Resource(CloudFormationModel):
    """A resource that only exists in its stack. Subclasses implement `make` and `unmake`."""

    def __init__(self, properties: dict[str, Any], name: str, account: str, region: str) -> None:
        self.properties = properties
        self.physical = name
        self.make(account, region)

    def make(self, account: str, region: str) -> None:
        pass

    def unmake(self, account: str, region: str) -> None:
        pass

    @property
    def physical_resource_id(self) -> str:
        return self.physical

    def get_cfn_attribute(self, attribute_name: str) -> str:
        return f"{self.physical}.{attribute_name}"

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
        **_: Any,
    ) -> "_Resource":
        return cls(cloudformation_json["Properties"], resource_name, account_id, region_name)

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: "_Resource",
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> "_Resource":
        original_resource.properties = cloudformation_json["Properties"]
        original_resource.make(account_id, region_name)
        return original_resource

    def delete(self, account_id: str, region_name: str) -> None:
        self.unmake(account_id, region_name)


class _Alias(_Resource):
    def make(self, account: str, region: str) -> None:
        backend, properties = lambda_backends[account][region], self.properties
        name, function = properties["Name"], properties["FunctionName"]
        provision = properties.get("ProvisionedConcurrencyConfig", {})
        provisioned = int(provision.get("ProvisionedConcurrentExecutions", 0))
        # that of the old version stays until all traffic has shifted
        needed = provisioned + getattr(self, "provisioned", 0)
        check_provisioned(needed, backend.get_function(function).reserved_concurrency)
        self.provisioned = provisioned
        values: Any = (name, function, properties["FunctionVersion"], "", None)
        try:
            alias = backend.create_alias(*values)
        except Exception:
            alias = backend.update_alias(*values)
        self.physical = alias.arn


class _Stage(_Resource):
    def make(self, account: str, region: str) -> None:
        properties = self.properties
        self.physical = properties["StageName"]
        apigateway_backends[account][region].create_stage(
            properties["RestApiId"],
            properties["StageName"],
            properties["DeploymentId"],
            {},
            "",
            False,
            "",
            {},
            False,
        )


class _ApiKey(_Resource):
    def make(self, account: str, region: str) -> None:
        payload = {"name": self.properties["Name"], "enabled": True}
        key = apigateway_backends[account][region].create_api_key(payload)
        self.physical = key.id

    def unmake(self, account: str, region: str) -> None:
        apigateway_backends[account][region].delete_api_key(self.physical)


class _UsagePlan(_Resource):
    def make(self, account: str, region: str) -> None:
        properties = self.properties
        stages = [
            {"apiId": stage["ApiId"], "stage": stage["Stage"]} for stage in properties["ApiStages"]
        ]
        throttle = properties["Throttle"]
        payload = {
            "name": properties["UsagePlanName"],
            "apiStages": stages,
            "throttle": {
                "rateLimit": throttle["RateLimit"],
                "burstLimit": throttle["BurstLimit"],
            },
        }
        self.physical = apigateway_backends[account][region].create_usage_plan(payload).id

    def unmake(self, account: str, region: str) -> None:
        apigateway_backends[account][region].delete_usage_plan(self.physical)


class _UsagePlanKey(_Resource):
    def make(self, account: str, region: str) -> None:
        payload = {"keyId": self.properties["KeyId"], "keyType": "API_KEY"}
        apigateway_backends[account][region].create_usage_plan_key(
            self.properties["UsagePlanId"], payload
        )


def _register(kind: str, model: type[_Resource]) -> None:
    # moto only finds direct subclasses of CloudFormationModel, so all members are copied into one.
    members: dict[str, Any] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, _Resource):
            members |= vars(base)
    for name in ("__dict__", "__weakref__", "__abstractmethods__", "_abc_impl"):
        members.pop(name, None)
    members["cloudformation_type"] = staticmethod(lambda: kind)
    type(kind.replace(":", "_"), (CloudFormationModel,), members)


def _correct_versions() -> None:
    LambdaVersion.get_cfn_attribute = lambda self, name: str(self.version)  # type: ignore
    LambdaVersion.physical_resource_id = property(lambda self: str(self.version))  # type: ignore
    LambdaVersion.delete = lambda *_: None  # type: ignore  # DeletionPolicy: Retain
    create = LambdaVersion.create_from_cloudformation_json.__func__  # type: ignore[attr-defined]

    def created(
        cls: Any, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str,
        **kwargs: Any,
    ) -> Any:  # fmt: skip
        properties = cloudformation_json["Properties"]
        function = lambda_backends[account_id][region_name].get_function(properties["FunctionName"])
        expected = properties.get("CodeSha256", function.code_sha_256)
        if function.code_sha_256 != expected:
            raise ValidationError(message=f"CodeSHA256 ({expected}) is different from $LATEST's")
        return create(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs)

    LambdaVersion.create_from_cloudformation_json = classmethod(created)  # type: ignore


def _correct_apis() -> None:
    """Create an API's routes from its Body, and delete the API with its stack."""
    create = RestAPI.create_from_cloudformation_json.__func__  # type: ignore[attr-defined]

    def fill(api: Any, properties: Any, account: str, region: str) -> Any:
        backend = apigateway_backends[account][region]
        backend.put_rest_api(api.id, properties["Body"], False, mode="overwrite")
        return api

    def created(
        cls: Any, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str,
        **kwargs: Any,
    ) -> Any:  # fmt: skip
        api = create(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs)
        return fill(api, cloudformation_json["Properties"], account_id, region_name)

    def updated(
        cls: Any, original_resource: Any, new_resource_name: str, cloudformation_json: Any,
        account_id: str, region_name: str,
    ) -> Any:  # fmt: skip
        return fill(original_resource, cloudformation_json["Properties"], account_id, region_name)

    def delete(self: Any, account_id: str, region_name: str) -> None:
        apigateway_backends[account_id][region_name].delete_rest_api(self.id)

    RestAPI.delete = delete  # type: ignore
    RestAPI.create_from_cloudformation_json = classmethod(created)  # type: ignore
    RestAPI.update_from_cloudformation_json = classmethod(updated)  # type: ignore


def _correct_permissions() -> None:
    """Accept a permission for an alias: moto looks for a function of that name."""

    def created(
        cls: Any, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str,
        **_: Any,
    ) -> Any:  # fmt: skip
        properties = cloudformation_json["Properties"]
        name = properties["FunctionName"].split(":function:")[-1].split(":")[0]
        function = lambda_backends[account_id][region_name].get_function(name)
        function.policy.add_statement(raw=json.dumps(properties))
        return cls(region=region_name)

    Permission.create_from_cloudformation_json = classmethod(created)  # type: ignore
