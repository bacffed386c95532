"""Alembic environment: the caller hands over an open connection and, to write a new migration, what to compare with."""

from alembic import context

attributes = context.config.attributes
context.configure(
    connection=attributes["connection"],
    render_as_batch=True,
    transactional_ddl=True,  # on SQLite too, where the caller's connection begins transactions itself
    **attributes.get("comparison", {}),
)
with context.begin_transaction():
    context.run_migrations()
