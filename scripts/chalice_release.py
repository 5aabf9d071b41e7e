"""A stage that `chalice deploy` keeps: quick, all at once, for development.

Chalice remembers what it deployed in `.chalice/deployed/STAGE.json`; without that file it would
make a second API. It is therefore kept in S3, where a pipeline and every developer find it.
"""

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from scripts import bundle
from scripts.bundle import ROOT, Bundle
from scripts.shelf import Shelf
from training.cloud.account import Account, is_missing


class ChaliceRelease:
    """The stage `stage` of `project` in an account."""

    def __init__(self, account: Account, stage: str, project: Path = ROOT) -> None:
        self._account = account
        self._stage = stage
        self._project = project
        self._shelf = Shelf(account, stage)
        self._file = project / ".chalice" / "deployed" / f"{stage}.json"

    def deploy(self, built: Bundle, *, force: bool = False, dry_run: bool = False) -> bool:
        """Deploy what was built, if it differs from what is there; returns whether it did."""
        fingerprint = self.fingerprint(built)
        state = self._shelf.state()
        if not force and state.get("fingerprint") == fingerprint and self._function_exists():
            return False
        if dry_run:
            return True
        self._remember(state.get("chalice"))
        self._keep_log()
        bundle.chalice(["deploy", "--stage", self._stage], self._account.region, self._project)
        self._shelf.note({"fingerprint": fingerprint, "chalice": self._noted()})
        return True

    def url(self) -> str:
        """The API's address; empty before the first deployment."""
        for one in (self._shelf.state().get("chalice") or {}).get("resources", []):
            if one.get("resource_type") == "rest_api":
                return str(one["rest_api_url"])
        return ""

    def delete(self) -> None:
        """Remove all that was deployed, the logs with it: Chalice alone leaves them."""
        self._remember(self._shelf.state().get("chalice"))
        if self._file.is_file():
            bundle.chalice(["delete", "--stage", self._stage], self._account.region, self._project)
            self._file.unlink(missing_ok=True)
        for group in (self._log_group, f"{self._log_group}-api_handler"):
            try:
                self._account.client("logs").delete_log_group(logGroupName=group)
            except ClientError as error:
                if not is_missing(error):
                    raise
        self._shelf.clear()

    def fingerprint(self, built: Bundle) -> str:
        """One hash of all that decides what `chalice deploy` makes: code, config, policy."""
        template = {**built.template, "Outputs": {}}
        parts = [built.digest, json.dumps(template, sort_keys=True)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

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

    @property
    def _function(self) -> str:
        return f"{self._config('app_name')}-{self._stage}"

    @property
    def _log_group(self) -> str:
        return f"/aws/lambda/{self._function}"

    def _function_exists(self) -> bool:
        try:
            self._account.client("lambda").get_function(FunctionName=self._function)
        except ClientError as error:
            if is_missing(error):
                return False
            raise
        return True

    def _remember(self, noted: Any) -> None:
        """Give Chalice its own note back, or take a stale one of another account away."""
        if noted:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps(noted, indent=2), encoding="utf-8")
        else:
            self._file.unlink(missing_ok=True)

    def _noted(self) -> Any:
        return json.loads(self._file.read_text(encoding="utf-8"))
