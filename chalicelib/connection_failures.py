"""Sentences for a failed connection to an image's host, by the exception's type and code."""

import errno
import http.client
import ssl

from chalicelib.connection import ConnectTimeout

# https://docs.openssl.org/master/man3/X509_STORE_CTX_get_error/
_CERTIFICATE_FAILURES = {
    9: "is not valid yet",
    10: "has expired",
    18: "is self-signed",
    19: "is self-signed",  # its authority is
    20: "is not from a trusted authority",
    21: "is not from a trusted authority",
    62: "is for another host name",
    64: "is for another IP address",
}
_OLD_TLS = frozenset(
    {
        "UNSUPPORTED_PROTOCOL",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "UNSAFE_LEGACY_RENEGOTIATION_DISABLED",
        "DH_KEY_TOO_SMALL",
        "WRONG_SIGNATURE_TYPE",
    }
)
_NO_COMMON_CIPHER = frozenset(
    {"SSLV3_ALERT_HANDSHAKE_FAILURE", "NO_SHARED_CIPHER", "TLSV1_ALERT_INSUFFICIENT_SECURITY"}
)
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})
_UNKNOWN_NAME = frozenset({"TLSV1_UNRECOGNIZED_NAME", "TLSV1_ALERT_UNRECOGNIZED_NAME"})
_NO_ROUTE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL})


def sentence(error: OSError) -> str:
    """Return what failed, for the client."""
    if isinstance(error, ssl.SSLCertVerificationError):
        failure = _CERTIFICATE_FAILURES.get(error.verify_code, "is not valid")
        return f"The TLS certificate of the image's host {failure}."
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return "The image's host closed the TLS connection."
    if isinstance(error, ssl.SSLError):
        return _tls_sentence(str(error.reason))
    if isinstance(error, ConnectTimeout):
        return "The image's host does not answer."
    if isinstance(error, ConnectionRefusedError):
        return "The image's host refuses connections on this port."
    if isinstance(error, http.client.RemoteDisconnected):
        return "The image's host closed the connection without a response."
    if isinstance(error, (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)):
        return "The image's host closed the connection."
    if error.errno in _NO_ROUTE:
        return "There is no network route to the image's host."
    return "The connection to the image's host failed."


def _tls_sentence(reason: str) -> str:
    if reason in _OLD_TLS:
        return "The image's host supports only old versions of TLS. At least TLS 1.2 is required."
    if reason in _NO_COMMON_CIPHER:
        return "The image's host rejected the TLS handshake: there is no common cipher."
    if reason in _NO_TLS:
        return "The image's host does not support https on this port."
    if reason in _UNKNOWN_NAME:
        return "The image's host has no website of this name."
    return "The TLS handshake with the image's host failed."
