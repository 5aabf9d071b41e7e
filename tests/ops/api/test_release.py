from pathlib import Path

import pytest

from aws.stages import PROJECT_VARIABLE
from ops.api import release
from tests.ops.api import project as projects


@pytest.mark.parametrize(
    ("origin", "sentence"),
    [
        ("*", "Web pages of any origin may call the API."),
        ("https://dogs.example", "Web pages of https://dogs.example may call the API, those"),
        ("", "No web page of another origin may call the API: set CORS_ALLOW_ORIGIN"),
    ],
)
def test_a_release_says_which_web_pages_may_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: str, sentence: str
) -> None:
    project = projects.copy(tmp_path / "project")
    monkeypatch.setenv(PROJECT_VARIABLE, str(project))
    variables = {"ENDPOINT_NAME": "whatbreed-dev", "CORS_ALLOW_ORIGIN": origin}
    projects.change_config(project, "dev", environment_variables=variables)
    assert release.browsers("dev").startswith(sentence)
