"""Polling and retries."""

import pytest
from botocore.exceptions import ClientError

from aws.account import Account
from aws.polling import poll, retry
from aws.settings import AwsSettings


@pytest.fixture
def account(credentials: None) -> Account:
    return Account(AwsSettings.read({"poll_s": 0}))


def error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "RunInstances")


def test_poll_prints_each_status_once(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    states = iter(["Creating", "Creating", "InService"])
    polled: list[str] = []
    state = poll(
        account,
        lambda: next(states),
        lambda state: state == "InService",
        lambda state: f"endpoint: {state}",
        lambda: polled.append("x"),
    )
    assert state == "InService"
    assert len(polled) == 3
    assert capsys.readouterr().out == "endpoint: Creating (0 s)\nendpoint: InService (0 s)\n"


def test_retry_until_the_role_is_known(account: Account) -> None:
    results = [error("InvalidProfile"), error("InvalidProfile"), "i-1"]

    def call() -> str:
        result = results.pop(0)
        if isinstance(result, ClientError):
            raise result
        return str(result)

    assert retry(account, call, lambda failure: "InvalidProfile" in str(failure)) == "i-1"


@pytest.mark.parametrize(("code", "calls"), [("InvalidProfile", 12), ("Quota", 1)])
def test_retry_gives_up(account: Account, code: str, calls: int) -> None:
    count = 0

    def call() -> None:
        nonlocal count
        count += 1
        raise error(code)

    with pytest.raises(ClientError):
        retry(account, call, lambda failure: "InvalidProfile" in str(failure))
    assert count == calls
