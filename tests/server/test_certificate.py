"""The server's certificate."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from pallet.config.errors import ConfigError
from pallet.server.certificate import self_signed, server_context


def test_a_self_signed_certificate_is_for_the_host_and_for_loopback() -> None:
    certificate = x509.load_pem_x509_certificate(self_signed("scheduler-0"))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["scheduler-0", "localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert certificate.not_valid_after_utc > datetime.now(UTC) + timedelta(days=365)


def test_every_run_has_another_key() -> None:
    assert self_signed("scheduler-0") != self_signed("scheduler-0")


def test_a_long_host_name_fits() -> None:
    certificate = x509.load_pem_x509_certificate(self_signed("a" * 200))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName)[0] == "a" * 200


def test_a_certificate_of_files_is_used(tmp_path: Path) -> None:
    file = tmp_path / "tls.pem"
    file.write_bytes(self_signed("scheduler-0"))
    assert server_context(str(file), str(file)).minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "--tls-cert-file: {file} cannot be read: no such file or directory"),
        (
            b"no certificate",
            "--tls-cert-file: {file} cannot be used: they must hold a certificate and its key",
        ),
    ],
    ids=["missing", "broken"],
)
def test_files_that_cannot_be_used_are_a_line_that_names_flag_and_file(
    tmp_path: Path, content: bytes | None, line: str
) -> None:
    file = tmp_path / "tls.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        server_context(str(file))
    assert str(caught.value).startswith(line.format(file=file))
    assert "\n" not in str(caught.value)


def test_a_key_that_is_missing_is_named(tmp_path: Path) -> None:
    file = tmp_path / "tls.pem"
    file.write_bytes(self_signed("scheduler-0"))
    with pytest.raises(ConfigError, match=r"^--tls-private-key-file: /gone cannot be read: no such file"):
        server_context(str(file), "/gone")
    with pytest.raises(ConfigError, match=r"^--tls-private-key-file: there is no certificate for this key"):
        server_context("", str(file))


def test_a_key_of_another_certificate_or_with_a_password_is_refused(tmp_path: Path) -> None:
    """Without a question on the terminal."""
    one, other, locked = (tmp_path / name for name in ("one", "other", "locked"))
    one.write_bytes(self_signed("scheduler-0"))
    other.write_bytes(self_signed("scheduler-0"))
    key = serialization.load_pem_private_key(one.read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    for file in (other, locked):
        with pytest.raises(ConfigError, match=r"^--tls-cert-file: .* and .* cannot be used"):
            server_context(str(one), str(file))
