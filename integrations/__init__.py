"""Adapters of the port `sparsedet.tool`, found through the entry points `sparsedet.integrations`."""
