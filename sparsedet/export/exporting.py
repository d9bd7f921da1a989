"""Export a trained detector to ONNX or TorchScript, with torch's own exporters."""

import mmap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

import torch
from detectron2.modeling import build_model
from torch import Tensor, nn

from sparsedet.atomic_io import atomic_path, write_text
from sparsedet.config.training_config import TrainingConfig, read_config
from sparsedet.errors import ExportError
from sparsedet.export.card import ModelCard
from sparsedet.export.traceable import TraceableDetector
from sparsedet.modeling.checkpoint import load_weights
from sparsedet.run_folder import RunFolder

Format = Literal["onnx", "torchscript"]
FORMATS: tuple[Format, ...] = get_args(Format)
CARD = "sparsedet.json"
"""Name of the model card within an exported file."""

_TITLE = b"# Model card: "
"""Start of a card's own file."""
_OPSET = 17
_INPUT, _OUTPUTS = "images", ("boxes", "scores", "classes")


def export_run(run: RunFolder, target: Path, format: Format) -> Path:
    """Export a run's finished model, with its model card next to it.

    Args:
        run: the run.
        target: the file.
        format: of the file.

    Returns:
        The card's file.

    Raises:
        ExportError: when a required package is not installed, the model is not supported, or
            something else than an older export is in the way.
        RunError: when the training has not finished.
    """
    if target.resolve() == run.model.resolve():
        raise ExportError(f"{target}: is the run's own model; choose another file")
    described = target.with_suffix(".card.md")
    _check_replaceable(target, "model exported by sparsedet", _holds_card)
    _check_replaceable(described, "model card", lambda data: data[: len(_TITLE)] == _TITLE)
    config = read_config(run.config).with_values({"MODEL.DEVICE": "cpu"})
    card = ModelCard.of_run(run, config)
    model = traceable(config, run.finished_model(), run.info().names)
    # Two images: a trace with one may turn the batch size into a constant.
    size = config.input.at_test().size(*_example_size(config))
    example = torch.randint(0, 255, (2, 3, *size), dtype=torch.uint8)
    with torch.inference_mode(), _quiet(), atomic_path(target) as temporary:
        if format == "onnx":
            _write_onnx(model, example, temporary, card)
        else:
            # no-untyped-call: torch.jit has no annotations.
            traced = torch.jit.trace(model, example, check_trace=False)  # type: ignore[no-untyped-call]
            torch.jit.save(traced, str(temporary), _extra_files={CARD: card.to_json()})
    write_text(described, card.to_markdown(target.stem))
    return described


def traceable(
    config: TrainingConfig, weights: Path, names: Sequence[str] | None = None
) -> TraceableDetector:
    """Return a model that exporters can trace, with its weights; see `load_weights`.

    Excludes the kernels of `modeling.cpu`, which are custom Python code.
    """
    model: nn.Module = build_model(config.node)
    load_weights(model, weights, names)
    return TraceableDetector(model.eval()).eval()


def _check_replaceable(path: Path, what: str, is_one: Callable[[mmap.mmap], bool]) -> None:
    """Refuse to overwrite anything but an older file of the same kind."""
    if path.is_dir():
        raise ExportError(f"{path}: is a folder; pass a file with -o")
    if not path.exists():
        return
    # An empty file can't be mapped.
    if path.stat().st_size:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if is_one(data):
                return
    raise ExportError(
        f"{path}: already exists and is not a {what}; not overwritten, choose another file with -o"
    )


def _holds_card(data: mmap.mmap) -> bool:
    """Whether a file has a card: as an entry of TorchScript's archive, or metadata of ONNX."""
    return data.rfind(CARD.encode()) >= 0


def _example_size(config: TrainingConfig) -> tuple[int, int]:
    """Return the height and width of an ordinary photo."""
    return 3 * config.input.min_size_test, 4 * config.input.min_size_test


def _write_onnx(model: nn.Module, example: Tensor, path: Path, card: ModelCard) -> None:
    try:
        import onnx
    except ModuleNotFoundError:
        raise ExportError(
            "onnx is not installed; `pip install 'sparsedet[onnx]'`, or export torchscript"
        ) from None
    any_size = {0: "batch", 2: "height", 3: "width"}
    # The exporter based on torch.export gives the same detections, and takes 40 times as long.
    torch.onnx.export(
        model,
        (example,),
        str(path),
        dynamo=False,
        opset_version=_OPSET,
        input_names=[_INPUT],
        output_names=list(_OUTPUTS),
        dynamic_axes={_INPUT: any_size, **{name: {0: "batch"} for name in _OUTPUTS}},
    )
    written = onnx.load(str(path))
    onnx.helper.set_model_props(written, {CARD: card.to_json()})
    onnx.checker.check_model(written)
    onnx.save(written, str(path))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporters' messages on their age and on tracing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
