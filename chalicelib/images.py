"""From a stranger's URL to the bytes of a picture, safely.

The only place that opens a connection to a stranger. What is checked is what is used: a host name
is resolved once, every address it leads to must be public, and the connection goes to one of those
very addresses, so that a second answer of the resolver (DNS rebinding) has no second question.
Source: https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
"""

import http.client
import ssl
from collections.abc import Callable, Sequence

from chalicelib import addresses
from chalicelib.addresses import Address
from chalicelib.connection import Connection
from chalicelib.deadline import Deadline
from chalicelib.problems import (
    ImageTooLarge,
    ImageUnreachable,
    InvalidRequest,
    NotAnImage,
    UrlNotAllowed,
)
from chalicelib.settings import Settings
from chalicelib.urls import Target

_CHUNK_BYTES = 64 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

Resolve = Callable[[str, int, Deadline], Sequence[Address]]


def media_type(payload: bytes) -> str:
    """The media type that the first bytes of `payload` show. Raises `NotAnImage` for others."""
    if payload.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if payload.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if payload[:4] == b"RIFF" and payload[8:12] == b"WEBP":
        return "image/webp"
    raise NotAnImage("What came is not a JPEG, PNG or WebP image.")


class Fetcher:
    """Fetches pictures within the limits of `settings`."""

    def __init__(self, settings: Settings, resolve: Resolve = addresses.resolve) -> None:
        self._settings = settings
        self._resolve = resolve

    def fetch(self, url: str, before: Deadline | None = None) -> bytes:
        """The bytes behind `url`, redirects followed.

        Raises `InvalidRequest`, `UrlNotAllowed`, `ImageUnreachable`, `ImageTooLarge`, and
        `TimeoutError` where it is not done `before` a deadline of the caller's.
        """
        deadline = Deadline(self._settings.fetch_timeout_s)
        if before is not None:
            deadline = before.sooner(deadline)
        target = Target.parse(url)
        try:
            for _ in range(self._settings.fetch_max_redirects + 1):
                body, location = self._get(target, deadline)
                if location is None:
                    return body
                target = _follow(target, location)
        except TimeoutError:
            if deadline is before:
                raise
            seconds = self._settings.fetch_timeout_s
            raise ImageUnreachable(
                f"The image did not arrive within {seconds:g} seconds."
            ) from None
        raise ImageUnreachable("The image's URL redirects too often.")

    def _get(self, target: Target, deadline: Deadline) -> tuple[bytes, str | None]:
        """One GET, to a checked address: the body, or where a redirect leads.

        Raises what `fetch` does, and `TimeoutError`.
        """
        found = self._checked_addresses(target, deadline)
        connection = Connection(target, found, deadline, self._settings.fetch_connect_timeout_s)
        try:
            connection.request("GET", target.path, headers=_HEADERS)
            with connection.getresponse() as response:
                location = response.getheader("Location")
                if response.status in _REDIRECTS and location:
                    return b"", location
                if response.status != 200:
                    raise ImageUnreachable(f"The image's host answered with {response.status}.")
                connection.lift_header_limit(self._settings.max_image_bytes)
                return _read_body(response, self._settings.max_image_bytes), None
        except TimeoutError:
            raise
        except ssl.SSLError as error:
            raise ImageUnreachable(
                "The image's host has no valid certificate.", cause=repr(error)
            ) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ImageUnreachable(
                "The image's host does not answer as a web server should.", cause=repr(error)
            ) from None
        finally:
            connection.hang_up()

    def _checked_addresses(self, target: Target, deadline: Deadline) -> Sequence[Address]:
        """Where the host leads, if all of it is allowed: one private address spoils the host."""
        if addresses.is_disguised(target.host):
            raise UrlNotAllowed("The URL's host is a number in place of a name or an address.")
        try:
            found = self._resolve(target.host, target.port, deadline)
        except addresses.UnknownHost:
            raise ImageUnreachable("The image's host is not known.") from None
        if self._settings.fetch_allow_loopback and all(map(addresses.is_loopback, found)):
            return found
        if target.port not in self._settings.fetch_ports:
            raise UrlNotAllowed(f"Port {target.port} is not allowed in the URL.")
        if not all(map(addresses.is_public, found)):
            raise UrlNotAllowed("The URL leads to an address that is not public.")
        return found


_HEADERS = {
    "Accept": "image/jpeg, image/png, image/webp",
    # A picture is compressed already; what comes compressed again could be a bomb.
    "Accept-Encoding": "identity",
    "Connection": "close",
    "User-Agent": "WhatBreed (fetches a picture that a user named)",
}


def _follow(target: Target, location: str) -> Target:
    """The target of a redirect; that it is malformed is the host's fault, not the caller's."""
    try:
        return target.redirected(location)
    except InvalidRequest as error:
        raise ImageUnreachable("The image's URL redirects to no URL.", cause=str(error)) from None


def _read_body(response: http.client.HTTPResponse, max_bytes: int) -> bytes:
    """The body, given up as soon as it is known to be too large."""
    too_large = ImageTooLarge(f"The image has more than {max_bytes} bytes.")
    encoding = response.getheader("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise ImageUnreachable("The image's host sends it compressed, which was not asked for.")
    if response.length is not None and response.length > max_bytes:
        raise too_large
    body = bytearray()
    while chunk := response.read(_CHUNK_BYTES):
        body += chunk
        if len(body) > max_bytes:
            raise too_large
    if response.length:  # bytes that were declared and never came
        raise ImageUnreachable("The image's host broke off before the image was complete.")
    return bytes(body)
