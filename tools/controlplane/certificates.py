"""A certificate authority and what it signs: server and client certificates, made for one control plane.

Python 3.13 and newer verify strictly (RFC 5280): an authority must carry key usage, and every certificate its
key identifiers. Keys are elliptic (P-256), which take no time to make.
"""

import datetime as dt
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
LIFETIME = dt.timedelta(days=365)
# A clock that lags a little must not see a certificate from the future.
CLOCK_SKEW = dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """Signs certificates; `pair` is its own."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self._certificate = x509.load_pem_x509_certificate(pair.certificate)
        key = serialization.load_pem_private_key(pair.key, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("the authority's key is not an elliptic one, as Authority.create makes them")
        self._key = key

    @classmethod
    def create(cls) -> Self:
        """A new authority, which signs itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("pallet-controlplane")
        builder = (
            _builder(name, name, key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
            )
        )
        return cls(Pair(_pem(builder.sign(key, hashes.SHA256())), key_pem(key)))

    def server(self, addresses: Iterable[str]) -> Pair:
        """A certificate for an API server that is reached at some IP addresses."""
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in SERVER_NAMES]
        names += (x509.IPAddress(ipaddress.ip_address(address)) for address in addresses)
        return self._issue(_name("kube-apiserver"), [ExtendedKeyUsageOID.SERVER_AUTH], names)

    def client(self, user: str, groups: Iterable[str] = ()) -> Pair:
        """A certificate that the API server takes for `user` in `groups`."""
        return self._issue(_name(user, groups), [ExtendedKeyUsageOID.CLIENT_AUTH])

    def peer(self, name: str) -> Pair:
        """A certificate for a host that serves and calls, as both ends of mutual TLS have it."""
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        return self._issue(_name(name), purposes, [x509.DNSName(name)])

    def _issue(
        self,
        subject: x509.Name,
        purposes: Iterable[x509.ObjectIdentifier],
        names: Iterable[x509.GeneralName] = (),
    ) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            _builder(subject, self._certificate.subject, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(issuer_key, critical=False)
        )
        if alternatives := list(names):
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        return Pair(_pem(builder.sign(self._key, hashes.SHA256())), key_pem(key))


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key as unencrypted PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def signing_key() -> bytes:
    """A new key with which the API server signs ServiceAccount tokens, PEM; it verifies with it as well."""
    return key_pem(ec.generate_private_key(ec.SECP256R1()))


def _name(common_name: str, organizations: Iterable[str] = ()) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in organizations]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
