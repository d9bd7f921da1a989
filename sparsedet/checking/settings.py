"""Check a workspace's connection and identity."""

from collections.abc import Iterator

from sparsedet.checking.checked import Checked
from sparsedet.checking.finding import Finding, one_line
from sparsedet.errors import SparseDetError


def check_settings(checked: Checked) -> Iterator[Finding]:
    """Check `sparsedet.toml` and, once something was pushed, `owner.id`."""
    workspace = checked.workspace
    file = workspace.settings_file
    if not file.exists():
        yield Finding(
            "settings-missing",
            checked.name(file),
            "missing; nothing else says which project the workspace belongs to",
            checked.command("init", "--project", "NUMBER"),
        )
    else:
        try:
            workspace.settings()
        except (SparseDetError, OSError) as error:
            yield Finding(
                "settings-broken",
                checked.name(file),
                f"{one_line(error, file)}; correct it by hand",
            )
    owner = workspace.root / "owner.id"
    if not _was_pushed(checked):
        return
    try:
        content = owner.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        what = "missing: the workspace's pushes count as another workspace's"
    except (OSError, UnicodeDecodeError) as error:
        what = f"can't be read ({error})"
    else:
        what = "" if content.isprintable() and content else "invalid workspace name"
    if what:
        again = checked.command("round", "--take-over")
        yield Finding(
            "owner", checked.name(owner), f"{what}; the next push has to take over", again
        )


def _was_pushed(checked: Checked) -> bool:
    """Whether a round was pushed, which requires a name."""
    return any(folder.push.is_file() for folder in checked.rounds)
