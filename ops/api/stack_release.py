"""A stage deployed as a CloudFormation stack: traffic shifts gradually, and back on an alarm.

A release is a template in S3 that refers to its bundle by hash. The stack's parameters name the
template and the one before it. A rollback is a deployment like any other, through the same alias
and the same alarms.
"""

import hashlib
import json
import re
from typing import Any

from aws import stages
from aws.account import Account
from aws.errors import AwsError
from cli.errors import SettingsError
from ops.api import stack_template
from ops.api.bundle import Bundle
from ops.api.cloudformation_stack import Stack
from ops.api.release_store import BUNDLE, TEMPLATE, ReleaseStore
from ops.iam import api_roles


class StackRelease:
    """The API of a stage with a stack."""

    def __init__(self, account: Account, stage: str) -> None:
        self._account = account
        self._stage = stages.read(stage)
        self._store = ReleaseStore(account, stage)
        self._stack = Stack(account, self._stage.function)

    def deploy(self, built: Bundle, *, force: bool = False, dry_run: bool = False) -> bool:
        """Release the bundle if it differs from what is released, and return whether it does.

        Raises AwsError before anything is sent if a route bypasses the alias, or if a role of the
        stage is missing or trusts others. `force` has no effect: CloudFormation finds every
        difference.
        """
        bypassing = stack_template.routes_bypassing_alias(built.template)
        if bypassing:
            raise AwsError(
                f"These do not target the alias live: {', '.join(bypassing)}. "
                f"Add them to .chalice/resources-{self._stage.name}.json."
            )
        api_roles.check_trust(self._account, self._stage)
        code = self._store.uri(BUNDLE, built.digest)
        template = stack_template.build(self._stage, built, code)
        content = json.dumps(template, sort_keys=True).encode()
        release = hashlib.sha256(content).hexdigest()
        self._check_concurrency(template)
        if dry_run:
            return self._stack.preview(template)
        self._store.put(BUNDLE, built.archive)
        self._store.put(TEMPLATE, content)
        return self._release(release, template)

    def roll_back(self, *, dry_run: bool = False) -> bool:
        """Release the previous release again and return whether anything changed.

        Rolling back twice restores the current release. Raises AwsError if there is no previous
        one, or if its template or bundle have been changed.
        """
        previous = self._stack.outputs().get("PreviousRelease", "none")
        if not re.fullmatch(r"[0-9a-f]{64}", previous):
            raise AwsError(f"Stage {self._stage.name} has no previous release.")
        api_roles.check_trust(self._account, self._stage)
        template = json.loads(self._store.read(TEMPLATE, previous))
        code = template["Resources"]["APIHandler"]["Properties"]["CodeUri"]
        bundle = code.rpartition("/")[2].removesuffix(".zip")
        if code != self._store.uri(BUNDLE, bundle):
            raise AwsError(f"Release {previous} has its code at {code}, outside of the releases.")
        self._store.read(BUNDLE, bundle)
        self._check_concurrency(template)
        if dry_run:
            return self._stack.preview(template)
        return self._release(previous, template)

    def cancel(self) -> str:
        """Stop a release in progress, and return what the stage is left with."""
        return self._stack.cancel()

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

    def _release(self, release: str, template: dict[str, Any]) -> bool:
        """Update the stack to the template, and remember the one that it replaces."""
        deployed = self._stack.outputs()
        current = deployed.get("Release", "none")
        previous = deployed["PreviousRelease"] if current == release else current
        parameters = {"Release": release, "PreviousRelease": previous}
        return self._stack.deploy(self._store.url(TEMPLATE, release), template, parameters)

    def _check_concurrency(self, template: dict[str, Any]) -> None:
        """Raise SettingsError if both versions do not fit while traffic shifts."""
        reserved = stack_template.reserved_concurrency(template)
        new = stack_template.provisioned_concurrency(template)
        old = stack_template.provisioned_concurrency(self._stack.template() or template)
        if reserved is not None and new + old > reserved:
            raise SettingsError(
                f"Stage {self._stage.name} provisions {old} concurrent executions for the version "
                f"in service and {new} for the new one while traffic shifts, but reserves "
                f"{reserved}: set reserved_concurrency in config.json to at least {new + old}, or "
                "lower ProvisionedConcurrentExecutions in "
                f"resources-{self._stage.name}.json."
            )
