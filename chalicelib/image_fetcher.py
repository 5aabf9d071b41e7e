"""Fetches images from user-supplied URLs, protected against server-side request forgery.

A host name is resolved once, all of its addresses must be public, and the connection goes to one of
those addresses. There is no second look-up that DNS rebinding could answer differently.
https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
"""

import http.client
import re
import socket
import ssl
from collections.abc import Callable, Sequence

from chalicelib import addresses, connection_failures, content_codings, share_links
from chalicelib.addresses import Address
from chalicelib.causes import cause_of
from chalicelib.connection import Connection, OpenSocket, default_tls_context
from chalicelib.deadline import Deadline
from chalicelib.image_formats import MEDIA_TYPES
from chalicelib.problems import (
    ImageTooLarge,
    ImageUnreachable,
    InvalidRequest,
    NotAnImage,
    UrlNotAllowed,
)
from chalicelib.settings import Settings
from chalicelib.urls import Target

VERSION = "2026.11.26"
USER_AGENT = "fetches images on behalf of its users"
"""The part of the `User-Agent` that is the same in all versions and deployments.

The middleware refuses requests with it: a URL must not lead back to this API.
"""
_CHUNK_BYTES = 64 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SUCCESSES = frozenset({200, 203})  # 203: a proxy modified the response
_WEB_PAGE = re.compile(rb"<(!doctype\s+html|html)[\s>]", re.IGNORECASE)
_WEB_PAGE_START_BYTES = 1024
_INCOMPLETE = "The image's host closed the connection before the image was complete."

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
        self._headers = {
            # The wildcard, because some hosts refuse clients that name only certain types.
            "Accept": ", ".join((*MEDIA_TYPES, "image/*;q=0.9", "*/*;q=0.8")),
            "Accept-Encoding": "identity",  # images are already compressed
            "Connection": "close",
            "User-Agent": user_agent(settings.fetch_contact),
        }

    def fetch(self, url: str, before: Deadline | None = None) -> bytes:
        """Return the bytes of the image at `url`, following redirects.

        Raises `InvalidRequest`, `UrlNotAllowed`, `ImageUnreachable`, `NotAnImage` or
        `ImageTooLarge`, and `TimeoutError` if the caller's deadline `before` passes first.
        """
        deadline = Deadline(self._settings.fetch_timeout_s)
        if before is not None:
            deadline = before.earlier(deadline)
        target = share_links.direct(Target.parse(url))
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
            connection.request("GET", target.path, headers=self._headers)
            with connection.getresponse() as response:
                location = _location(response)
                if response.status in _REDIRECTS and location:
                    return b"", location
                if response.status not in _SUCCESSES:
                    raise ImageUnreachable(
                        f"The image's host responded with status {response.status}."
                    )
                connection.allow_body(self._settings.max_image_bytes)
                return _read_body(response, self._settings.max_image_bytes), None
        except TimeoutError:
            raise
        except OSError as error:
            raise ImageUnreachable(
                connection_failures.sentence(error), cause=cause_of(error)
            ) from None
        except http.client.IncompleteRead as error:
            raise ImageUnreachable(_INCOMPLETE, cause=cause_of(error)) from None
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


def user_agent(contact: str) -> str:
    """Return the `User-Agent` of fetches.

    https://foundation.wikimedia.org/wiki/Policy:Wikimedia_Foundation_User-Agent_Policy
    """
    comment = f"{contact}; {USER_AGENT}" if contact else USER_AGENT
    return f"WhatBreed/{VERSION} ({comment})"


def _location(response: http.client.HTTPResponse) -> str:
    """Return the `Location` header, or "". Hosts send UTF-8; `http.client` decodes Latin-1."""
    raw = (response.headers.get("Location") or "").encode("latin-1")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return "".join(chr(byte) if byte < 0x80 else f"%{byte:02X}" for byte in raw)


def _follow(target: Target, location: str) -> Target:
    """Return the target of a redirect. A malformed one is the host's fault, not the client's."""
    try:
        return target.redirect(location)
    except InvalidRequest:
        raise ImageUnreachable("The URL redirects to an invalid URL.") from None


def _read_body(response: http.client.HTTPResponse, max_bytes: int) -> bytes:
    """Return the body, or raise `ImageTooLarge` as soon as it is known to be too large."""
    codings = content_codings.codings_of(response.getheader("Content-Encoding", ""))
    if response.length is not None and response.length > max_bytes:
        raise ImageTooLarge.in_bytes(max_bytes)
    body = bytearray()
    while chunk := response.read(_CHUNK_BYTES):
        body += chunk
        if len(body) > max_bytes:
            raise ImageTooLarge.in_bytes(max_bytes)
    if response.length:  # declared, but never sent
        raise ImageUnreachable(_INCOMPLETE)
    image = content_codings.decode(bytes(body), codings, max_bytes)
    if _is_web_page(image):
        raise NotAnImage(
            "The URL leads to a web page, not to an image. Open the image itself in a browser and "
            "copy its address."
        )
    return image


def _is_web_page(body: bytes) -> bool:
    start = body[:_WEB_PAGE_START_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n")
    return start.startswith(b"<") and _WEB_PAGE.search(start) is not None
