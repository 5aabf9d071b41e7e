"""`make deploy STAGE=dev` and `make undeploy STAGE=dev` against an AWS of our own."""

import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from tests.ops.api.programs import Programs

pytestmark = pytest.mark.server


def test_release_again_change_and_removal(
    programs: Programs, client: Callable[[str], Any], bucket: str
) -> None:
    functions = client("lambda")

    first = programs.deploy("dev")
    assert first.returncode == 0, first.stderr
    assert "whatbreed 2026.11.21 says Dalmatian (0.96)" in first.stdout
    assert first.stdout.strip().endswith("/dev/")
    made = functions.get_function(FunctionName="whatbreed-dev")["Configuration"]
    groups = client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"]
    assert ("/aws/lambda/whatbreed-dev", 7) in {
        (one["logGroupName"], one.get("retentionInDays")) for one in groups
    }

    # Another checkout, as a pipeline has it: nothing on its disk tells what is deployed.
    shutil.rmtree(programs.project / ".chalice" / "deployed")
    again = programs.deploy("dev")
    assert again.returncode == 0, again.stderr
    assert "nothing has changed" in again.stdout
    same = functions.get_function(FunctionName="whatbreed-dev")["Configuration"]
    assert (same["LastModified"], same["CodeSha256"]) == (made["LastModified"], made["CodeSha256"])

    config = programs.project / ".chalice" / "config.json"
    document = json.loads(config.read_text())
    document["stages"]["dev"]["reserved_concurrency"] = 3
    config.write_text(json.dumps(document))
    dry = programs.deploy("dev", "--dry-run")
    assert "this would be deployed" in dry.stdout
    concurrency = functions.get_function_concurrency(FunctionName="whatbreed-dev")
    assert concurrency["ReservedConcurrentExecutions"] == 5
    changed = programs.deploy("dev")
    assert changed.returncode == 0, changed.stderr
    concurrency = functions.get_function_concurrency(FunctionName="whatbreed-dev")
    assert concurrency["ReservedConcurrentExecutions"] == 3
    assert len(client("apigateway").get_rest_apis()["items"]) == 1

    programs.api.healthy = False
    failed = programs.deploy("dev")
    assert failed.returncode == 1
    assert failed.stderr.startswith("deploy: smoke test: ")
    assert len(failed.stderr.strip().splitlines()) == 1

    unsure = programs.undeploy("dev")
    assert unsure.returncode == 2
    assert "say --yes" in unsure.stderr
    assert functions.list_functions()["Functions"]
    gone = programs.undeploy("dev", "--yes")
    assert gone.returncode == 0, gone.stderr
    assert functions.list_functions()["Functions"] == []
    assert client("apigateway").get_rest_apis()["items"] == []
    assert client("iam").list_roles()["Roles"] == []
    assert client("logs").describe_log_groups()["logGroups"] == []
    assert client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert programs.undeploy("dev", "--yes").returncode == 0


def test_what_was_broken_off_is_found_again(
    programs: Programs, client: Callable[[str], Any], bucket: str
) -> None:
    """Chalice writes its note at the very end: what ends before leaves an API and no note."""
    assert programs.deploy("dev").returncode == 0
    [api] = client("apigateway").get_rest_apis()["items"]
    shutil.rmtree(programs.project / ".chalice" / "deployed")
    client("s3").delete_object(Bucket=bucket, Key="whatbreed/api/dev/deployed.json")

    assert programs.deploy("dev").returncode == 0
    [same] = client("apigateway").get_rest_apis()["items"]
    assert same["id"] == api["id"]

    shutil.rmtree(programs.project / ".chalice" / "deployed")
    client("apigateway").delete_rest_api(restApiId=api["id"])
    assert programs.undeploy("dev", "--yes").returncode == 0
    assert client("lambda").list_functions()["Functions"] == []
    assert client("iam").list_roles()["Roles"] == []


def test_what_a_user_got_wrong_is_told_in_one_line(programs: Programs) -> None:
    for stage, options, said in [
        ("dve", [], "no stage 'dve'; there are local, dev, prod"),
        ("local", [], "`make run`"),
        ("dev", ["--rollback"], "check out the commit to return to"),
        ("dev", ["--digest", "0" * 64], "packaged from other sources"),
    ]:
        ended = programs.deploy(stage, *options)
        assert ended.returncode in (1, 2)
        [line] = ended.stderr.strip().splitlines()
        assert said in line
