"""Where a browser may be sent: only to our own pages."""

import re

_LOCAL = re.compile(r"/(?![/\\])[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*")


def local_path(target: str, default: str = "/") -> str:
    """The path if it stays on this host, else the default."""
    return target if _LOCAL.fullmatch(target) else default
