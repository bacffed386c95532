"""The end of a stream of any length, in bounded memory."""

_SLACK = 1 << 16


class Tail:
    """The last `limit` bytes of what was added."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept = bytearray()

    def add(self, chunk: bytes) -> None:
        """Append a chunk. Trimming happens only now and then, so that each byte is moved a bounded number of times."""
        self._kept += chunk
        if len(self._kept) > 2 * self._limit + _SLACK:
            del self._kept[: len(self._kept) - self._limit]

    def bytes(self) -> bytes:
        """Return the stored bytes."""
        return bytes(self._kept[max(0, len(self._kept) - self._limit) :])
