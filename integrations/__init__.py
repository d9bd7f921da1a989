"""Adapters of the port `sparsedet.tool`, found through entry points `sparsedet.integrations`."""

if __name__ != "sparsedet.integrations":
    raise ImportError(
        f"import sparsedet.integrations, not {__name__}: a second name makes every class twice"
    )
