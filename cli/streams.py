"""Standard streams that the caller has closed."""

import os
import sys
from pathlib import Path


def open_closed_streams() -> None:
    """Open closed standard streams on the null device.

    Python has None for them, which has no methods; and the next file to be opened would get their
    number, under which libraries print.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode)  # noqa: SIM115  open until the end
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)
