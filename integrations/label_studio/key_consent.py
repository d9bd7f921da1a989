"""Where the API key may go: to one host, that of LABEL_STUDIO_URL, unless the user says otherwise.

A workspace is a folder that people hand on, and its `sparsedet.toml` and ledger name servers. The
key in the environment is for the user's own server, so an address from a file is none that the key
may go to: it has to be that of LABEL_STUDIO_URL, or given as --url, or agreed to on a terminal.
"""

import os
import sys

from sparsedet.errors import ToolError

from .transport import origin

URL_VARIABLE = "LABEL_STUDIO_URL"
KEY_VARIABLE = "LABEL_STUDIO_API_KEY"

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def check_consent(url: str) -> None:
    """Check that the key of the environment may go to an address that nobody gave just now.

    Args:
        url: a well-formed address.

    Raises:
        ToolError: when it may not, and there is no terminal to ask on, or the answer is no.
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
        why = f"{KEY_VARIABLE} is for {known}, and the workspace names {url}"
    else:
        why = f"the workspace names {url}, and no {URL_VARIABLE} says that {KEY_VARIABLE} is for it"
    same = {expected[1], here[1]} <= _LOOPBACK and expected[2] == here[2] and bool(known)
    note = f" ({expected[1]} and {here[1]} count as two hosts)" if same else ""
    if _agrees(f"{why}{note}. Send the key there?"):
        return
    raise ToolError(
        f"{why}{note}; the key was not sent: if that is your server, set {URL_VARIABLE}={url} or "
        "give --url, where the command takes it"
    )


def _agrees(question: str) -> bool:
    """Ask on the terminal; without one, nobody agrees."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
