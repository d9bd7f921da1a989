"""Adapters of the port `sparsedet.tool`, found through entry points."""

if __name__ != "sparsedet.integrations":
    raise ImportError(
        f"import sparsedet.integrations, not {__name__}: a second import name would duplicate "
        "every class"
    )
