"""Whether a workspace is whole: its files, images, ledger and rounds, and what the server has."""
