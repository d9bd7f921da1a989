"""Packages that other people might have installed, some of them broken."""

from pathlib import Path


def break_package(name: str, folder: Path) -> None:
    """Make a package that can't be imported, below a folder of `sys.path`."""
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text("raise ImportError('made for other torch')")


def distribution(name: str, folder: Path) -> Path:
    """Make the metadata of an installed distribution; return its folder."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    info.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    return info


def entry_point(name: str, source: str, folder: Path) -> None:
    """Make an integration of a module `NAME_tool` with a class `Tool`."""
    (folder / f"{name}_tool.py").write_text(source, encoding="utf-8")
    points = f"[sparsedet.integrations]\n{name} = {name}_tool:Tool\n"
    distribution(f"{name}_tool", folder).joinpath("entry_points.txt").write_text(points)
