"""Translates the filters of a list request to conditions of its query."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Select

_PAGING = frozenset({"limit", "cursor", "sort"})
NO_OTHERS: Mapping[str, Any] = {}
_SINCE, _UNTIL = "since", "until"


def narrow(query: Select[Any], table: Any, wanted: BaseModel, columns: Mapping[str, Any] = NO_OTHERS) -> Select[Any]:
    """Restrict the query to rows whose columns equal the fields of `wanted` with the same names; None is ignored.

    `since` and `until` compare `created_at`. `columns` maps fields to columns of another name or table.
    """
    for name, value in wanted:
        if value is None or name in _PAGING:
            continue
        column = columns[name] if name in columns else getattr(table, _column(name))
        condition = column >= value if name == _SINCE else column < value if name == _UNTIL else column == value
        query = query.where(condition)
    return query


def _column(name: str) -> str:
    return "created_at" if name in {_SINCE, _UNTIL} else name
