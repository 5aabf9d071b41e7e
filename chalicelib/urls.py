"""Parsing of user-supplied URLs and of redirects, as in https://url.spec.whatwg.org."""

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from encodings.idna import nameprep
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from chalicelib.problems import InvalidRequest, UrlNotAllowed

MAX_CHARACTERS = 2048
MAX_LOCATION_CHARACTERS = 8192
"""Of a redirect: signed URLs of storage services are longer than what people paste."""
DEFAULT_PORTS = {"http": 80, "https": 443}

# Control characters, white space and characters without a width, which copying adds to a URL.
_PADDING = "".join(map(chr, range(0x21))) + (
    "\x7f\x85\xa0\xad\u1680\u180e\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u202f\u205f"
    "\u2060\u2066\u2067\u2068\u2069\u3000\ufeff"
)
_LINE_BREAKS = re.compile(r"[\t\n\r]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")  # cannot be encoded
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:]*)(.*)", re.DOTALL)
_PORT = re.compile(r"(:[0-9]{0,20})?")
_DOMAIN = re.compile(r"[A-Za-z0-9._-]+")
_DOTS = re.compile(r"[.\u3002\uff0e\uff61]")
# Browsers drop or refuse these in host names; Python's IDNA keeps some and drops others.
_INVISIBLE = re.compile(
    "[\u115f\u1160\u17b4\u17b5\u180f\u200c\u200d\u2064\u3164\uffa0\U0001bca0-\U0001bca3]"
)
# Unicode has changed the mapping of these, https://www.unicode.org/versions/corrigendum4.html
_CORRECTED = re.compile("[\u1806\U0002f868\U0002f874\U0002f91f\U0002f95f\U0002f9bf]")

# The standard's percent-encode sets: all other printable characters are sent as they are.
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
_PATH_SAFE = "".join(set(_PRINTABLE) - set('"#<>?^`{}'))
_QUERY_SAFE = "".join(set(_PRINTABLE) - set("\"#<>'"))


class _Parts(NamedTuple):
    """A URL without its fragment. `scheme` and `authority` are None in a relative one."""

    scheme: str | None
    authority: str | None
    path: str
    query: str | None


@dataclass(frozen=True, slots=True)
class Target:
    """The parts of a valid URL. `host` is ASCII; `path` includes the query."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str) -> "Target":
        """Parse an absolute URL.

        Raises `InvalidRequest` if it is malformed, `UrlNotAllowed` if its scheme or its credentials
        are not allowed.
        """
        parts = _split(url, MAX_CHARACTERS)
        if parts.scheme is None:
            raise InvalidRequest("The URL must be absolute, such as https://example.com/dog.jpg.")
        return cls._absolute(parts, parts.scheme)

    def redirect(self, location: str) -> "Target":
        """Return the target of a `Location` header. Raises what `parse` raises."""
        parts = _split(location, MAX_LOCATION_CHARACTERS, base_scheme=self.scheme)
        if parts.authority is not None:
            return self._absolute(parts, parts.scheme or self.scheme)
        path, _, query = self.path.partition("?")
        if parts.path:
            directory = "" if parts.path.startswith("/") else path.rpartition("/")[0] + "/"
            path, query = directory + parts.path, ""
        if parts.query is not None:
            query = parts.query
        return Target(self.scheme, self.host, self.port, _request_path(path, query))

    @classmethod
    def _absolute(cls, parts: _Parts, scheme: str) -> "Target":
        host, port = _host_and_port(parts.authority or "")
        port = DEFAULT_PORTS[scheme] if port is None else port
        return cls(scheme, host, port, _request_path(parts.path, parts.query or ""))


def _split(url: str, max_characters: int, base_scheme: str | None = None) -> _Parts:
    """Split `url`. One with the scheme of the base, but without slashes, is relative to it."""
    url = _LINE_BREAKS.sub("", url.strip(_PADDING))
    if surrogate := _SURROGATE.search(url):
        raise InvalidRequest(f"The URL contains the character {surrogate[0]!a}.")
    match = _SCHEME.match(url)
    scheme = match[1].lower() if match else None
    if scheme == "data":
        raise UrlNotAllowed(
            "A data: URL contains the image itself. Send the image's bytes as the body of "
            "POST /predict."
        )
    if scheme and scheme not in DEFAULT_PORTS:
        raise UrlNotAllowed("Only http and https URLs are allowed.")
    if len(url) > max_characters:
        raise InvalidRequest(f"The URL is longer than {max_characters} characters.")
    rest, _, _ = url[match.end() if match else 0 :].partition("#")
    before, mark, query = rest.partition("?")
    path = before.replace("\\", "/")
    if path.startswith("//") or (scheme and scheme != base_scheme):
        authority, slash, path = path.lstrip("/").partition("/")
        _refuse_user(authority, before.lstrip("/\\").partition("/")[0])
        return _Parts(scheme, authority, slash + path, query if mark else None)
    return _Parts(scheme, None, path, query if mark else None)


def _refuse_user(authority: str, authority_of_rfc_3986: str) -> None:
    if "@" in authority:
        raise UrlNotAllowed("URLs with a user name or a password are not allowed.")
    # Parsers that follow RFC 3986 would contact the host after the @.
    if "@" in authority_of_rfc_3986:
        raise InvalidRequest("The URL's host name is followed by a backslash and an @.")


def _host_and_port(authority: str) -> tuple[str, int | None]:
    """Return the host, normalised, and the port, if there is one."""
    host, port_text = _AUTHORITY.findall(authority)[0]
    port = int(port_text[1:] or -1) if _PORT.fullmatch(port_text) else 65536
    if not host:
        raise InvalidRequest("The URL has no host name.")
    if port > 65535:
        raise InvalidRequest("The URL's port is not an integer from 0 to 65535.")
    try:
        host = _ipv6(host[1:-1]) if host.startswith("[") else _domain(host)
    except ValueError:  # includes UnicodeError
        raise InvalidRequest("The URL's host name is invalid.") from None
    return host, None if port < 0 else port


def _ipv6(host: str) -> str:
    """Return `host` normalised. Raise `ValueError` if it is not IPv6, or has a zone."""
    if "%" in host:
        raise ValueError("IPv6 address with a zone, which is only valid on one machine")
    return str(ipaddress.IPv6Address(host))


def _domain(host: str) -> str:
    """Return `host` in ASCII. Raise `ValueError` if no host name can have its characters."""
    host = unquote_to_bytes(host).decode()
    if invisible := _INVISIBLE.search(host):
        raise InvalidRequest(
            f"The URL's host name contains the invisible character U+{ord(invisible[0]):04X}."
        )
    labels = _DOTS.split(host)
    if any(_maps_differently(label) for label in labels):
        raise ValueError("a character that browsers map to another one")
    host = ".".join(_keep_deviations(label) for label in labels)
    domain = host.encode("idna").decode("ascii").lower()
    if not _DOMAIN.fullmatch(domain):  # IDNA's normalisation makes spaces and more
        raise ValueError("a character that is not allowed in a host name")
    return domain


def _maps_differently(label: str) -> bool:
    """Return whether today's Unicode maps a character that Python's IDNA, of Unicode 3.2, keeps."""
    if _CORRECTED.search(label):
        return True
    mapped = re.sub("[ßς\u1e9e]", "", nameprep(label))
    return unicodedata.normalize("NFKC", mapped.casefold()) != mapped


def _keep_deviations(label: str) -> str:
    """Return a label with ß or ς in ASCII, as UTS 46 does: `nameprep` makes another name of it."""
    pieces = re.split("([ßς])", label.replace("\u1e9e", "ß"))
    if len(pieces) == 1:
        return label
    mapped = "".join(piece if piece in "ßς" else nameprep(piece) for piece in pieces)
    if re.search(r"[^a-z0-9_\x80-\U0010ffff-]", mapped):
        raise ValueError("a character that is not allowed in a host name")
    return "xn--" + mapped.encode("punycode").decode("ascii")


def _request_path(path: str, query: str) -> str:
    """Return path and query, encoded. Encoded parts stay the same, byte for byte."""
    encoded = quote(_without_dot_segments(path), safe=_PATH_SAFE)
    return f"{encoded}?{quote(query, safe=_QUERY_SAFE)}" if query else encoded


def _without_dot_segments(path: str) -> str:
    kept: list[str] = []
    segments = path.removeprefix("/").split("/")
    for segment in segments:
        name = segment.lower().replace("%2e", ".")
        if name == "..":
            del kept[-1:]
        elif name != ".":
            kept.append(segment)
    if name in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
