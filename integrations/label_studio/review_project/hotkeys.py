"""The keys of a labelling config, and free ones for what we add to it.

The editor gives keys to labels without one; it leaves out those that the config names.
"""

import xml.etree.ElementTree as ElementTree

_CANDIDATES = "cxyjknmtgq"
"""The first unused one is chosen; none is a key of the editor."""


def named_keys(root: ElementTree.Element) -> set[str]:
    """Return the keys of an element of a labelling config and those in it, in lower case."""
    keys = (tag.get("hotkey", "").split(",") for tag in root.iter())
    return {key.strip().lower() for several in keys for key in several} - {""}


def free_key(used: set[str], first: str = "") -> str:
    """Return a key that is not in use, or "" if there is none.

    Args:
        used: from `named_keys`.
        first: key to prefer.
    """
    return next((key for key in first + _CANDIDATES if key not in used), "")
