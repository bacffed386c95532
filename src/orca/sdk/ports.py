"""Selects the visitors' port from those that an image declares. Pure."""

from collections.abc import Iterable

# Debuggers (Node.js, Java, Go, Python) and live reload, which are never for visitors.
_DEBUGGING = frozenset({9229, 9230, 5858, 5005, 2345, 40000, 5678, 35729, 24678})
_TLS = frozenset({443, 8443, 9443})
# Shells, mail, name servers, file servers, databases and brokers, to which browsers cannot connect.
_OTHER_PROTOCOLS = frozenset({
    21, 22, 25, 53, 110, 139, 143, 389, 445, 465, 587, 636, 993, 995, 1433, 1521, 1883, 2222, 3306, 4222, 4369, 5432,
    5671, 5672, 6379, 8883, 11211, 25672, 27017,
})  # fmt: skip
_HIGHEST = 65535


def read_port(text: str) -> int | None:
    """Parse a port number; None if it is not one."""
    digits = text[:6]
    is_port = digits.isascii() and digits.isdecimal() and 0 < int(digits) <= _HIGHEST
    return int(digits) if is_port else None


def find_visitor_ports(exposed: Iterable[int], named: int | None) -> tuple[int, ...]:
    """Return the candidates for the visitors' port: one if it is clear, several if only a person can decide.

    `exposed`: the ports of EXPOSE; `named`: PORT in the image's environment. Empty if there are none, or if only a
    debugger listens.
    """
    serving = [port for port in dict.fromkeys(exposed) if port not in _DEBUGGING]
    plain = [port for port in serving if port not in _TLS] or serving
    spoken = [port for port in plain if port not in _OTHER_PROTOCOLS] or plain
    if named and (named in serving or not serving):
        return (named,)
    return tuple(spoken)
