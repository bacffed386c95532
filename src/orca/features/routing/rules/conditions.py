"""What a visitor finds at a hostname, which is not the same as what the proxy was told."""

from datetime import datetime
from typing import Literal

Condition = Literal["live", "unreachable", "awaiting_certificate", "pending", "broken"]


def judge_certificate(
    ready_at: datetime | None, until: datetime | None, *, failed_looks: int, failed_orders: int, now: datetime
) -> Condition:
    """How far a name with a public certificate is that the proxy serves: the certificate decides what is seen."""
    if ready_at is not None:
        return "live" if until is not None and until > now else "awaiting_certificate"
    return "unreachable" if failed_looks and not failed_orders else "awaiting_certificate"
