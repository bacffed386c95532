"""Alembic environment: the caller hands over an open connection and, to write a new migration, what to compare with."""

from alembic import context

attributes = context.config.attributes
context.configure(connection=attributes["connection"], render_as_batch=True, **attributes.get("comparison", {}))
with context.begin_transaction():
    context.run_migrations()
