"""The machines that Orca manages: their rows, and the open handles of their connector, containers, engine and so on."""

from orca.systems.handles import Systems
from orca.systems.rows import LOCAL, System

__all__ = ["LOCAL", "System", "Systems"]
