import pytest

from chalicelib.problems import InvalidRequest, UrlNotAllowed
from chalicelib.urls import Target


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("https://example.com", "example.com", 443, "/"),
        ("http://example.com/a/b.jpg", "example.com", 80, "/a/b.jpg"),
        ("HTTPS://EXAMPLE.com:444/x?y=1&z=%20#top", "example.com", 444, "/x?y=1&z=%20"),
        ("https://exämple.com/hünd.jpg", "xn--exmple-cua.com", 443, "/h%C3%BCnd.jpg"),
        ("http://[2001:db8::1]:81/x", "2001:db8::1", 81, "/x"),
    ],
)
def test_parts(url: str, host: str, port: int, path: str) -> None:
    target = Target.parse(url)
    assert (target.host, target.port, target.path) == (host, port, path)


@pytest.mark.parametrize(
    "url",
    ["", "dog.jpg", "/dog.jpg", "//example.com/dog.jpg", "https://", "https:///dog.jpg"]
    + ["https://exa mple.com", "https://example.com\\@evil.com", "https://example.com/\r\nX: y"]
    + ["https://example.com:99999/", "https://example.com:port/", "https://[::1", "https://a..b/"]
    + ["https://example.com/" + "x" * 2048, "https://" + "ä" * 70 + ".com", "https://a¨b.com/"],
)
def test_invalid_urls(url: str) -> None:
    with pytest.raises(InvalidRequest):
        Target.parse(url)


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://example.com/x", "gopher://example.com/", "data:image/png;base64,"]
    + ["javascript:alert(1)", "https://user@example.com/", "https://user:pass@example.com/"],
)
def test_urls_that_are_not_allowed(url: str) -> None:
    with pytest.raises(UrlNotAllowed):
        Target.parse(url)


def test_redirects() -> None:
    target = Target.parse("https://example.com/a/b")
    assert target.redirect("c?d").url == "https://example.com/a/c?d"
    assert target.redirect("http://other.example/").host == "other.example"
    with pytest.raises(UrlNotAllowed):
        target.redirect("file:///etc/passwd")
