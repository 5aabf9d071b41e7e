"""Each way in which a connection fails has its own sentence."""

import errno
import http.client
import ssl

import pytest

from chalicelib.connection import ConnectTimeout
from chalicelib.connection_failures import sentence


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, "a host's text")
    error.reason = reason
    return error


def certificate_error(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "a host's text")
    error.verify_code = code
    return error


FAILURES = [
    (certificate_error(10), "certificate of the image's host has expired"),
    (certificate_error(9), "is not valid yet"),
    (certificate_error(18), "is self-signed"),
    (certificate_error(20), "is not from a trusted authority"),
    (certificate_error(62), "is for another host name"),
    (certificate_error(1), "certificate of the image's host is not valid."),
    (tls_error("UNSUPPORTED_PROTOCOL"), "TLS 1.2"),
    (tls_error("TLSV1_ALERT_PROTOCOL_VERSION"), "TLS 1.2"),
    (tls_error("SSLV3_ALERT_HANDSHAKE_FAILURE"), "no common cipher"),
    (tls_error("WRONG_VERSION_NUMBER"), "does not support https"),
    (tls_error("TLSV1_UNRECOGNIZED_NAME"), "no website of this name"),
    (tls_error("BAD_SIGNATURE"), "TLS handshake"),
    (ssl.SSLEOFError(8, "EOF"), "closed the TLS connection"),
    (ConnectTimeout(), "does not answer"),
    (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "refuses connections"),
    (http.client.RemoteDisconnected("x"), "without a response"),
    (ConnectionResetError(errno.ECONNRESET, "x"), "closed the connection."),
    (OSError(errno.EHOSTUNREACH, "x"), "no network route"),
    (OSError("x"), "connection to the image's host failed"),
]


@pytest.mark.parametrize(("error", "part"), FAILURES)
def test_sentences(error: OSError, part: str) -> None:
    text = sentence(error)
    assert part in text
    assert "a host's text" not in text
    assert text.endswith(".")
