"""`python -m tools.bench --upstream`: Kubernetes' own scheduler benchmark, with two schedulers."""
