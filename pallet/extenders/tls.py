"""TLS to extenders, as their configuration says."""

import ssl
from pathlib import Path
from tempfile import TemporaryDirectory

from pallet.config.schema import Extender, ExtenderTLS


def tls_context(configuration: Extender) -> ssl.SSLContext:
    """How to prove who is who. It reads files; raises OSError (SSLError is one) and ValueError.

    With `enableHTTPS` and without a CA everybody is trusted, as in kube-scheduler.
    """
    tls = configuration.tls_config or ExtenderTLS()
    context = ssl.create_default_context(cafile=tls.ca_file or None, cadata=tls.ca_data.decode() or None)
    if tls.insecure or (configuration.enable_https and not tls.ca_file and not tls.ca_data):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert_data or tls.cert_file:
        _load_identity(context, tls)
    return context


def _load_identity(context: ssl.SSLContext, tls: ExtenderTLS) -> None:
    """Load the client's certificate; data goes by way of a file, since OpenSSL reads nothing else."""
    with TemporaryDirectory() as directory:
        certificate, key = Path(tls.cert_file), Path(tls.key_file)
        if tls.cert_data:
            certificate = Path(directory, "cert.pem")
            certificate.write_bytes(tls.cert_data)
        if tls.key_data:
            key = Path(directory, "key.pem")
            key.write_bytes(tls.key_data)
        context.load_cert_chain(certificate, key)
