"""kube-scheduler's flags that `pallet` does not have, and what to do in their place."""

from collections.abc import Iterator, Sequence
from typing import Final

_ELECTION: Final = "set leaderElection.{} in the file of --config"
_CLIENT: Final = "set clientConnection.{} in the file of --config"
_REVIEWS: Final = (
    "whoever reads /metrics shows a bearer token, which is reviewed with the credentials of the scheduler "
    "itself; leave it out"
)
_TLS: Final = "port 10259 speaks HTTP/1.1 over TLS 1.2 or newer with the ciphers of OpenSSL; leave it out"
_VERSION: Final = "decisions are those of kube-scheduler 1.37 with every API server; leave it out"
_METRICS: Final = "all metrics are shown; drop or relabel them where they are scraped"
_LOGS: Final = "the log is text on stderr, a line for each record; leave it out"

NOT_APPLICABLE: Final[dict[str, str]] = {
    "--write-config-to": "read the configuration in effect at /configz of the secure port",
    "--cert-dir": "name the files with --tls-cert-file and --tls-private-key-file",
    "--disable-http2-serving": _TLS,
    "--http2-max-streams-per-connection": _TLS,
    "--permit-address-sharing": "the port is taken with SO_REUSEADDR always; leave it out",
    "--permit-port-sharing": "give each process a port of its own with --secure-port",
    "--tls-cipher-suites": _TLS,
    "--tls-curve-preferences": _TLS,
    "--tls-min-version": _TLS,
    "--tls-sni-cert-key": "name one certificate for all host names with --tls-cert-file",
    "--authentication-kubeconfig": _REVIEWS,
    "--authentication-skip-lookup": _REVIEWS,
    "--authentication-token-webhook-cache-ttl": "reviews are kept for 10 s; leave it out",
    "--authentication-tolerate-lookup-failure": _REVIEWS,
    "--client-ca-file": _REVIEWS,
    "--requestheader-allowed-names": _REVIEWS,
    "--requestheader-client-ca-file": _REVIEWS,
    "--requestheader-extra-headers-prefix": _REVIEWS,
    "--requestheader-group-headers": _REVIEWS,
    "--requestheader-uid-headers": _REVIEWS,
    "--requestheader-username-headers": _REVIEWS,
    "--authorization-always-allow-paths": (
        "/healthz, /livez and /readyz are open to everybody; for the others, let a role get the "
        "nonResourceURLs"
    ),
    "--authorization-kubeconfig": _REVIEWS,
    "--authorization-webhook-cache-authorized-ttl": "reviews are kept for 10 s; leave it out",
    "--authorization-webhook-cache-unauthorized-ttl": "reviews are kept for 10 s; leave it out",
    "--contention-profiling": "there is no /debug/pprof; profile the process with py-spy",
    "--kube-api-burst": _CLIENT.format("burst"),
    "--kube-api-content-type": "the API server is spoken to in JSON; leave it out",
    "--kube-api-qps": _CLIENT.format("qps"),
    "--pod-max-in-unschedulable-pods-duration": (
        "a pod is tried again after five minutes at the latest; leave it out"
    ),
    "--profiling": "there is no /debug/pprof; profile the process with py-spy",
    "--leader-elect-lease-duration": _ELECTION.format("leaseDuration"),
    "--leader-elect-renew-deadline": _ELECTION.format("renewDeadline"),
    "--leader-elect-resource-lock": _ELECTION.format("resourceLock"),
    "--leader-elect-resource-name": _ELECTION.format("resourceName"),
    "--leader-elect-resource-namespace": _ELECTION.format("resourceNamespace"),
    "--leader-elect-retry-period": _ELECTION.format("retryPeriod"),
    "--emulated-version": _VERSION,
    "--min-compatibility-version": _VERSION,
    "--allow-metric-labels": _METRICS,
    "--allow-metric-labels-manifest": _METRICS,
    "--disabled-metrics": _METRICS,
    "--show-hidden-metrics-for-version": _METRICS,
    "--log-flush-frequency": "each line is written at once; leave it out",
    "--log-json-info-buffer-size": _LOGS,
    "--log-json-split-stream": _LOGS,
    "--log-text-info-buffer-size": _LOGS,
    "--log-text-split-stream": _LOGS,
    "--logging-format": _LOGS,
    "--vmodule": "set how much is logged for all modules with -v",
}
"""The remedy for each flag. Flags of kube-scheduler 1.37 that are not here are flags of `pallet`."""


def refusals(unknown: Sequence[str]) -> Iterator[str]:
    """Yield a line for each of these flags among the words that are not known here."""
    for word in unknown:
        flag = word.partition("=")[0]
        if flag in NOT_APPLICABLE:
            yield f"{flag} does not apply: {NOT_APPLICABLE[flag]}"
