"""The command line: the app, and what its commands share."""

if __name__ != "sparsedet.cli":
    raise ImportError(
        f"import sparsedet.cli, not {__name__}: a second import name would duplicate every class"
    )
