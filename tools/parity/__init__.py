"""`make parity`: the decisions of pallet beside those of the real kube-scheduler, pod by pod.

Clusters are drawn at random from a seed and put on a real API server. For every pod, pallet decides first,
as a pure decision on its live cache; then the real kube-scheduler gets the same pod in the same state.
"""
