"""Faults between a client and the API server, for tests and for chaos."""
