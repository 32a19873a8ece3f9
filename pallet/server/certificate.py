"""The server's certificate: files if given, else one made up for this run."""

import ipaddress
import socket
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pallet.config.errors import FieldPath, fail, refuse
from pallet.config.pem import identity_mistakes

CERTIFICATE_FLAG: Final = FieldPath("--tls-cert-file")
KEY_FLAG: Final = FieldPath("--tls-private-key-file")

VALID_FOR: Final = timedelta(days=3650)
"""Nobody can verify a self-signed certificate, so its end could only ever do harm."""


def server_context(certificate: str = "", key: str = "") -> ssl.SSLContext:
    """Give the TLS context for the PEM files, or for a new self-signed certificate when none are named.

    Kubernetes' components do the same: the kubelet's probes and Prometheus do not verify them.
    Raise ConfigError, with the flag that names it, where a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # a client could have handshakes done without end
    if certificate:
        refuse(identity_mistakes((CERTIFICATE_FLAG, certificate), (KEY_FLAG, key)))
        context.load_cert_chain(certificate, key or None)
        return context
    if key:
        fail(KEY_FLAG, f"there is no certificate for this key: name its file with {CERTIFICATE_FLAG}")
    # The standard library loads them from files only. The folder is private and gone at once.
    with tempfile.TemporaryDirectory(prefix="pallet-") as folder:
        path = Path(folder) / "server.pem"
        path.write_bytes(self_signed(socket.gethostname()))
        context.load_cert_chain(path)
    return context


def self_signed(host: str) -> bytes:
    """Make a key and a certificate of its own for this host and for loopback, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
    now = datetime.now(UTC)
    names = [x509.DNSName(host), x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
