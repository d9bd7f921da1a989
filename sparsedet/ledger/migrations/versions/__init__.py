"""One script for each change of the ledger's schema. Ledgers are only ever upgraded."""
