"""Lines out of a stream of bytes."""


class LineSplitter:
    """Puts lines together from pieces. A line may be as long as an object: there is no limit here."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take a piece and give the lines it completes, without their ends and without empty ones."""
        head, *lines = chunk.split(b"\n")
        self._rest.append(head)
        if not lines:
            return []
        first = b"".join(self._rest)
        self._rest = [lines.pop()]
        return [line for line in (first, *lines) if line]
