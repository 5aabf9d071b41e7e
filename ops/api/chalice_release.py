"""A stage deployed with `chalice deploy`: fast, all traffic at once, for development.

Chalice remembers deployed resources in `.chalice/deployed/STAGE.json` on the machine that deployed
them, and only if it finished; without that file it creates a second API. This module therefore
rewrites the file from the resources in AWS before each call: every machine deploys to the same API,
and the resources of an interrupted deployment are found again.
"""

import hashlib
import json
from contextlib import suppress

from aws import stages
from aws.account import Account, or_none
from aws.errors import AwsError
from cli.files import write_atomically
from ops.api import bundle
from ops.api.bundle import Bundle
from ops.api.release_store import ReleaseStore
from ops.iam import release_policy

HANDLER = "api_handler"
"""Chalice's name for the function behind the routes."""


class ChaliceRelease:
    """The API of a stage without a stack."""

    def __init__(self, account: Account, stage: str) -> None:
        self._account = account
        self._stage = stages.read(stage)
        self._function = self._stage.function
        self._role = release_policy.function_role(self._stage)
        self._log_group = f"/aws/lambda/{self._function}"
        self._store = ReleaseStore(account, stage)
        self._file = stages.folder() / "deployed" / f"{stage}.json"
        config = stages.Config.read()
        self._app = config.app_name
        own = config.stages[stage].api_gateway_stage
        self._gateway_stage = own or config.api_gateway_stage or "api"  # Chalice's default
        self._log_days = config.value(stage, "log_retention_in_days")

    def deploy(self, built: Bundle, *, force: bool = False, dry_run: bool = False) -> bool:
        """Deploy the bundle if it differs from what is deployed, and return whether it does.

        Raises AwsError with AWS's message, for example if a pipeline would have to create the
        function's role.
        """
        fingerprint = _fingerprint(built)
        unchanged = self._store.read_record().get("fingerprint") == fingerprint
        if unchanged and not force and self._function_arn() and self._api_id():
            return False
        if dry_run:
            return True
        self._store.write_record({"fingerprint": ""})  # an interrupted deployment must run again
        self._write_deployed_file()
        self._ensure_log_group()
        try:
            self._run_chalice("deploy")
        except AwsError as error:
            if "CreateRole" not in str(error):
                raise
            raise AwsError(
                f"{error}. Ask an administrator to create {self._role} with `python -m ops policy "
                f"--role pipeline --stage {self._stage.name} --repository OWNER/NAME --apply`."
            ) from error
        self._store.write_record({"fingerprint": fingerprint})
        return True

    def roll_back(self, *, dry_run: bool = False) -> bool:
        """Raise AwsError: `chalice deploy` keeps no releases."""
        name = self._stage.name
        raise AwsError(
            f"Stage {name} keeps no previous release. Check out the commit to return to and run "
            f"`make deploy STAGE={name}`."
        )

    def url(self) -> str:
        """Return the API's URL, or "" before the first deployment."""
        api_id = self._api_id()
        return self._url(api_id) if api_id else ""

    def api_key(self) -> str:
        """Return "": the API requires no key."""
        return ""

    def delete(self) -> None:
        """Delete everything that was deployed, including the logs, which Chalice leaves behind."""
        if self._write_deployed_file():
            self._run_chalice("delete")
        self._file.unlink(missing_ok=True)
        logs = self._account.client("logs")
        for group in (self._log_group, f"{self._log_group}-{HANDLER}"):
            with suppress(logs.exceptions.ResourceNotFoundException):
                logs.delete_log_group(logGroupName=group)
        self._store.clear()

    def _run_chalice(self, command: str) -> None:
        bundle.run_chalice([command, "--stage", self._stage.name], self._account.region)

    def _write_deployed_file(self) -> bool:
        """Write Chalice's list of deployed resources, and return whether there are any."""
        resources: list[dict[str, str]] = []
        if role := self._role_arn():
            names = {"name": f"{HANDLER}_role", "role_name": self._role}
            resources.append({"resource_type": "iam_role", "role_arn": role, **names})
        if function := self._function_arn():
            resources.append(
                {"resource_type": "lambda_function", "name": HANDLER, "lambda_arn": function}
            )
        if api_id := self._api_id():
            names = {"name": "rest_api", "rest_api_url": self._url(api_id)}
            resources.append({"resource_type": "rest_api", "rest_api_id": api_id, **names})
        if not resources:
            self._file.unlink(missing_ok=True)
            return False
        document = {"resources": resources, "schema_version": "2.0", "backend": "api"}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._file, json.dumps(document, indent=2))
        return True

    def _role_arn(self) -> str:
        client = self._account.client("iam")
        response = or_none(lambda: client.get_role(RoleName=self._role))
        return str(response["Role"]["Arn"]) if response else ""

    def _function_arn(self) -> str:
        client = self._account.client("lambda")
        response = or_none(lambda: client.get_function(FunctionName=self._function))
        return str(response["Configuration"]["FunctionArn"]) if response else ""

    def _api_id(self) -> str:
        """Find the API by its integrations, because its name is the same in every stage."""
        pages = self._account.client("apigateway").get_paginator("get_rest_apis").paginate()
        for page in pages:
            for api in page["items"]:
                if api["name"] == self._app and self._calls_function(api["id"]):
                    return str(api["id"])
        return ""

    def _calls_function(self, api_id: str) -> bool:
        gateway = self._account.client("apigateway")
        resources = gateway.get_resources(restApiId=api_id, limit=500, embed=["methods"])["items"]
        return any(
            f":function:{self._function}/" in method.get("methodIntegration", {}).get("uri", "")
            for resource in resources
            for method in resource.get("resourceMethods", {}).values()
        )

    def _ensure_log_group(self) -> None:
        """Create the function's log group with the retention of config.json.

        The function must not create it, and Chalice creates `…-api_handler`, which no function
        writes to (chalice/deploy/appgraph.py, 1.34).
        """
        logs = self._account.client("logs")
        with suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_group(logGroupName=self._log_group)
        if self._log_days:
            logs.put_retention_policy(logGroupName=self._log_group, retentionInDays=self._log_days)

    def _url(self, api_id: str) -> str:
        host = f"{api_id}.execute-api.{self._account.region}.{self._account.dns_suffix}"
        return f"https://{host}/{self._gateway_stage}/"


def _fingerprint(built: Bundle) -> str:
    """Hash everything that determines the result of `chalice deploy`: code, config and policy."""
    parts = [built.digest, json.dumps(built.template, sort_keys=True)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
