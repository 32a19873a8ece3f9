"""The built-in plugins, one module each, and the registry that names them."""
