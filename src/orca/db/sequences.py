"""Numbers that only grow, for rows that must be in order even if the clock jumps."""

from typing import Any

from sqlalchemy import BigInteger, Sequence
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import MappedColumn, mapped_column
from sqlalchemy.sql.functions import FunctionElement

from orca.db import Base


class NextNumber(FunctionElement[int]):
    """The next number of a table's `seq` column: from a sequence on PostgreSQL, the last one plus one on SQLite."""

    inherit_cache = False

    def __init__(self, table: str) -> None:
        super().__init__()
        self.table = table


@compiles(NextNumber)
def _next_after_last(element: NextNumber, _compiler: Any, **_options: Any) -> str:
    """SQLite: the last number plus one. It is unique, as only one transaction writes at a time."""
    return f"(SELECT coalesce(max(seq), 0) + 1 FROM {element.table})"  # noqa: S608 - a name of our own


@compiles(NextNumber, "postgresql")
def _next_of_sequence(element: NextNumber, _compiler: Any, **_options: Any) -> str:
    return f"nextval('{name_sequence(element.table)}')"


def name_sequence(table: str) -> str:
    """Return the name of the sequence that numbers the rows of a table on PostgreSQL."""
    return f"{table}_seq_seq"


def numbered(table: str) -> MappedColumn[int]:
    """Return the column `seq` of a table, whose rows are numbered in the order in which they are written."""
    Sequence(name_sequence(table), metadata=Base.metadata)
    return mapped_column(BigInteger, default=NextNumber(table), index=True)
