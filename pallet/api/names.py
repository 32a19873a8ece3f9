"""The shapes of names (Kubernetes documentation, "Object Names and IDs" and "Labels and Selectors")."""

import re

MAX_NAME = 253
"""The longest object name, in characters."""

_DNS_LABEL = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_DNS_LABEL}(?:\.{_DNS_LABEL})*")
_NAME = "[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_LABEL_VALUE = re.compile(_NAME)
_LABEL_KEY = re.compile(rf"(?:{_SUBDOMAIN.pattern}/)?{_NAME}")


def is_subdomain(text: str) -> bool:
    """Say whether a text is an RFC 1123 subdomain: what most objects may be named."""
    return len(text) <= MAX_NAME and _SUBDOMAIN.fullmatch(text) is not None


def is_label_value(text: str) -> bool:
    """Say whether a text may be the value of a label: empty, or up to 63 characters of a narrow set."""
    return not text or _LABEL_VALUE.fullmatch(text) is not None


def is_label_key(text: str) -> bool:
    """Say whether a text may be the key of a label: a name, or `subdomain/name`."""
    return _LABEL_KEY.fullmatch(text) is not None and text.find("/") <= MAX_NAME
