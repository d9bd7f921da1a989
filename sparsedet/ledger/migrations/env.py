"""Runs the migrations on the connection that `sparsedet.ledger.database` hands over.

The transaction belongs to that connection, and logging to the program: neither is touched here.
"""

from alembic import context

from sparsedet.ledger.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # True since `Ledger` has its connections leave transactions to SQLAlchemy.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
