"""`make bench`: pallet beside kube-scheduler and a blind binder, on one API server, in one run."""
