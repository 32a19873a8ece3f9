"""The server's certificate."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

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


@pytest.mark.parametrize("content", [None, b"no certificate"], ids=["missing", "broken"])
def test_files_that_cannot_be_used_are_an_error(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "tls.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(OSError):  # noqa: PT011 - which one depends on what is wrong
        server_context(str(file), str(file))
