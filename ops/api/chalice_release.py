"""A stage deployed with `chalice deploy`: fast, all traffic at once, for development.

Chalice remembers deployed resources in `.chalice/deployed/STAGE.json` on the machine that deployed
them, and only if it finished; without that file it creates a second API. This module therefore
rewrites the file from the resources in AWS before each call: every machine deploys to the same API,
and the resources of an interrupted deployment are found again.
"""

import hashlib
import json
import re
from contextlib import suppress
from typing import Any

from botocore.exceptions import ClientError

from aws import stages
from aws.account import Account, or_none
from aws.errors import AwsError
from cli.files import write_atomically
from ops.api import bundle, gateway_responses, rest_api
from ops.api.bundle import Bundle
from ops.iam import api_roles

HANDLER = "api_handler"
"""Chalice's name for the function behind the routes."""
_FINGERPRINT = "release"
"""Key of the function's tag with the fingerprint of what is deployed."""


class ChaliceRelease:
    """The API of a stage without a stack."""

    def __init__(self, account: Account, stage: str) -> None:
        self._account = account
        self._stage = stages.read(stage)
        self._function = self._stage.function
        self._role = api_roles.function_role(self._stage)
        self._log_group = f"/aws/lambda/{self._function}"
        self._file = stages.folder() / "deployed" / f"{stage}.json"
        config = stages.Config.read()
        own = config.stages[stage].api_gateway_stage
        self._gateway_stage = own or config.api_gateway_stage or "api"  # Chalice's default
        self._cors_origin = config.environment(stage).get("CORS_ALLOW_ORIGIN", "")
        self._log_days = config.value(stage, "log_retention_in_days")

    def deploy(self, built: Bundle, *, force: bool = False, dry_run: bool = False) -> bool:
        """Deploy the bundle if it differs from what is deployed, and return whether it does.

        Raises AwsError with AWS's message, for example if a pipeline would have to create the
        function's role, and if the function's code is not the bundle afterwards.
        """
        api_roles.check_trust(self._account, self._stage)
        fingerprint = _fingerprint(built)
        function = self._describe()
        unchanged = function.get("Tags", {}).get(_FINGERPRINT) == fingerprint
        if unchanged and self._has_code(built) and not force and self._api_id():
            return False
        if dry_run:
            return True
        functions = self._account.client("lambda")
        if function:  # an interrupted deployment must run again
            functions.untag_resource(Resource=_arn(function), TagKeys=[_FINGERPRINT])
        try:
            rest_api.ensure(self._account, self._stage)
            self._write_deployed_file()
            self._ensure_log_group()
            self._run_chalice("deploy")
            gateway_responses.put(
                self._account, self._api_id(), self._gateway_stage, self._cors_origin
            )
        except (AwsError, ClientError) as error:
            # Chalice wraps its error in text. A pipeline may create neither role nor API.
            denied = re.search("(CreateRole|CreateRestApi) operation", str(error))
            if not denied or not re.search("AccessDenied|not authorized", str(error)):
                raise
            raise AwsError(
                f"{denied[1]} is not allowed. Ask an administrator to create {self._role} and the "
                f"REST API with `python -m ops policy --role pipeline --stage {self._stage.name} "
                "--repository OWNER@ID/NAME@ID --apply`."
            ) from error
        if not self._has_code(built):
            raise AwsError(
                f"Function {self._function} does not have the code of this bundle: another "
                "deployment has replaced it. Find out whose before you deploy again."
            )
        arn = _arn(self._describe())
        functions.tag_resource(Resource=arn, Tags={_FINGERPRINT: fingerprint})
        return True

    def roll_back(self, *, dry_run: bool = False) -> bool:
        """Raise AwsError: `chalice deploy` keeps no releases."""
        name = self._stage.name
        raise AwsError(
            f"Stage {name} keeps no previous release. Check out the commit to return to and run "
            f"`make deploy STAGE={name}`."
        )

    def cancel(self) -> str:
        """Return that there is nothing to cancel: `chalice deploy` shifts all traffic at once."""
        return f"Stage {self._stage.name} has no stack: run `make deploy` again to complete it."

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

    def _run_chalice(self, command: str) -> None:
        bundle.run_chalice([command, "--stage", self._stage.name], self._account.region)

    def _write_deployed_file(self) -> bool:
        """Write Chalice's list of deployed resources, and return whether there are any."""
        resources: list[dict[str, str]] = []
        if role := self._role_arn():
            names = {"name": f"{HANDLER}_role", "role_name": self._role}
            resources.append({"resource_type": "iam_role", "role_arn": role, **names})
        if function := self._describe():
            names = {"name": HANDLER, "lambda_arn": _arn(function)}
            resources.append({"resource_type": "lambda_function", **names})
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

    def _describe(self) -> dict[str, Any]:
        """Return Lambda's description of the function; {} if it does not exist."""
        client = self._account.client("lambda")
        return or_none(lambda: client.get_function(FunctionName=self._function)) or {}

    def _has_code(self, built: Bundle) -> bool:
        code = self._describe().get("Configuration", {}).get("CodeSha256")
        return bool(code == built.code_sha256)

    def _api_id(self) -> str:
        return str(rest_api.find(self._account, self._stage).get("id", ""))

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


def _arn(function: dict[str, Any]) -> str:
    return str(function["Configuration"]["FunctionArn"])


def _fingerprint(built: Bundle) -> str:
    """Hash everything that determines the result of a deployment: code, config and policy."""
    responses = json.dumps(gateway_responses.RESPONSES, sort_keys=True)
    parts = [built.digest, json.dumps(built.template, sort_keys=True), responses]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
