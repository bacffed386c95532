"""Deliveries at push hooks, counted for Prometheus by the process that they reach."""

from typing import Final, Literal, get_args

from prometheus_client import CollectorRegistry, Counter

from orca.features.triggers.pushes import Provider

Result = Literal["deployed", "left_alone", "repeated", "unsigned", "invalid"]
UNKNOWN: Final = "unknown"
"""The provider label of deliveries to an unknown hook."""


def make_counter(registry: CollectorRegistry) -> Counter:
    """Create the counter of this process, with zeros for what never arrived."""
    made = Counter("orc_hook_deliveries", "Deliveries at push hooks.", ["provider", "result"], registry=registry)
    for provider in get_args(Provider):
        for result in get_args(Result):
            made.labels(provider, result)
    return made
