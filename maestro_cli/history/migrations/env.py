"""Alembic's environment for maestro's store of runs: works on the connection that it is handed."""

from __future__ import annotations

from alembic import context

live = context.config.attributes["connection"]
context.configure(
    connection=live,
    version_table=context.config.attributes["version_table"],
    transactional_ddl=True,
    render_as_batch=live.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
live.commit()
