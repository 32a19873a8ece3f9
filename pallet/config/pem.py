"""Whether the PEM files that a setting names can be used, found before anything depends on them."""

import ssl
from collections.abc import Iterator
from pathlib import Path

from pallet.config.errors import FieldPath, Mistake

Named = tuple[FieldPath, str]
"""A file, with the place that names it. An empty name is no file."""


def authority_mistakes(authority: Named) -> Iterator[Mistake]:
    """Yield what is wrong with the file of a certificate authority."""
    place, file = authority
    if unread := _unreadable(authority):
        yield unread
    elif file:
        try:
            ssl.create_default_context(cafile=file)
        except ssl.SSLError as error:
            yield place.mistake(f"{file} cannot be used: it must hold certificates in PEM ({_reason(error)})")


def identity_mistakes(certificate: Named, key: Named) -> Iterator[Mistake]:
    """Yield what is wrong with a certificate and its key; without a file of its own, the key is in that of
    the certificate."""
    found = [mistake for named in (certificate, key) if (mistake := _unreadable(named))]
    yield from found
    place, file = certificate
    if found or not file:
        return
    try:
        # Without a password of our own, OpenSSL would ask for that of an encrypted key on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(file, key[1] or None, password="")
    except (ssl.SSLError, ValueError) as error:
        files = f"{file} and {key[1]}" if key[1] else file
        yield place.mistake(
            f"{files} cannot be used: they must hold a certificate and its key in PEM, without a password "
            f"({_reason(error)})"
        )


def _unreadable(named: Named) -> Mistake | None:
    place, file = named
    try:
        if file:
            Path(file).read_bytes()
    except OSError as error:
        return place.mistake(f"{file} cannot be read: {(error.strerror or str(error)).lower()}")
    return None


def _reason(error: ssl.SSLError | ValueError) -> str:
    return getattr(error, "reason", None) or str(error)
