"""The resource types of the prod stack that moto's CloudFormation does not know.

Aliases, stages and keys are made in moto's own Lambda and API Gateway, so that a test can ask for
them; alarms and CodeDeploy's resources are only noted.
"""

import json
from typing import Any

from moto.apigateway.models import RestAPI, apigateway_backends
from moto.awslambda.models import LambdaVersion, Permission, lambda_backends
from moto.cloudformation import models as cloudformation
from moto.cloudformation.parsing import OutputMap, parse_and_update_resource
from moto.core.common_models import CloudFormationModel

NOTED = (
    "AWS::CloudWatch::Alarm",
    "AWS::CodeDeploy::Application",
    "AWS::CodeDeploy::DeploymentGroup",
    "AWS::ApiGateway::GatewayResponse",
)
PROVISIONED: dict[str, int] = {}
"""Provisioned concurrency by the ARN of the alias."""


class _Resource(CloudFormationModel):
    """A resource that is made, updated and deleted by `make` and `unmake`."""

    TYPE = ""

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
    def create_from_cloudformation_json(  # type: ignore[override]
        cls,
        resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
        **_: Any,
    ) -> "_Resource":
        return cls(cloudformation_json["Properties"], resource_name, account_id, region_name)

    @classmethod
    def update_from_cloudformation_json(  # type: ignore[override]
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
        backend, wanted = lambda_backends[account][region], self.properties
        values = (wanted["Name"], wanted["FunctionName"], wanted["FunctionVersion"], "", None)
        try:
            alias = backend.create_alias(*values)
        except Exception:
            alias = backend.update_alias(*values)
        self.physical = alias.arn
        provisioned = wanted["ProvisionedConcurrencyConfig"]
        PROVISIONED[alias.arn] = provisioned["ProvisionedConcurrentExecutions"]


class _Stage(_Resource):
    def make(self, account: str, region: str) -> None:
        wanted = self.properties
        self.physical = wanted["StageName"]
        apigateway_backends[account][region].create_stage(
            wanted["RestApiId"],
            wanted["StageName"],
            wanted["DeploymentId"],
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
        wanted = self.properties
        stages = [{"apiId": one["ApiId"], "stage": one["Stage"]} for one in wanted["ApiStages"]]
        throttle = wanted["Throttle"]
        payload = {
            "name": wanted["UsagePlanName"],
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


def register() -> None:
    """Make the types known to moto's CloudFormation, and mend those that it half knows."""
    for kind, base in {
        "AWS::Lambda::Alias": _Alias,
        "AWS::ApiGateway::Stage": _Stage,
        "AWS::ApiGateway::ApiKey": _ApiKey,
        "AWS::ApiGateway::UsagePlan": _UsagePlan,
        "AWS::ApiGateway::UsagePlanKey": _UsagePlanKey,
        **dict.fromkeys(NOTED, _Resource),
    }.items():
        _known(kind, base)
    _mend_versions()
    _mend_apis()
    _mend_permissions()
    apply = cloudformation.ChangeSet.apply

    def apply_in_order(self: Any) -> None:
        # moto adds what is new before it changes what is there; a version is of the changed code.
        _update_functions(self)
        apply(self)
        self.stack.output_map = OutputMap(
            self.stack.resource_map, self.template_dict, self.stack_id
        )

    cloudformation.ChangeSet.apply = apply_in_order  # type: ignore[method-assign]


def _update_functions(change_set: Any) -> None:
    stack = change_set.stack
    for name, wanted in change_set.template_dict["Resources"].items():
        if (
            wanted["Type"] == "AWS::Lambda::Function"
            and name in stack.resource_map._parsed_resources
        ):
            parse_and_update_resource(
                name, wanted, stack.resource_map, stack.account_id, stack.region_name
            )


def _known(kind: str, base: type[_Resource]) -> None:
    # moto finds models among the direct subclasses of CloudFormationModel alone.
    members = {**_members(base), "cloudformation_type": staticmethod(lambda: kind)}
    type(kind.replace(":", "_"), (CloudFormationModel,), members)


def _members(base: type[_Resource]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in reversed(base.__mro__):
        if issubclass(one, _Resource):
            found |= {k: v for k, v in vars(one).items() if k not in ("__dict__", "__weakref__")}
    found.pop("__abstractmethods__", None)
    found.pop("_abc_impl", None)
    return found


def _mend_versions() -> None:
    LambdaVersion.get_cfn_attribute = lambda self, name: str(self.version)  # type: ignore
    LambdaVersion.physical_resource_id = property(lambda self: str(self.version))  # type: ignore
    LambdaVersion.delete = lambda *_: None  # type: ignore  # DeletionPolicy: Retain


def _mend_apis() -> None:
    """An API's Body becomes its routes, and it goes with its stack."""
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


def _mend_permissions() -> None:
    """A permission for an alias: moto looks for a function of that name."""

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
