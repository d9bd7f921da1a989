"""What sparsedet runs of detectron2: no compiled module, and only files that the manual lists."""

import re
import subprocess
import sys
from pathlib import Path

from sparsedet.doctor.checks import installed

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `([\w/]+\.py)` \| (\d+) \| (\d+) \| (\d+) \|$", re.MULTILINE)


def test_the_page_lists_the_files_that_run_without_the_compiled_module() -> None:
    """The script blocks `detectron2._C`: importing it fails, as where it is of another Python."""
    page = (ROOT / "docs/detectron2.md").read_text(encoding="utf-8")
    listed = {name for name, *_ in ROW.findall(page)}
    done = subprocess.run(
        [sys.executable, "-m", "docs.generate.detectron2_parts", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = {name for name, *_ in ROW.findall(done.stdout)}
    assert {"modeling/meta_arch/rcnn.py", "structures/instances.py"} <= found
    # A build from source may be of another version, whose functions lie in other files.
    if "sal-detectron2" in installed():
        assert found <= listed, found - listed


def test_nothing_of_ours_names_the_compiled_module() -> None:
    ours = [
        file
        for folder in ("sparsedet", "cli", "integrations")
        for file in (ROOT / folder).rglob("*.py")
    ]
    assert len(ours) > 100
    for file in ours:
        assert not re.search(
            r"detectron2(\._C| import _C)|model_zoo", file.read_text(encoding="utf-8")
        ), file
