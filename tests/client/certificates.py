"""Certificates of an authority of the tests' own."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Identity = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]
"""A key, and its certificate."""


def server_context(folder: Path, identity: Identity) -> ssl.SSLContext:
    """Give the TLS context of a server; its key is kept in the folder."""
    key, certificate = identity
    plain = serialization.NoEncryption()
    (folder / "server.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        + pem(certificate)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context


def authority(name: str = "ca") -> Identity:
    """Make a CA as many clusters have one: without key usage and key identifiers."""
    return _certificate(
        name, None, lambda builder: builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    )


def issue(ca: Identity) -> Identity:
    """Make the certificate of a server on the loopback address."""
    names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    return _certificate("server", ca, lambda builder: builder.add_extension(names, critical=False))


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _certificate(
    name: str,
    ca: Identity | None,
    extend: Callable[[x509.CertificateBuilder], x509.CertificateBuilder],
) -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(ca[1].subject if ca else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
    )
    return key, extend(builder).sign(ca[0] if ca else key, hashes.SHA256())
