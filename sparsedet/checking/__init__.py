"""Check that a workspace is intact: its files, images, ledger, rounds and pushes to servers."""
