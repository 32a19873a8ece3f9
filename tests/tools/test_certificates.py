import ssl
from pathlib import Path

import pytest
from cryptography import x509

from tools.controlplane.certificates import Authority, Pair


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, hostname: str) -> ssl.SSLObject:
    """Lets both ends talk through memory until they are done; returns the server's end."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=hostname),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    waiting = list(ends)
    while waiting:
        for end in tuple(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                continue
    # TLS 1.3: the client is done before the server has judged its certificate.
    return ends[1]


def context(purpose: ssl.Purpose, authority: Authority, pair: Pair, folder: Path) -> ssl.SSLContext:
    made = ssl.create_default_context(purpose, cadata=authority.pair.certificate.decode())
    made.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN  # Python 3.13's default
    made.verify_mode = ssl.CERT_REQUIRED
    file = folder / f"{purpose.name}.pem"
    file.write_bytes(pair.certificate + pair.key)
    made.load_cert_chain(file)
    return made


@pytest.mark.parametrize("hostname", ["127.0.0.1", "localhost", "kubernetes.default.svc"])
def test_both_ends_pass_the_strict_verification(tmp_path: Path, hostname: str) -> None:
    authority = Authority.create()
    client = context(ssl.Purpose.SERVER_AUTH, authority, authority.client("ann", ["admins"]), tmp_path)
    server = context(ssl.Purpose.CLIENT_AUTH, authority, authority.server(["127.0.0.1"]), tmp_path)

    accepted = handshake(client, server, hostname)

    certificate = accepted.getpeercert()
    assert certificate
    assert certificate["subject"] == ((("organizationName", "admins"),), (("commonName", "ann"),))


def test_a_peer_serves_and_calls(tmp_path: Path) -> None:
    authority = Authority.create()
    pair = authority.peer("planner.team.svc")
    client = context(ssl.Purpose.SERVER_AUTH, authority, pair, tmp_path)
    server = context(ssl.Purpose.CLIENT_AUTH, authority, pair, tmp_path)
    handshake(client, server, "planner.team.svc")


def test_another_name_is_refused(tmp_path: Path) -> None:
    authority = Authority.create()
    client = context(ssl.Purpose.SERVER_AUTH, authority, authority.client("ann"), tmp_path)
    server = context(ssl.Purpose.CLIENT_AUTH, authority, authority.server(["127.0.0.1"]), tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for 'example\.org'"):
        handshake(client, server, "example.org")


def test_another_authority_is_refused(tmp_path: Path) -> None:
    authority, stranger = Authority.create(), Authority.create()
    client = context(ssl.Purpose.SERVER_AUTH, stranger, stranger.client("ann"), tmp_path)
    server = context(ssl.Purpose.CLIENT_AUTH, authority, authority.server(["127.0.0.1"]), tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(client, server, "localhost")


def test_an_authority_read_back_from_its_pair_signs_as_before() -> None:
    authority = Authority.create()
    again = Authority(authority.pair)
    issued = x509.load_pem_x509_certificate(again.client("ann").certificate)
    issued.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.pair.certificate))
