"""Kubernetes' programs as its releases publish them, checked against the checksums published beside them."""

import hashlib
import http.client
import os
import platform
import re
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

SITE = "https://dl.k8s.io"
VARIABLE = "KUBERNETES_DOWNLOADS"
ANSWER_SECONDS = 5.0
READ_SECONDS = 20.0
CHUNK_BYTES = 1024**2
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

_FAULTS = (OSError, http.client.HTTPException, ValueError)
"""What a site that is not there, or not whole, raises; time-outs are OSErrors."""


class NotTakenError(Exception):
    """A program cannot be taken as published; the message says why, in one line."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A published program: its size in bytes, and its SHA-256 in hexadecimal digits."""

    name: str
    url: str
    size: int
    sha256: str


def address() -> str:
    """The site that programs are taken from; empty where none is to be asked."""
    return os.environ.get(VARIABLE, SITE).rstrip("/")


def look_up(release: str, names: Sequence[str]) -> list[Offer]:
    """What a release, given by its URL, offers of the programs `names` for this kind of machine.

    Takes a few seconds at most. Raises `NotTakenError` unless it offers all.
    """
    machine = ARCHITECTURES.get(platform.machine(), platform.machine())
    urls = [f"{release}/bin/{platform.system().lower()}/{machine}/{name}" for name in names]
    # In threads, since nothing else puts a limit on how long a name is resolved.
    threads = ThreadPoolExecutor(len(urls))
    try:
        return list(threads.map(_look_up, names, urls, timeout=ANSWER_SECONDS))
    except _FAULTS as error:
        raise NotTakenError(f"cannot take programs from {release}: {_reason(error)}") from error
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def take(offer: Offer, file: Path) -> None:
    """Fetches a program into an executable file. Raises `NotTakenError`, and then leaves no file."""
    try:
        _fetch(offer, file)
    except BaseException as error:
        file.unlink(missing_ok=True)
        if isinstance(error, _FAULTS):
            raise NotTakenError(f"cannot take {offer.name} from {offer.url}: {_reason(error)}") from error
        raise


def _look_up(name: str, url: str) -> Offer:
    with _opened(f"{url}.sha256", ANSWER_SECONDS) as answer:
        sha256 = answer.read(1024).decode().strip()
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ValueError(f"{name}.sha256 holds no SHA-256")
    with _opened(url, ANSWER_SECONDS, "HEAD") as answer:
        return Offer(name, url, int(answer.headers.get("Content-Length", 0)), sha256)


def _fetch(offer: Offer, file: Path) -> None:
    digest = hashlib.sha256()
    with _opened(offer.url, READ_SECONDS) as answer, file.open("xb") as output:
        while chunk := answer.read(CHUNK_BYTES):
            digest.update(chunk)
            output.write(chunk)
    if digest.hexdigest() != offer.sha256:
        raise ValueError(
            f"{file.stat().st_size} of {offer.size} bytes came, and their SHA-256 is not the published one"
        )
    file.chmod(0o755)


def _opened(url: str, seconds: float, method: str = "GET") -> http.client.HTTPResponse:
    request = urllib.request.Request(url, method=method)  # noqa: S310 - the user's own setting, or https
    answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=seconds)  # noqa: S310
    return answer


def _reason(error: BaseException) -> str:
    return str(error) or "no answer in time"
