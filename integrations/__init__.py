"""Adapters of the port `sparsedet.tool`, found through entry points `sparsedet.integrations`."""
