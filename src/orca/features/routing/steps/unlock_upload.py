"""Opens an uploaded key or PKCS#12 file with its password, as a program of its own.

The file itself says how much work that is, and may ask for hours or all memory: here both end soon, and nothing else
with them. Reads JSON from standard input (`certificate`, `private_key`, `password`) and writes PEM, or what is wrong.
"""

import json
import resource
import sys
from datetime import UTC, datetime

from orca.features.routing.rules.uploads import Unusable, parse_certificate

_CPU_SECONDS, _MEMORY_BYTES = 5, 1 << 30


def main() -> None:
    """See the module."""
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
