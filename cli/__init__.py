"""The command line: one file per command, each a thin call into the core."""

if __name__ != "sparsedet.cli":
    raise ImportError(
        f"import sparsedet.cli, not {__name__}: a second import name would duplicate every class"
    )
