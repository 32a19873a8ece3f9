"""A real Kubernetes node on this machine, for what kwok cannot show: images, probes, DNS, the kubelet.

containerd, kubelet and kube-proxy run as child processes beside a control plane whose API server listens on a
bridge of its own, where pods reach it. It needs root, and packages of Debian.
"""
