import contextlib
import unicodedata

import idna
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
        # https://url.spec.whatwg.org
        (" \t\ufeff\u200bhttp://a.com/x\u200b\xa0\r\n", "a.com", 80, "/x"),
        ("http://a.com/my dog.jpg?a b", "a.com", 80, "/my%20dog.jpg?a%20b"),
        ("http://a.com/\nlong/\r\n\tname", "a.com", 80, "/long/name"),
        ("https:\\\\a.com\\b\\c.jpg?d\\e", "a.com", 443, "/b/c.jpg?d\\e"),
        ("http:a.com/b", "a.com", 80, "/b"),
        ("http:///a.com/b", "a.com", 80, "/b"),
        ("http://a.com:/", "a.com", 80, "/"),
        ("http://a.com:0443/", "a.com", 443, "/"),
        ("http://a.com?b", "a.com", 80, "/?b"),
        ("http://a.com#b", "a.com", 80, "/"),
        ("http://%61.com/", "a.com", 80, "/"),
        ("http://a.com/b/../c/./d/%2E%2e/e", "a.com", 80, "/c/e"),
        ("http://a.com/b/..", "a.com", 80, "/"),
        ("http://a.com/../../b//c/", "a.com", 80, "/b//c/"),
        ("http://a.com/[x]|y@z:'%2f%2F%zz", "a.com", 80, "/[x]|y@z:'%2f%2F%zz"),
        ("http://a.com/?x[]={y}|'%2f+/?", "a.com", 80, "/?x[]={y}|%27%2f+/?"),
        ('http://a.com/"<>`{}\x01^', "a.com", 80, "/%22%3C%3E%60%7B%7D%01%5E"),
    ],
)
def test_parts(url: str, host: str, port: int, path: str) -> None:
    target = Target.parse(url)
    assert (target.host, target.port, target.path) == (host, port, path)


@pytest.mark.parametrize(
    "url",
    ["", "dog.jpg", "/dog.jpg", "//example.com/dog.jpg", "https://", "https:///?dog.jpg"]
    + ["https://exa mple.com", "https://example.com\\@evil.com", "https://a%zz.com/"]
    + ["https://a\u200db.com/", "https://a%E2%80%8Cb.com/", "https://%ff.com/"]
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
    assert target.redirect("http://other.example/").host == "other.example"
    with pytest.raises(UrlNotAllowed):
        target.redirect("file:///etc/passwd")


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("c?d", "https://example.com/a/c?d"),
        ("?d=ä", "https://example.com/a/b?d=%C3%A4"),
        ("?", "https://example.com/a/b"),
        ("#top", "https://example.com/a/b?x"),
        ("/c d", "https://example.com/c%20d"),
        ("../../c", "https://example.com/c"),
        ("./", "https://example.com/a/"),
        ("\\c", "https://example.com/c"),
        ("https:c", "https://example.com/a/c"),
        ("//other.example/c", "https://other.example/c"),
        ("\\\\other.example\\c", "https://other.example/c"),
        ("///other.example/c", "https://other.example/c"),
        ("HTTPS://other.example", "https://other.example/"),
        (" https://other.example/ü ", "https://other.example/%C3%BC"),
        ("https://other.example/" + "x" * 4000, "https://other.example/" + "x" * 4000),
    ],
)
def test_locations(location: str, url: str) -> None:
    target = Target.parse("https://example.com/a/b?x").redirect(location)
    assert f"{target.scheme}://{target.host}{target.path}" == url
    assert target.port == 443


@pytest.mark.parametrize(
    "host",
    ["faß.de", "FAẞ.de", "βόλος.com", "straße.example", "Weiß.Hund.example", "große-hunde.de"]
    + ["bücher.example", "日本語.jp", "例え。テスト", "xn--fa-hia.de", "fass.de"],
)
def test_host_names_are_those_of_uts_46(host: str) -> None:
    """`idna` without transitional processing, as browsers do."""
    expected = idna.encode(host.replace("ẞ", "ß"), uts46=True).decode()
    assert Target.parse(f"http://{host}/").host == expected


def test_no_character_leads_to_another_host() -> None:
    """A host is that of UTS 46 or refused. `idna` has the mapping; the standard checks no more."""
    for character in map(chr, range(0x80, 0x30000)):
        name = unicodedata.name(character, "")
        if not name or name.startswith(("CJK UNIFIED", "HANGUL SYLLABLE", "TANGUT")):
            continue
        host = f"a{character}b.example"
        with contextlib.suppress(InvalidRequest):
            parsed = Target.parse(f"http://{host}/").host
            with contextlib.suppress(idna.IDNAError):
                labels = idna.uts46_remap(host, std3_rules=False, transitional=False).split(".")
                assert parsed == ".".join(map(to_ascii, labels)), f"U+{ord(character):04X}"


def to_ascii(label: str) -> str:
    return label if label.isascii() else "xn--" + label.encode("punycode").decode()


def test_a_data_url_is_named() -> None:
    with pytest.raises(UrlNotAllowed, match="contains the image itself"):
        Target.parse("data:image/png;base64," + "A" * 10_000)
