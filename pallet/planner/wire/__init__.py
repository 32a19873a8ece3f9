"""Messages generated from `api/planner.proto` by `make generate`; not to be edited."""
