"""The elements of every plan: changes that describe themselves before they are applied."""

from typing import Protocol


class Change(Protocol):
    """One planned effect on a host."""

    def describe(self) -> str:
        """One sentence in the present tense, for people: `create container orca-…-0 (hello:3f2a)`."""
        ...
