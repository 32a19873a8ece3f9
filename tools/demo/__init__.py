"""`make demo`: the quickstart, step by step, on a cluster made for it."""
