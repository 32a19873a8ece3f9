"""HTTP extenders: web services that filter, score or bind as well (extender/v1 of kube-scheduler)."""
