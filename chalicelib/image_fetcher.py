"""Fetches images from user-supplied URLs, protected against server-side request forgery.

A host name is resolved once, all of its addresses must be public, and the connection goes to one of
those addresses. There is no second look-up that DNS rebinding could answer differently.
https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
"""

import http.client
import socket
import ssl
from collections.abc import Callable, Sequence

from chalicelib import addresses
from chalicelib.addresses import Address
from chalicelib.causes import cause_of
from chalicelib.connection import Connection, OpenSocket, default_tls_context
from chalicelib.deadline import Deadline
from chalicelib.image_formats import MEDIA_TYPES
from chalicelib.problems import (
    ImageTooLarge,
    ImageUnreachable,
    InvalidRequest,
    UrlNotAllowed,
)
from chalicelib.settings import Settings
from chalicelib.urls import Target

USER_AGENT = "WhatBreed (fetches images on behalf of its users)"
"""The middleware refuses requests with it: a URL must not lead back to this API."""
_CHUNK_BYTES = 64 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = {
    "Accept": ", ".join(MEDIA_TYPES),
    # Images are already compressed; a compressed transfer could be a decompression bomb.
    "Accept-Encoding": "identity",
    "Connection": "close",
    "User-Agent": USER_AGENT,
}

Resolve = Callable[[str, int, Deadline], Sequence[Address]]


class ImageFetcher:
    """Fetches images within the limits of `settings`."""

    def __init__(
        self,
        settings: Settings,
        resolve: Resolve = addresses.resolve,
        open_socket: OpenSocket = socket.create_connection,
        tls_context: Callable[[], ssl.SSLContext] = default_tls_context,
    ) -> None:
        self._settings = settings
        self._resolve = resolve
        self._open_socket = open_socket
        self._tls_context = tls_context

    def fetch(self, url: str, before: Deadline | None = None) -> bytes:
        """Return the bytes of the image at `url`, following redirects.

        Raises `InvalidRequest`, `UrlNotAllowed`, `ImageUnreachable` or `ImageTooLarge`, and
        `TimeoutError` if the caller's deadline `before` passes first.
        """
        deadline = Deadline(self._settings.fetch_timeout_s)
        if before is not None:
            deadline = before.earlier(deadline)
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
        raise ImageUnreachable(
            f"The URL redirects more than {self._settings.fetch_max_redirects} times."
        )

    def _get(self, target: Target, deadline: Deadline) -> tuple[bytes, str | None]:
        """Send one GET request. Return the body, or the location of a redirect."""
        connection = Connection(
            target,
            self._allowed_addresses(target, deadline),
            deadline,
            self._settings.fetch_connect_timeout_s,
            self._open_socket,
            self._tls_context,
        )
        try:
            connection.request("GET", target.path, headers=_HEADERS)
            with connection.getresponse() as response:
                location = response.getheader("Location")
                if response.status in _REDIRECTS and location:
                    return b"", location
                if response.status != 200:
                    raise ImageUnreachable(
                        f"The image's host responded with status {response.status}."
                    )
                connection.allow_body(self._settings.max_image_bytes)
                return _read_body(response, self._settings.max_image_bytes), None
        except TimeoutError:
            raise
        except ssl.SSLError as error:
            raise ImageUnreachable(
                "The image's host has no valid TLS certificate.", cause=cause_of(error)
            ) from None
        except OSError as error:
            raise ImageUnreachable(
                "The connection to the image's host failed.", cause=cause_of(error)
            ) from None
        except (http.client.HTTPException, ValueError) as error:
            raise ImageUnreachable(
                "The image's host sent an invalid HTTP response.", cause=cause_of(error)
            ) from None
        finally:
            connection.hang_up()

    def _allowed_addresses(self, target: Target, deadline: Deadline) -> Sequence[Address]:
        """Resolve the host of `target`. Every one of its addresses must be allowed."""
        if addresses.is_nonstandard_ipv4(target.host):
            raise UrlNotAllowed("Numeric hosts such as 2130706433 are not allowed.")
        try:
            resolved = self._resolve(target.host, target.port, deadline)
        except addresses.UnknownHost:
            raise ImageUnreachable("The image's host name does not exist.") from None
        if self._settings.fetch_allow_loopback and all(map(addresses.is_loopback, resolved)):
            return resolved
        if target.port not in self._settings.fetch_ports:
            allowed = ", ".join(map(str, self._settings.fetch_ports))
            raise UrlNotAllowed(f"Port {target.port} is not allowed. Allowed: {allowed}.")
        if not all(map(addresses.is_public, resolved)):
            raise UrlNotAllowed("The URL's host has an address that is not public.")
        return resolved


def _follow(target: Target, location: str) -> Target:
    """Return the target of a redirect. A malformed one is the host's fault, not the client's."""
    try:
        return target.redirect(location)
    except InvalidRequest:
        raise ImageUnreachable("The URL redirects to an invalid URL.") from None


def _read_body(response: http.client.HTTPResponse, max_bytes: int) -> bytes:
    """Return the body, or raise `ImageTooLarge` as soon as it is known to be too large."""
    encoding = response.getheader("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise ImageUnreachable("The image's host sent a compressed response.")
    if response.length is not None and response.length > max_bytes:
        raise ImageTooLarge.in_bytes(max_bytes)
    body = bytearray()
    while chunk := response.read(_CHUNK_BYTES):
        body += chunk
        if len(body) > max_bytes:
            raise ImageTooLarge.in_bytes(max_bytes)
    if response.length:  # declared, but never sent
        raise ImageUnreachable(
            "The image's host closed the connection before the image was complete."
        )
    return bytes(body)
