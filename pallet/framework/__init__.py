"""The scheduling framework: the contracts of plugins, and the runtime that calls them."""
