"""A stage that CloudFormation keeps: traffic moves bit by bit to a new version, and back.

A release is a template in S3 that names its bundle by hash. The one before is remembered, so that
going back is a deployment like any other, through the same alias and the same alarms.
"""

import copy
import hashlib
import json
from typing import Any

from botocore.exceptions import ClientError

from aws import stages
from aws.account import Account, is_missing
from aws.errors import AwsError
from ops.api.alias_routes import past_the_alias
from ops.api.bundle import Bundle
from ops.api.cloudformation_stack import Stack
from ops.api.release_store import Shelf
from ops.iam import release_policy


class StackRelease:
    """The stack of `stage` in an account."""

    def __init__(self, account: Account, stage: str) -> None:
        self._account = account
        self._stage = stage
        self._shelf = Shelf(account, stage)
        self.stack = Stack(account, f"whatbreed-{stage}")

    def deploy(self, built: Bundle, *, dry_run: bool = False) -> bool:
        """Release what was built, if it differs from what is there; returns whether it did.

        Raises `AwsError` where a route goes past the alias, or where the boundary of the stack's
        roles is missing: nothing is sent then.
        """
        missing = past_the_alias(built.template)
        if missing:
            raise AwsError(
                f"{', '.join(missing)} would go past the alias live: "
                f"add it to .chalice/resources-{self._stage}.json"
            )
        self._require_boundary()
        code = self._shelf.put(f"bundles/{built.digest}.zip", built.archive)
        return self._release(self._template(built, self._shelf.uri(code)), dry_run=dry_run)

    def roll_back(self) -> bool:
        """Go back to the release before; returns whether anything had to change.

        Doing it twice returns to where it began. Raises `AwsError` where there is none before.
        """
        state = self._shelf.state()
        if not state.get("previous"):
            raise AwsError(f"stage {self._stage} has no release before this one")
        changed = self.stack.deploy(self._shelf.url(state["previous"]))
        self._shelf.note({"current": state["previous"], "previous": state["current"]})
        return changed

    def url(self) -> str:
        """The API's address."""
        return self.stack.outputs().get("EndpointURL", "")

    def api_key(self) -> str:
        """The key that clients send as `x-api-key`; empty where the stage wants none."""
        key_id = self.stack.outputs().get("ApiKeyId")
        if not key_id:
            return ""
        found = self._account.client("apigateway").get_api_key(apiKey=key_id, includeValue=True)
        return str(found["value"])

    def delete(self) -> None:
        """Remove the stack and all its releases."""
        self.stack.delete()
        self._shelf.clear()

    def _require_boundary(self) -> None:
        """CloudFormation would say that a role's "Scope ARN" is not attachable."""
        arn = release_policy.boundary_arn(self._account, stages.read(self._stage))
        try:
            self._account.client("iam").get_policy(PolicyArn=arn)
        except ClientError as error:
            if not is_missing(error):
                raise
            raise AwsError(
                f"policy {arn.rpartition('/')[2]} is missing: an administrator makes it with "
                f"`python -m training policy --role boundary --stage {self._stage} --apply`"
            ) from None

    def _template(self, built: Bundle, code_uri: str) -> str:
        """The key of the template that takes its code from `code_uri`."""
        template: dict[str, Any] = copy.deepcopy(built.template)
        template["Resources"]["APIHandler"]["Properties"]["CodeUri"] = code_uri
        content = json.dumps(template, sort_keys=True).encode()
        return self._shelf.put(f"templates/{hashlib.sha256(content).hexdigest()}.json", content)

    def _release(self, template: str, *, dry_run: bool) -> bool:
        changed = self.stack.deploy(self._shelf.url(template), dry_run=dry_run)
        if not dry_run:
            state = self._shelf.state()
            if state.get("current") != template:
                self._shelf.note({"current": template, "previous": state.get("current")})
        return changed
