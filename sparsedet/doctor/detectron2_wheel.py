"""The pinned detectron2 wheel that `sparsedet doctor --fix` installs.

PyPI has no `detectron2`. Its `sal-detectron2` is a wheel of upstream's main branch of 2024, tagged
for Python 3.10; the Python code runs on later versions, too. The compiled operators don't, and are
not needed: Faster R-CNN uses torchvision's ROIAlign and NMS. `docs/detectron2.md` lists the parts
in use, and what to do if the wheel is withdrawn.
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
"""The reviewed and tested wheel, pinned by its hash."""
WHEEL_FILE = "sal_detectron2-0.7.2-cp310-none-any.whl"
"""The file name, required of copies: pip reads name and version from it."""
WHEEL_PYTHON = "3.10"
"""The Python version in the wheel's tag; pip needs an option to accept it on another."""

_NO_PIP = "No module named pip"
"""What Python says then, as in environments of uv."""

WAYS = (
    "there are three ways: the wheel from PyPI (sparsedet doctor --fix, with a network or a mirror "
    "that pip is configured for); a copy of that wheel (sparsedet doctor --fix --wheel FILE); or "
    f"build it from source instead: {SOURCE_BUILD}"
)
"""How to get detectron2, if the first way failed."""


def install_detectron2(wheel: Path | None = None) -> bool:
    """Install the pinned wheel, unless detectron2 can be imported; return whether it was installed.

    A working detectron2, for example a source build, is never touched.

    Args:
        wheel: a copy of the wheel, for machines without PyPI; its hash must match.

    Raises:
        SetupError: when torch is missing, a source build is broken, the copy has another name or
            hash, pip fails, or the result can't be imported.
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
            f"detectron2 was built from source, but can't be imported ({broken}); build it again "
            f"({SOURCE_BUILD}), or uninstall it and repeat the command"
        )
    with TemporaryDirectory() as folder:
        requirements = Path(folder) / "detectron2.txt"
        requirements.write_text(REQUIREMENT + "\n", encoding="ascii")
        result = subprocess.run(
            wheel_command(requirements, wheel), capture_output=True, text=True, check=False
        )
    if _NO_PIP in result.stderr:
        raise SetupError(
            "this environment has no pip to install detectron2 with: add it with "
            f"`{sys.executable} -m ensurepip` (or, in environments of uv, `uv pip install pip`), "
            "and repeat the command"
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
    """Return the pip command that installs the pinned wheel into this environment.

    Args:
        requirements: a file containing `REQUIREMENT`.
        wheel: a copy to install instead of PyPI's.
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
        # Without a target, pip insists on the Python version of its own environment.
        f"--target={sysconfig.get_path('purelib')}",
        # Overwrites leftovers of an interrupted installation.
        "--upgrade",
        f"--requirement={requirements}",
    )


def _check_copy(wheel: Path) -> None:
    """Check a copy's name and hash; pip's own message on hashes does not say what to do."""
    if not wheel.is_file():
        raise SetupError(f"--wheel {wheel}: no such file")
    if wheel.name != WHEEL_FILE:
        raise SetupError(f"--wheel {wheel}: the copy must be called {WHEEL_FILE}, as on PyPI")
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != WHEEL_SHA256:
        raise SetupError(
            f"--wheel {wheel}: its sha256 is {found}, expected {WHEEL_SHA256}; copy it again"
        )


def _import_error(*modules: str) -> str | None:
    """Import modules in a new process; return the last line of the error, or None.

    This process has cached which packages exist. -P ignores the current folder, where an unpacked
    source tree would look like the package.
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
