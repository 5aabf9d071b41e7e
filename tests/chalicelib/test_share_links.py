"""Share links are fetched in their direct form; all other URLs stay the same."""

import pytest

from chalicelib.share_links import direct
from chalicelib.urls import Target

DROPBOX = "https://www.dropbox.com"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        (f"{DROPBOX}/s/a1b2/dog.jpg", "/s/a1b2/dog.jpg?raw=1"),
        (f"{DROPBOX}/s/a1b2/dog.jpg?dl=0", "/s/a1b2/dog.jpg?raw=1"),
        (
            f"{DROPBOX}/scl/fi/a/my dog.jpg?rlkey=b&st=c&dl=0",
            "/scl/fi/a/my%20dog.jpg?rlkey=b&st=c&raw=1",
        ),
        ("https://DROPBOX.com/scl/fi/a/b.jpg?rlkey=b", "/scl/fi/a/b.jpg?rlkey=b&raw=1"),
    ],
)
def test_share_links(url: str, path: str) -> None:
    target = Target.parse(url)
    assert direct(target) == Target("https", target.host, 443, path)


@pytest.mark.parametrize(
    "url",
    [
        f"{DROPBOX}/s/a1b2/dog.jpg?dl=1",
        f"{DROPBOX}/scl/fi/a/dog.jpg?rlkey=b&raw=1",
        f"{DROPBOX}/home",
        "https://dl.dropboxusercontent.com/s/a1b2/dog.jpg",
        "https://www.dropbox.com.example/s/a1b2/dog.jpg?dl=0",
        "https://example.com/s/dog.jpg?dl=0",
    ],
)
def test_other_urls(url: str) -> None:
    target = Target.parse(url)
    assert direct(target) is target
