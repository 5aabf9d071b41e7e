"""A URL that a stranger sent, taken apart and found well formed."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from chalicelib.problems import InvalidRequest, UrlNotAllowed

MAX_CHARACTERS = 2048
DEFAULT_PORTS = {"http": 80, "https": 443}
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")


@dataclass(frozen=True, slots=True)
class Target:
    """The parts of one URL. `host` is ASCII; `path` goes into the request line as it is."""

    url: str
    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str) -> "Target":
        """Raises `InvalidRequest` for no absolute URL, `UrlNotAllowed` for other schemes."""
        if len(url) > MAX_CHARACTERS:
            raise InvalidRequest(f"The URL is longer than {MAX_CHARACTERS} characters.")
        if _FORBIDDEN.search(url):
            raise InvalidRequest("The URL holds a space, a backslash or a control character.")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise InvalidRequest("The URL is not well formed.") from None
        if parts.scheme and parts.scheme not in DEFAULT_PORTS:
            raise UrlNotAllowed("Only http and https URLs are fetched.")
        if not parts.scheme or not host:
            raise InvalidRequest("The URL must be absolute, like https://example.com/dog.jpg.")
        if "@" in parts.netloc:
            raise UrlNotAllowed("A URL with a user name or a password is not fetched.")
        try:
            host = _ipv6(host) if ":" in host else host.encode("idna").decode("ascii")
        except ValueError:  # UnicodeError is one
            raise InvalidRequest("The URL's host is not a valid name.") from None
        path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
        query = f"?{quote(parts.query, safe='/%:@!$&()*+,;=~-._?')}" if parts.query else ""
        return cls(
            url=url,
            scheme=parts.scheme,
            host=host,
            port=DEFAULT_PORTS[parts.scheme] if port is None else port,
            path=path + query,
        )

    def redirected(self, location: str) -> "Target":
        """Where a `Location` header leads from here. Raises what `parse` does."""
        try:
            return self.parse(urljoin(self.url, location))
        except ValueError:  # urljoin's own; `parse` raises no other
            raise InvalidRequest("The URL is not well formed.") from None


def _ipv6(host: str) -> str:
    """`host` if it is an IPv6 address without a zone, which only means something to one machine.

    Raises `ValueError`.
    """
    if "%" in host:
        raise ValueError("an address with a zone")
    return str(ipaddress.IPv6Address(host))
