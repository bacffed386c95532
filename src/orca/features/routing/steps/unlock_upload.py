"""Reads an uploaded certificate and its key, with an optional password, in a process of its own.

The files themselves determine the work, and may need hours or all memory: here both are limited, and only this process
ends. Reads JSON from standard input (`certificate`, `private_key`, `password`) and writes PEM, or the problem.
"""

import json
import resource
import sys
from datetime import UTC, datetime

from orca.features.routing.rules.uploads import Unusable, parse_certificate

_CPU_SECONDS, _MEMORY_BYTES = 8, 1 << 30
"""A valid RSA key of 8192 bits needs half of it."""


def main() -> None:
    """Read the upload from standard input within the limits of CPU time and memory."""
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    given = json.load(sys.stdin)
    try:
        parsed = parse_certificate(given["certificate"], given["private_key"], datetime.now(UTC), given["password"])
        answer = {"certificate": parsed.chain, "private_key": parsed.private_key}
    except Unusable as error:
        answer = {"field": error.field, "message": str(error)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
