"""Whether a workspace says what it is connected to, and who it is."""

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
            "missing; the workspace no longer says which project it belongs to",
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
        what = "missing: what the workspace has pushed counts as another one's"
    except (OSError, UnicodeDecodeError) as error:
        what = f"can't be read ({error})"
    else:
        what = "" if len(content.split("\n")) == 1 and content else "not the name of a workspace"
    if what:
        again = checked.command("round", "--take-over")
        yield Finding(
            "owner", checked.name(owner), f"{what}; the next push has to take over", again
        )


def _was_pushed(checked: Checked) -> bool:
    """Whether a round put anything up for review, for which it made itself a name."""
    return any(folder.push.is_file() for folder in checked.rounds)
