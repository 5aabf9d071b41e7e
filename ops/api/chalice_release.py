"""A stage that `chalice deploy` keeps: quick, all at once, for development.

Chalice remembers what it deployed in `.chalice/deployed/STAGE.json` on the machine that did it, and
only if it came to the end; without that file it makes a second API. The file is therefore written
anew before each call, from what is really there: any machine deploys to the same API, and what a
broken-off deployment left is found again.
"""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from aws.account import Account, is_missing
from aws.errors import AwsError
from ops.api import bundle
from ops.api.bundle import ROOT, Bundle
from ops.api.release_store import Shelf

HANDLER = "api_handler"
"""What Chalice calls the function behind the routes."""


class ChaliceRelease:
    """The stage `stage` of `project` in an account."""

    def __init__(self, account: Account, stage: str, project: Path = ROOT) -> None:
        self._account = account
        self._stage = stage
        self._project = project
        self._shelf = Shelf(account, stage)
        self._file = project / ".chalice" / "deployed" / f"{stage}.json"

    def deploy(self, built: Bundle, *, force: bool = False, dry_run: bool = False) -> bool:
        """Deploy what was built, if it differs from what is there; returns whether it did.

        Raises `AwsError` with what AWS answered; a pipeline may not create the function's role.
        """
        fingerprint = self._fingerprint(built)
        same = self._shelf.state().get("fingerprint") == fingerprint
        if same and not force and self._function_arn() and self._api():
            return False
        if dry_run:
            return True
        self._shelf.note({"fingerprint": ""})  # until it is done
        self._remind_chalice()
        self._keep_log()
        try:
            bundle.chalice(["deploy", "--stage", self._stage], self._account.region, self._project)
        except AwsError as error:
            if "CreateRole" not in str(error):
                raise
            raise AwsError(
                f"{error}; an administrator makes {self._role} with `python -m training policy "
                f"--role pipeline --stage {self._stage} --repository OWNER/NAME --apply`"
            ) from error
        self._shelf.note({"fingerprint": fingerprint})
        return True

    def url(self) -> str:
        """The API's address; empty before the first deployment."""
        return self._url(self._api())

    def delete(self) -> None:
        """Remove all that was deployed, the logs with it: Chalice alone leaves them."""
        if self._remind_chalice():
            bundle.chalice(["delete", "--stage", self._stage], self._account.region, self._project)
        self._file.unlink(missing_ok=True)
        for group in (self._log_group, f"{self._log_group}-{HANDLER}"):
            logs = self._account.client("logs")
            with suppress(logs.exceptions.ResourceNotFoundException):
                logs.delete_log_group(logGroupName=group)
        self._shelf.clear()

    def _fingerprint(self, built: Bundle) -> str:
        """One hash of all that decides what `chalice deploy` makes: code, config, policy."""
        parts = [built.digest, json.dumps(built.template, sort_keys=True)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _remind_chalice(self) -> bool:
        """Write Chalice's note of what is there; returns whether anything is."""
        role, function, api = self._role_arn(), self._function_arn(), self._api()
        found: list[dict[str, str]] = []
        if role:
            found.append(
                {
                    "name": f"{HANDLER}_role",
                    "resource_type": "iam_role",
                    "role_arn": role,
                    "role_name": self._role,
                }
            )
        if function:
            found.append(
                {"name": HANDLER, "resource_type": "lambda_function", "lambda_arn": function}
            )
        if api:
            found.append(
                {
                    "name": "rest_api",
                    "resource_type": "rest_api",
                    "rest_api_id": api,
                    "rest_api_url": self._url(api),
                }
            )
        if not found:
            self._file.unlink(missing_ok=True)
            return False
        note = {"resources": found, "schema_version": "2.0", "backend": "api"}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(note, indent=2), encoding="utf-8")
        return True

    def _role_arn(self) -> str:
        iam = self._account.client("iam")
        found = _found(lambda: iam.get_role(RoleName=self._role)) or {}
        return str(found.get("Role", {}).get("Arn", ""))

    def _function_arn(self) -> str:
        function = self._account.client("lambda")
        found = _found(lambda: function.get_function(FunctionName=self._function)) or {}
        return str(found.get("Configuration", {}).get("FunctionArn", ""))

    def _api(self) -> str:
        """The id of the API that calls the function: its name is the same in every stage."""
        gateway = self._account.client("apigateway")
        for page in gateway.get_paginator("get_rest_apis").paginate():
            for api in page["items"]:
                if api["name"] == self._config("app_name") and self._is_ours(api["id"]):
                    return str(api["id"])
        return ""

    def _is_ours(self, api: str) -> bool:
        gateway = self._account.client("apigateway")
        resources = gateway.get_resources(restApiId=api, limit=500, embed=["methods"])["items"]
        return any(
            f":function:{self._function}/" in method.get("methodIntegration", {}).get("uri", "")
            for resource in resources
            for method in resource.get("resourceMethods", {}).values()
        )

    def _keep_log(self) -> None:
        """Let the function's log group exist, with the retention of config.json.

        The function itself may not create it, and Chalice creates one that no function writes to:
        `…-api_handler` (chalice/deploy/appgraph.py, 1.34).
        """
        logs = self._account.client("logs")
        with suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_group(logGroupName=self._log_group)
        days = self._config("log_retention_in_days")
        if days:
            logs.put_retention_policy(logGroupName=self._log_group, retentionInDays=days)

    def _config(self, key: str) -> Any:
        """A value of config.json: the stage's own before the one for all stages."""
        text = (self._project / ".chalice" / "config.json").read_text(encoding="utf-8")
        config = json.loads(text)
        return config["stages"][self._stage].get(key, config.get(key))

    def _url(self, api: str) -> str:
        if not api:
            return ""
        suffix = "amazonaws.com.cn" if self._account.partition == "aws-cn" else "amazonaws.com"
        stage = self._config("api_gateway_stage") or "api"
        return f"https://{api}.execute-api.{self._account.region}.{suffix}/{stage}/"

    @property
    def _function(self) -> str:
        return f"{self._config('app_name')}-{self._stage}"

    @property
    def _role(self) -> str:
        return f"{self._function}-{HANDLER}"

    @property
    def _log_group(self) -> str:
        return f"/aws/lambda/{self._function}"


def _found(call: Callable[[], Any]) -> dict[str, Any] | None:
    try:
        return dict(call())
    except ClientError as error:
        if is_missing(error):
            return None
        raise
