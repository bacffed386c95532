"""What a visitor finds at a hostname, which can differ from what was applied to the proxy."""

from datetime import datetime
from typing import Literal

Condition = Literal["live", "unreachable", "awaiting_certificate", "pending", "broken"]


def judge_certificate(
    ready_at: datetime | None, until: datetime | None, *, failed_looks: int, failed_orders: int, now: datetime
) -> Condition:
    """Return the condition of a served hostname with TLS `acme`: it depends on the state of its certificate."""
    if ready_at is not None:
        return "live" if until is not None and until > now else "awaiting_certificate"
    return "unreachable" if failed_looks and not failed_orders else "awaiting_certificate"
