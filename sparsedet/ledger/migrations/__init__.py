"""The history of the ledger's schema: alembic scripts, run when an older ledger is opened."""
