"""Random inputs for every parser, compared with Go's own parsers where there is one."""
