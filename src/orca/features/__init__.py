"""The features of Orca: one folder each, and this one list of them."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import Database
from orca.events import EventBus, connect_events
from orca.events.consumers import Consumer
from orca.features.manifest import Directory, Feature, Function, ReaderKey
from orca.resources import Resources
from orca.web.guard import OwnerResolver

FEATURES: Final = (
    "identity",
    "access",
    "audit",
    "notifications",
    "secrets",
    "projects",
    "systems",
    "services",
    "credentials",
    "sources",
    "routing",
    "deployments",
    "logs",
    "triggers",
    "terminals",
    "orphans",
    "disk",
    "teardown",
    "dashboard",
)
"""Folders with a `feature.py`. Routes, jobs and subscribers are installed in this order."""


@cache
def load_features() -> tuple[Feature, ...]:
    """Import every feature and return the manifests.

    The manifests are constants: nothing is registered, and the result does not depend on what was imported before. Call
    it in functions only: at import time the features are not complete yet.
    """
    return tuple(_load(name) for name in FEATURES)


def _load(name: str) -> Feature:
    feature = import_module(f"orca.features.{name}.feature").FEATURE
    if not isinstance(feature, Feature) or feature.name != name:
        raise RuntimeError(f"orca.features.{name}.feature: FEATURE is not the manifest of {name}")
    return feature


@cache
def all_owners() -> Mapping[str, OwnerResolver]:
    """Path parameter, such as `service_id` -> function that returns where its object belongs; of all features."""
    return {name: owner for feature in load_features() for name, owner in feature.owners.items()}


@cache
def all_directories() -> Mapping[str, Directory]:
    """Object type -> where its names are found; of all features."""
    return {kind: directory for feature in load_features() for kind, directory in feature.directories.items()}


def find_reader(key: ReaderKey[Function]) -> Function | None:
    """Return the function that a feature above implements this read with; None when there is none."""
    function: Function | None = _readers().get(key)
    return function


@cache
def _readers() -> dict[ReaderKey[Any], Any]:
    return {reader.key: reader.function for feature in load_features() for reader in feature.readers}


async def check_deletable(session: AsyncSession, object_type: str, object_id: str) -> None:
    """Run the checks of the features above before an object is deleted. Raises Conflict while something uses it."""
    for feature in load_features():
        if check := feature.deletion_checks.get(object_type):
            await check(session, object_id)


def list_consumers() -> list[Consumer]:
    """Return the durable consumers of all features."""
    return [consumer for feature in load_features() for consumer in feature.consumers]


def connect_subscribers(db: Database, resources: Resources) -> None:
    """Give the sessions of a database the event bus, which calls the subscribers of all features."""
    pairs = [pair for feature in load_features() for pair in feature.subscribers]
    subscribers = {name: [subscriber for other, subscriber in pairs if other == name] for name, _ in pairs}
    connect_events(db, EventBus(resources, subscribers))
