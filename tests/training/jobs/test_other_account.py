"""Photos in the bucket of another account, encrypted with its key: the policies of both sides."""

import json
from typing import Any

import boto3
import pytest

from aws.account import Account
from aws.settings import AwsSettings
from tests.emulator.fixtures import ACCOUNT, Change, Command, create_bucket

# sagemaker imports deprecated modules.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
OWNER = "210987654321"
DATA = "s3://theirs/whatbreed/data"
THEIR_KEY = f"arn:aws:kms:us-east-1:{OWNER}:key/00000000-0000-0000-0000-000000000001"


@pytest.fixture
def theirs(bucket: str) -> Any:
    """The bucket of the photos' owner, with one photo; returns moto's object."""
    theirs = create_bucket(OWNER, "theirs")
    boto3.client("s3").put_object(Bucket="theirs", Key="whatbreed/data/train/A/1.jpg", Body=b"x")
    return theirs


def grant(theirs: Any) -> None:
    """Set the policy that `upload --grant` prints in the owner's account."""
    from aws import policy_statements, s3_storage

    owner = Account(AwsSettings.read({"bucket": "theirs"}))
    statements = s3_storage.read_by(owner, ACCOUNT, "whatbreed/data")
    theirs.policy = json.dumps(policy_statements.policy(*statements))


def test_both_sides_must_allow(
    theirs: Any, command: Command, change_settings: Change, roles: None
) -> None:
    fit = ("training", "fit", "--data", DATA, "--detach")
    outcome = command(*fit)
    assert outcome.code == 1
    assert "is not allowed to call s3:ListBucket on arn:aws:s3:::theirs" in outcome.err
    grant(theirs)
    assert command(*fit).code == 1, "the role does not allow it yet"
    change_settings("fit", data=DATA, data_key=THEIR_KEY)
    assert command("ops", "policy", "--role", "training", "--apply").code == 0
    outcome = command("training", "fit", "--detach")
    assert outcome.code == 0, outcome.err
    assert command("training", "tune-job", "--detach").code == 0
    theirs.policy = None
    assert command("training", "fit", "--detach").code == 1, "the owner revoked it"


def test_the_reader_s_policies(theirs: Any, command: Command, change_settings: Change) -> None:
    change_settings("fit", data=DATA, data_key=THEIR_KEY)
    statements = {
        item["Sid"]: item
        for item in command("ops", "policy", "--role", "training").json["Statement"]
    }
    assert statements["ReadPhotos"]["Resource"] == "arn:aws:s3:::theirs/whatbreed/data/*"
    prefixes = statements["ListPhotos"]["Condition"]["StringLike"]["s3:prefix"]
    assert prefixes == ["whatbreed/data", "whatbreed/data/*"]
    assert statements["DecryptPhotos"]["Resource"] == THEIR_KEY
    operator = command("ops", "policy", "--role", "deploy").out
    assert "arn:aws:s3:::theirs" in operator, "`fit` lists the photos before it starts a job"


def test_an_ec2_instance_reads_them_too(
    theirs: Any, command: Command, change_settings: Change
) -> None:
    grant(theirs)
    change_settings("fit", data=DATA, data_key=THEIR_KEY)
    outcome = command("training", "ec2", "--dry-run")
    assert outcome.code == 0, outcome.err
    assert f"DATA={DATA}" in outcome.out
    role = command("ops", "policy", "--role", "ec2").out
    for text in (outcome.out, role):
        assert "arn:aws:s3:::theirs/whatbreed/data/*" in text
        assert THEIR_KEY in text


def test_photos_of_the_own_bucket_need_no_more(
    command: Command, change_settings: Change, bucket: str
) -> None:
    change_settings("fit", data=f"s3://{bucket}/whatbreed/data/")
    assert "ListPhotos" not in command("ops", "policy", "--role", "training").out
    change_settings("fit", data=f"s3://{bucket}/elsewhere")
    assert f"{bucket}/elsewhere/*" in command("ops", "policy", "--role", "training").out


def test_the_key_policy_admits_every_reader(key: str, command: Command) -> None:
    document = command("ops", "policy", "--role", "key", "--reader", OWNER).json
    statements = {item["Sid"]: item for item in document["Statement"]}
    assert set(statements) == {"ManageThroughIam", "UseByRoles", f"Read{OWNER}"}
    arns = statements["UseByRoles"]["Condition"]["ArnEquals"]["aws:PrincipalArn"]
    names = {arn.rpartition("/")[2] for arn in arns}
    assert names == {
        "whatbreed-training", "whatbreed-serving", "whatbreed-ec2", "whatbreed-codebuild",
    }  # fmt: skip
    reader = statements[f"Read{OWNER}"]
    assert reader["Principal"] == {"AWS": f"arn:aws:iam::{OWNER}:root"}
    assert reader["Action"] == ["kms:Decrypt", "kms:DescribeKey"]
    assert command("ops", "policy", "--role", "key", "--reader", "me").code == 2


def test_the_key_policy_is_merged(key: str, command: Command) -> None:
    kms = boto3.client("kms")
    own = {
        "Sid": "Mine",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    policy = {"Version": "2012-10-17", "Statement": [own]}
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(policy))
    for _ in range(2):
        assert command("ops", "policy", "--role", "key", "--apply").code == 0
    text = kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]
    sids = [item["Sid"] for item in json.loads(text)["Statement"]]
    assert sids == ["Mine", "ManageThroughIam", "UseByRoles"]


def test_a_key_policy_needs_a_key(aws: None, command: Command) -> None:
    assert "has no kms_key" in command("ops", "policy", "--role", "key", "--apply").err


def test_grant_admits_the_reader_to_the_key(bucket: str, key: str, command: Command) -> None:
    outcome = command("training", "upload", "--grant", OWNER)
    assert f"policy --role key --reader {OWNER}" in outcome.err
    assert "Statement" in outcome.json
    outcome = command("training", "upload", "--grant", OWNER, "--apply")
    assert outcome.code == 0, outcome.err
    assert f'data_key = "{key}"' in outcome.out
    text = boto3.client("kms").get_key_policy(KeyId=key, PolicyName="default")["Policy"]
    assert OWNER in text


@pytest.mark.parametrize("role", ["training", "serving", "ec2", "codebuild"])
def test_every_role_may_use_the_key(key: str, command: Command, role: str) -> None:
    statements = command("ops", "policy", "--role", role).json["Statement"]
    [use] = [item for item in statements if item["Sid"] == "UseTheKey"]
    assert use["Resource"] == key
    assert "kms:Decrypt" in use["Action"]
