"""The pinned wheel of detectron2, for `sparsedet doctor --fix` where none can be imported.

The name `detectron2` is not on PyPI. `sal-detectron2` there is upstream's main branch of 2024 as a
wheel; its tag names Python 3.10, but its Python code runs on later versions too. Its compiled
operators do not, and detectron2 copes without: Faster R-CNN takes ROIAlign and NMS from
torchvision.
"""

import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory

from sparsedet.doctor.checks import DETECTRON2_MODULES, SOURCE_BUILD, installed, pip_command
from sparsedet.errors import SetupError

REQUIREMENT = (
    "sal-detectron2==0.7.2 "
    "--hash=sha256:491af0c7f79bdb2d178e46f6cb16a97c4ac968d45c41ea3f6b6435d59bbee561"
)
"""The wheel whose content was read and tested, pinned by its hash."""
WHEEL_PYTHON = "3.10"
"""The Python that the wheel's tag names; pip needs an option to take it on another."""


def install_detectron2() -> bool:
    """Install the pinned wheel unless some detectron2 can be imported; return whether it was.

    A detectron2 that works, built from source for example, is never touched.

    Raises:
        SetupError: when torch is missing, a source build is broken, pip fails, or the result can't
            be imported.
    """
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
            wheel_command(requirements), capture_output=True, text=True, check=False
        )
    if result.returncode:
        raise SetupError(
            f"pip can't install detectron2 ({_last_line(result.stderr)}); "
            f"build it from source instead: {SOURCE_BUILD}"
        )
    if error := _import_error(*DETECTRON2_MODULES):
        raise SetupError(
            f"detectron2 was installed, but can't be imported ({error}); "
            f"build it from source instead: {SOURCE_BUILD}"
        )
    return True


def wheel_command(requirements: Path) -> list[str]:
    """Return the pip command that installs the pinned wheel into the running environment."""
    return pip_command(
        "install",
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
