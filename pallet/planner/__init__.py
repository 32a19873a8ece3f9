"""Planners: who decides where the pods of a set go together."""
