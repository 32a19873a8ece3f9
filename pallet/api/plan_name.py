"""The name of a set's plan, as ciena/pallet forms it."""

from pallet.api.names import MAX_NAME, is_subdomain

# The characters of Kubernetes' generated names (k8s.io/apimachinery/pkg/util/rand), which spell no words.
_SAFE_CHARACTERS = "bcdfghjklmnpqrstvwxz2456789"


def plan_name(namespace: str, pod_set: str) -> str:
    """Name the SchedulePlan of a set: `<set>-<hash of namespace and set>`.

    A set that makes no object name (upper case, underscores, length) is named in lower case with dashes. The
    hash is of the set's own name, so that `Web` and `web` still have plans of their own.
    """
    suffix = "-" + _safe_encode(str(_fnv1a_32(f"{namespace}{pod_set}".encode())))
    name = pod_set + suffix
    return name if is_subdomain(name) else _legible(pod_set, MAX_NAME - len(suffix)) + suffix


def _fnv1a_32(data: bytes) -> int:
    """Hash bytes with FNV-1a, 32 bits."""
    value = 0x811C9DC5
    for byte in data:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def _safe_encode(text: str) -> str:
    """Replace each character by one that Kubernetes uses in generated names (its SafeEncodeString)."""
    return "".join(_SAFE_CHARACTERS[ord(character) % len(_SAFE_CHARACTERS)] for character in text)


def _legible(pod_set: str, length: int) -> str:
    """Make the first part of an object name out of any text."""
    letters = "".join(c if c.isascii() and c.isalnum() else "-" for c in pod_set.lower())
    return letters[:length].strip("-") or "set"
