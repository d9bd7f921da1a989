"""Where the API key may be sent: only to the host of LABEL_STUDIO_URL, unless the user agrees.

People share workspaces, and their `sparsedet.toml` and ledger name servers. The key in the
environment is for the user's own server, so it must not be sent to an address just because a file
names it: the address must be that of LABEL_STUDIO_URL, given as --url, or confirmed on a terminal.
"""

import os
import sys

from sparsedet.errors import ToolError

from .transport import origin

URL_VARIABLE = "LABEL_STUDIO_URL"
KEY_VARIABLE = "LABEL_STUDIO_API_KEY"

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def check_consent(url: str) -> None:
    """Check that the environment's key may be sent to an address that comes from a file.

    Args:
        url: a well-formed address.

    Raises:
        ToolError: if it may not, and the user can't be asked or declines.
    """
    known = os.environ.get(URL_VARIABLE, "").strip()
    try:
        expected = origin(known)
    except ValueError:
        expected = ("", "", 0)
    here = origin(url)
    if here == expected:
        return
    if known:
        why = f"{KEY_VARIABLE} is for {known}, but the workspace names {url}"
    else:
        why = f"the workspace names {url}, but {URL_VARIABLE} is not set to allow that"
    same = {expected[1], here[1]} <= _LOOPBACK and expected[2] == here[2] and bool(known)
    note = f" ({expected[1]} and {here[1]} count as two hosts)" if same else ""
    if _agrees(f"{why}{note}. Send the key there?"):
        return
    raise ToolError(
        f"{why}{note}; the key was not sent: if that is your server, set {URL_VARIABLE}={url} or "
        "pass --url, if the command has it"
    )


def _agrees(question: str) -> bool:
    """Ask on the terminal; without one, return False."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
