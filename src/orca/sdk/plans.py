"""What every plan is made of: a change that can say what it will do before it is done."""

from typing import Protocol


class Change(Protocol):
    """One planned effect on a host."""

    def describe(self) -> str:
        """One sentence in the present tense, for people: `create container orca-…-0 (hello:3f2a)`."""
        ...
