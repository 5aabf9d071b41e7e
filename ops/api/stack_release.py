"""A stage deployed as a CloudFormation stack: traffic shifts gradually, and back on an alarm.

A release is a template in S3 that refers to its bundle by hash. The previous release is recorded,
so a rollback is a deployment like any other, through the same alias and the same alarms.
"""

import copy
import hashlib
import json
from typing import Any

from aws import stages
from aws.account import Account, or_none
from aws.errors import AwsError
from ops.api.alias_routes import routes_bypassing_alias
from ops.api.bundle import Bundle
from ops.api.cloudformation_stack import Stack
from ops.api.release_store import ReleaseStore
from ops.iam import release_policy


class StackRelease:
    """The API of a stage with a stack."""

    def __init__(self, account: Account, stage: str) -> None:
        self._account = account
        self._stage = stages.read(stage)
        self._store = ReleaseStore(account, stage)
        self._stack = Stack(account, self._stage.function)

    def deploy(self, built: Bundle, *, force: bool = False, dry_run: bool = False) -> bool:
        """Release the bundle if it differs from what is released, and return whether it does.

        Raises AwsError before anything is sent if a route bypasses the alias or the boundary of the
        stack's roles is missing. `force` has no effect: CloudFormation finds every difference.
        """
        bypassing = routes_bypassing_alias(built.template)
        if bypassing:
            raise AwsError(
                f"These do not target the alias live: {', '.join(bypassing)}. "
                f"Add them to .chalice/resources-{self._stage.name}.json."
            )
        self._require_boundary()
        code = self._store.put(f"bundles/{built.digest}.zip", built.archive)
        template = self._put_template(built, self._store.uri(code))
        changed = self._stack.deploy(self._store.url(template), dry_run=dry_run)
        record = self._store.read_record()
        if not dry_run and record.get("current") != template:
            self._store.write_record({"current": template, "previous": record.get("current")})
        return changed

    def roll_back(self, *, dry_run: bool = False) -> bool:
        """Release the previous release again and return whether anything changed.

        Rolling back twice restores the current release. Raises AwsError if there is no previous
        one.
        """
        record = self._store.read_record()
        if not record.get("previous"):
            raise AwsError(f"Stage {self._stage.name} has no previous release.")
        changed = self._stack.deploy(self._store.url(record["previous"]), dry_run=dry_run)
        if not dry_run:
            self._store.write_record({"current": record["previous"], "previous": record["current"]})
        return changed

    def url(self) -> str:
        """Return the API's URL."""
        return self._stack.outputs().get("EndpointURL", "")

    def api_key(self) -> str:
        """Return the key that clients send as `x-api-key`, or "" if the API requires none."""
        key_id = self._stack.outputs().get("ApiKeyId")
        if not key_id:
            return ""
        gateway = self._account.client("apigateway")
        return str(gateway.get_api_key(apiKey=key_id, includeValue=True)["value"])

    def delete(self) -> None:
        """Delete the stack and all its releases."""
        self._stack.delete()
        self._store.clear()

    def _require_boundary(self) -> None:
        # CloudFormation's own message is that a role's "Scope ARN" is not attachable.
        arn = release_policy.boundary_arn(self._account, self._stage)
        iam = self._account.client("iam")
        if or_none(lambda: iam.get_policy(PolicyArn=arn)) is None:
            raise AwsError(
                f"Policy {arn.rpartition('/')[2]} does not exist. Ask an administrator to create "
                f"it with `python -m ops policy --role boundary --stage {self._stage.name} "
                "--apply`."
            )

    def _put_template(self, built: Bundle, code_uri: str) -> str:
        """Store the template with its code at `code_uri` and return the key."""
        template: dict[str, Any] = copy.deepcopy(built.template)
        template["Resources"]["APIHandler"]["Properties"]["CodeUri"] = code_uri
        content = json.dumps(template, sort_keys=True).encode()
        return self._store.put(f"templates/{hashlib.sha256(content).hexdigest()}.json", content)
