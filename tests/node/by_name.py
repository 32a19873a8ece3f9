"""The certificate that the API server shows those who call it by name, of an authority of the tests' own."""

from pathlib import Path

from tools.controlplane.certificates import Authority

HOST = "kubernetes.default.svc"


def argument(folder: Path) -> str:
    """The API server's, to show the certificate of a folder, in which there is one from now on."""
    write(folder, Authority.create())
    return f"--tls-sni-cert-key={folder / 'name.crt'},{folder / 'name.key'}:{HOST}"


def write(folder: Path, authority: Authority) -> None:
    """Put a certificate of an authority into the folder; the API server reads it when it starts."""
    pair = authority.server([])
    (folder / "name.crt").write_bytes(pair.certificate)
    (folder / "name.key").write_bytes(pair.key)
