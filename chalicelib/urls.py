"""Validation of user-supplied URLs."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from chalicelib.problems import InvalidRequest, UrlNotAllowed

MAX_CHARACTERS = 2048
DEFAULT_PORTS = {"http": 80, "https": 443}
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\\ud800-\udfff]")  # surrogates cannot be encoded

_DOMAIN = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Target:
    """The parts of a valid URL. `host` is ASCII; `path` includes the query."""

    url: str
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
        if len(url) > MAX_CHARACTERS:
            raise InvalidRequest(f"The URL is longer than {MAX_CHARACTERS} characters.")
        if forbidden := _FORBIDDEN.search(url):
            raise InvalidRequest(f"The URL contains the character {forbidden[0]!a}.")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise InvalidRequest("The URL is malformed.") from None
        if parts.scheme and parts.scheme not in DEFAULT_PORTS:
            raise UrlNotAllowed("Only http and https URLs are allowed.")
        if not parts.scheme or not host:
            raise InvalidRequest("The URL must be absolute, such as https://example.com/dog.jpg.")
        if "@" in parts.netloc:
            raise UrlNotAllowed("URLs with a user name or a password are not allowed.")
        try:
            host = _ipv6(host) if ":" in host else _domain(host)
        except ValueError:  # includes UnicodeError
            raise InvalidRequest("The URL's host name is invalid.") from None
        path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
        query = f"?{quote(parts.query, safe='/%:@!$&()*+,;=~-._?')}" if parts.query else ""
        return cls(
            url=url,
            scheme=parts.scheme,
            host=host,
            port=DEFAULT_PORTS[parts.scheme] if port is None else port,
            path=path + query,
        )

    def redirect(self, location: str) -> "Target":
        """Return the target of a `Location` header. Raises what `parse` raises."""
        try:
            return self.parse(urljoin(self.url, location))
        except ValueError:  # from urljoin
            raise InvalidRequest("The URL is malformed.") from None


def _domain(host: str) -> str:
    """Return `host` in ASCII. Raise `ValueError` if no host name can have its characters."""
    domain = host.encode("idna").decode("ascii")
    if not _DOMAIN.fullmatch(domain):  # IDNA's normalisation makes spaces and more
        raise ValueError("a character that is not allowed in a host name")
    return domain


def _ipv6(host: str) -> str:
    """Return `host` normalised. Raise `ValueError` if it is not IPv6, or has a zone."""
    if "%" in host:
        raise ValueError("IPv6 address with a zone, which is only valid on one machine")
    return str(ipaddress.IPv6Address(host))
