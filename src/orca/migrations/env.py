"""Alembic environment: the caller hands over an open connection."""

from typing import Any, Literal

from alembic import context

import orca.events
import orca.features.access.models
import orca.features.deployments.models
import orca.features.identity.models
import orca.features.routing.models
import orca.features.secrets.models
import orca.features.services.models
import orca.features.sources.models
import orca.tasks  # noqa: F401 - imported so that every table is known
from orca.db import Base, UtcDateTime


def _is_ours(_object: Any, name: str | None, kind: str, _reflected: bool, _compare_to: Any) -> bool:
    return kind != "table" or name in Base.metadata.tables


def _render(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Migrations know plain types only: they must still run when the code has moved on."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    include_object=_is_ours,
    compare_type=True,
    render_item=_render,
)
with context.begin_transaction():
    context.run_migrations()
