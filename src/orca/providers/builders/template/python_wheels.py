"""The newest Python for which releases of well-known compiled or version-bound packages exist. Pure.

Without a wheel a package is compiled, which fails where compilers or headers are missing; old releases do not even
compile with a newer Python. A project that pins such a release and names no Python gets the newest that works.
"""

import re
from collections.abc import Mapping

# For each package: releases below the number have nothing newer than Python 3.N; ascending.
_LIMITS: dict[str, tuple[tuple[str, int], ...]] = {
    "numpy": (("1.19.3", 8), ("1.21.2", 9), ("1.23.2", 10), ("1.26", 11), ("2.1", 12), ("2.3.2", 13)),
    "pandas": (("1.1.3", 8), ("1.3.3", 9), ("1.5.1", 10), ("2.1.1", 11), ("2.2.3", 12), ("2.3.3", 13)),
    "scipy": (("1.5.4", 8), ("1.7.2", 9), ("1.9.2", 10), ("1.11.3", 11), ("1.14.1", 12), ("1.16.1", 13)),
    "scikit-learn": (("0.24", 8), ("1.0.2", 9), ("1.2", 10), ("1.3.1", 11), ("1.5.2", 12), ("1.7.2", 13)),
    "matplotlib": (("3.3.3", 8), ("3.5", 9), ("3.6.1", 10), ("3.8", 11), ("3.9.2", 12), ("3.10.5", 13)),
    "pillow": (("8.0", 8), ("8.4", 9), ("9.3", 10), ("10.1", 11), ("11.0", 12), ("12.0", 13)),
    "psycopg2-binary": (("2.8.6", 8), ("2.9.2", 9), ("2.9.5", 10), ("2.9.9", 11), ("2.9.10", 12), ("2.9.11", 13)),
    "psycopg-binary": (("3.0.5", 9), ("3.1.4", 10), ("3.1.12", 11), ("3.2.3", 12), ("3.2.11", 13)),
    "asyncpg": (("0.22", 8), ("0.25", 9), ("0.27", 10), ("0.29", 11), ("0.30", 12), ("0.31", 13)),
    "pydantic-core": (("2.10", 11), ("2.20", 12), ("2.41", 13)),
    "pydantic": (("1.9", 9), ("1.10.3", 10), ("1.11", 12), ("2.4", 11), ("2.8", 12), ("2.12", 13)),
    "cffi": (("1.14.4", 8), ("1.15", 9), ("1.15.1", 10), ("1.16", 11), ("1.17", 12), ("2.0", 13)),
    "aiohttp": (("3.7.3", 8), ("3.8.1", 9), ("3.8.3", 10), ("3.9", 11), ("3.10.6", 12), ("3.13", 13)),
    "greenlet": (("0.4.17", 8), ("1.1.2", 9), ("2.0", 10), ("3.0", 11), ("3.1", 12), ("3.2.4", 13)),
    "gevent": (("20.12", 8), ("21.12", 9), ("22.10", 10), ("23.9", 11), ("24.10", 12), ("25.8", 13)),
    "grpcio": (("1.33", 8), ("1.41.1", 9), ("1.49.1", 10), ("1.59", 11), ("1.66.2", 12), ("1.75.1", 13)),
    "lxml": (("4.6.1", 8), ("4.6.4", 9), ("4.9.2", 10), ("4.9.4", 11), ("5.3", 12), ("6.0.1", 13)),
    "pyyaml": (("5.4", 9), ("6.0", 9), ("6.0.1", 11), ("6.0.2", 12), ("6.0.3", 13)),
    "markupsafe": (("1.1.2", 9), ("2.0", 9), ("2.1", 10), ("2.1.2", 11), ("3.0", 12), ("3.0.3", 13)),
    "sqlalchemy": (("1.3.20", 8), ("1.4.26", 9), ("1.4.42", 10), ("2.0.22", 11), ("2.0.35", 12), ("2.0.43", 13)),
    "django": (("2.0", 7), ("3.1.3", 8), ("3.2.9", 9), ("4.1.3", 10), ("4.2.8", 11), ("5.1.3", 12), ("5.2.8", 13)),
    "torch": (("1.8", 8), ("1.11", 9), ("2.0", 10), ("2.2", 11), ("2.5", 12), ("2.9", 13)),
    "tensorflow": (("2.5", 8), ("2.8", 9), ("2.12", 10), ("2.16", 11), ("2.20", 12), ("2.30", 13)),
}  # fmt: skip


def newest_with_wheels(pins: Mapping[str, str]) -> tuple[int, str] | None:
    """The minor of the newest Python that all pins work with, and the pin that sets this limit; None for no limit."""
    limits = []
    for name, version in pins.items():
        for below, minor in _LIMITS.get(name, ()):
            if _order(version) < _order(below):
                limits.append((minor, f"{name} {version}"))
                break
    return min(limits, default=None)


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d{1,6}", version)[:4])
