"""The pinned wheel of detectron2, for `sparsedet doctor --fix` where none can be imported.

The name `detectron2` is not on PyPI. `sal-detectron2` there is upstream's main branch of 2024 as a
wheel; its tag names Python 3.10, but its Python code runs on later versions too. Its compiled
operators do not, and detectron2 copes without: Faster R-CNN takes ROIAlign and NMS from
torchvision. `docs/detectron2.md` lists what is used of it, and what to do if the wheel disappears.
"""

import hashlib
import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory

from sparsedet.doctor.checks import DETECTRON2_MODULES, SOURCE_BUILD, installed, pip_command
from sparsedet.errors import SetupError

WHEEL_SHA256 = "491af0c7f79bdb2d178e46f6cb16a97c4ac968d45c41ea3f6b6435d59bbee561"
REQUIREMENT = f"sal-detectron2==0.7.2 --hash=sha256:{WHEEL_SHA256}"
"""The wheel whose content was read and tested, pinned by its hash."""
WHEEL_FILE = "sal_detectron2-0.7.2-cp310-none-any.whl"
"""Its name, which a copy must have: pip reads name and version from it."""
WHEEL_PYTHON = "3.10"
"""The Python that the wheel's tag names; pip needs an option to take it on another."""


WAYS = (
    "there are three ways: the wheel from PyPI (sparsedet doctor --fix, with a network or a mirror "
    "that pip is configured for); a copy of that wheel (sparsedet doctor --fix --wheel FILE); or "
    f"build it from source instead: {SOURCE_BUILD}"
)
"""How a machine gets detectron2, for those where the first way failed."""


def install_detectron2(wheel: Path | None = None) -> bool:
    """Install the pinned wheel unless some detectron2 can be imported; return whether it was.

    A detectron2 that works, built from source for example, is never touched.

    Args:
        wheel: a copy of the wheel, where PyPI can't be reached; its hash must be the pinned one.

    Raises:
        SetupError: when torch is missing, a source build is broken, the copy is another file, pip
            fails, or the result can't be imported.
    """
    if wheel is not None:
        _check_copy(wheel)
    broken = _import_error(*DETECTRON2_MODULES)
    if broken is None:
        return False
    if error := _import_error("torch", "torchvision"):
        raise SetupError(
            f"detectron2 needs torch and torchvision, which can't be imported ({error}); "
            "install them first"
        )
    if "detectron2" in installed():
        raise SetupError(
            f"a detectron2 that was built from source is installed but can't be imported "
            f"({broken}); build it again ({SOURCE_BUILD}), or uninstall it and repeat this"
        )
    with TemporaryDirectory() as folder:
        requirements = Path(folder) / "detectron2.txt"
        requirements.write_text(REQUIREMENT + "\n", encoding="ascii")
        result = subprocess.run(
            wheel_command(requirements, wheel), capture_output=True, text=True, check=False
        )
    if result.returncode:
        raise SetupError(f"pip can't install detectron2 ({_last_line(result.stderr)}); {WAYS}")
    if error := _import_error(*DETECTRON2_MODULES):
        raise SetupError(
            f"detectron2 was installed, but can't be imported ({error}); "
            f"build it from source instead: {SOURCE_BUILD}"
        )
    return True


def wheel_command(requirements: Path, wheel: Path | None = None) -> list[str]:
    """Return the pip command that installs the pinned wheel into the running environment.

    Args:
        requirements: a file that holds `REQUIREMENT`.
        wheel: a copy to take in place of PyPI's.
    """
    source = [] if wheel is None else ["--no-index", f"--find-links={wheel.resolve().parent}"]
    return pip_command(
        "install",
        *source,
        "--require-hashes",
        "--no-deps",
        "--only-binary=:all:",
        "--implementation=cp",
        f"--python-version={WHEEL_PYTHON}",
        # pip checks the Python version of its own environment unless a target is named.
        f"--target={sysconfig.get_path('purelib')}",
        # What stands there can't be imported: the rest of an interrupted installation.
        "--upgrade",
        f"--requirement={requirements}",
    )


def _check_copy(wheel: Path) -> None:
    """Refuse what is not the pinned wheel; pip would say of another hash only that it differs."""
    if not wheel.is_file():
        raise SetupError(f"--wheel {wheel}: no such file")
    if wheel.name != WHEEL_FILE:
        raise SetupError(f"--wheel {wheel}: the copy must be called {WHEEL_FILE}, as on PyPI")
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != WHEEL_SHA256:
        raise SetupError(
            f"--wheel {wheel}: its sha256 is {found}, that of the wheel that was tested "
            f"{WHEEL_SHA256}; copy it again"
        )


def _import_error(*modules: str) -> str | None:
    """Import modules in a fresh Python; return the last line of what it raised, None if all well.

    A fresh one, because this process has looked for packages before they were installed; and
    without the current folder (-P), where an unpacked source tree would look like the package.
    """
    result = subprocess.run(
        [sys.executable, "-P", "-c", f"import {', '.join(modules)}"],
        capture_output=True,
        text=True,
        check=False,
    )
    return _last_line(result.stderr) if result.returncode else None


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no message"
