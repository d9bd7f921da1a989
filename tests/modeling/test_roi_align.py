"""RoIAlign's gradient in threads: torchvision's to the last bit, whatever their number."""

import multiprocessing
import threading
from collections.abc import Iterator
from threading import Barrier, Thread

import pytest
import torch
from detectron2.modeling.poolers import ROIPooler, assign_boxes_to_levels
from detectron2.structures import Boxes
from torch import Tensor

from sparsedet.modeling import roi_align
from sparsedet.modeling.checkpoint import build
from sparsedet.modeling.roi_align import ThreadedROIAlign, use_threads
from sparsedet.training.methods import apply_method
from sparsedet.training.settings import load_config

SIZES = ((32, 40), (16, 20), (8, 10))


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Let torch have some threads."""
    usual = torch.get_num_threads()
    torch.set_num_threads(request.param)
    roi_align._threads.cache_clear()
    yield request.param
    torch.set_num_threads(usual)


def pooler_of(sampling_ratio: int = 1, *, threaded: bool) -> ROIPooler:
    """Return a pooler of three levels."""
    pooler = ROIPooler(7, (1 / 8, 1 / 16, 1 / 32), sampling_ratio, "ROIAlignV2")
    if threaded:
        use_threads(pooler)
    return pooler


def boxes_of(sides: tuple[float, float], count: int) -> Boxes:
    """Draw overlapping boxes, XYXY, on and beyond an image of 320 x 256 pixels."""
    corners = torch.rand(count, 2) * torch.tensor([320.0, 256.0]) - 10
    low, high = sides
    return Boxes(torch.cat([corners, corners + low + (high - low) * torch.rand(count, 2)], dim=1))


def pooled(
    pooler: ROIPooler, boxes: list[Boxes], dtype: torch.dtype | None = None, *, even: bool = False
) -> tuple[Tensor, list[Tensor]]:
    """Return what is pooled, and the gradients of the maps."""
    torch.manual_seed(1)
    maps = [
        torch.randn(len(boxes), 16, *size)
        .to(memory_format=torch.channels_last)
        .to(dtype or torch.float32)
        .requires_grad_()
        for size in SIZES
    ]
    with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
        features = pooler(maps, boxes)
    # The gradient of a sum is one number, at a stride of 0.
    features.backward(torch.ones(()).expand_as(features) if even else torch.randn_like(features))
    return features.detach(), [one.grad for one in maps if one.grad is not None]


def number_of_a_new_thread() -> int:
    """Return how many threads torch gives to a thread that begins now."""
    found: list[int] = []
    later = Thread(target=lambda: found.append(torch.get_num_threads()))
    later.start()
    later.join()
    return found[0]


@pytest.mark.parametrize("dtype", [None, torch.bfloat16], ids=["float32", "autocast"])
@pytest.mark.parametrize(
    ("sides", "counts", "levels"),
    [
        ((8, 90), (64, 64, 64, 64), {0}),
        ((8, 900), (64, 64, 64, 64, 64), {0, 1, 2}),
        ((500, 520), (9, 9), {2}),
        ((8, 90), (30, 0, 5), {0}),
        ((8, 900), (0, 40, 0, 0, 12), {0, 1, 2}),
        ((8, 90), (20,), {0}),
        ((8, 90), (0, 0), set()),
    ],
    ids=["one level", "levels", "the last level", "no box", "none at the ends", "one", "none"],
)
def test_features_and_gradients_are_those_of_torchvision(
    sides: tuple[float, float],
    counts: tuple[int, ...],
    levels: set[int],
    dtype: torch.dtype | None,
    threads: int,
) -> None:
    torch.manual_seed(0)
    boxes = [boxes_of(sides, count) for count in counts]
    assert set(assign_boxes_to_levels(boxes, 3, 5, 224, 4).tolist()) == levels
    features, gradients = pooled(pooler_of(threaded=True), boxes, dtype)
    expected, expected_gradients = pooled(pooler_of(threaded=False), boxes, dtype)
    assert features.dtype == expected.dtype
    assert torch.equal(features, expected)
    assert len(gradients) == len(expected_gradients) == 3
    assert all(map(torch.equal, gradients, expected_gradients))
    assert {level for level, one in enumerate(gradients) if one.any()} == levels


@pytest.mark.parametrize("sampling_ratio", [0, 2])
@pytest.mark.parametrize("even", [True, False])
def test_samples_and_layouts_of_any_kind(sampling_ratio: int, even: bool, threads: int) -> None:
    torch.manual_seed(0)
    boxes = [boxes_of((8, 900), 20) for _ in range(4)]
    _, gradients = pooled(pooler_of(sampling_ratio, threaded=True), boxes, even=even)
    _, expected = pooled(pooler_of(sampling_ratio, threaded=False), boxes, even=even)
    assert all(map(torch.equal, gradients, expected))


def test_groups_of_images_have_threads_that_work_alone(
    monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    seen = []
    operator = torch.ops.torchvision._roi_align_backward

    def noted(*arguments: object) -> object:
        seen.append((threading.get_ident(), torch.get_num_threads()))
        return operator(*arguments)

    monkeypatch.setattr(torch.ops.torchvision, "_roi_align_backward", noted)
    pooled(pooler_of(threaded=True), [boxes_of((8, 90), 64) for _ in range(4)])
    own = threading.get_ident()
    assert seen.count((own, threads)) == 3, "a group of every level"
    others = [number for ident, number in seen if ident != own]
    assert others == [1] * (3 * (threads - 1))


def test_every_thread_of_the_pool_works_alone_and_no_other(threads: int) -> None:
    count = 3
    pool = roi_align._threads(count)
    meeting = Barrier(count)

    def asked() -> int:
        meeting.wait(10)
        return torch.get_num_threads()

    assert [one.result() for one in [pool.submit(asked) for _ in range(count)]] == [1] * count
    assert number_of_a_new_thread() == threads
    assert torch.get_num_threads() == threads


def test_a_pool_that_can_t_be_set_up_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    started: list[Thread] = []
    start = Thread.start

    def start_one(thread: Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(Thread, "start", start_one)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        roi_align._threads(2)
    monkeypatch.undo()
    assert number_of_a_new_thread() == threads
    started[0].join(10)
    assert not started[0].is_alive(), "it waits for the others, and the interpreter for it"


def test_a_forked_process_has_threads_of_its_own(threads: int) -> None:
    """Its own have not come along; their pool would wait for them without end."""
    roi_align._threads(1).submit(int).result()
    context = multiprocessing.get_context("fork")
    answer, question = context.Pipe(duplex=False)
    process = context.Process(
        target=lambda: question.send(roi_align._threads(1).submit(int).result())
    )
    process.start()
    assert answer.poll(20), "no answer"
    process.join()


def test_detection_and_maps_that_are_not_trained_take_torchvision_s_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(roi_align, "_ROIAlign", None)
    maps = [torch.randn(1, 4, *size) for size in SIZES]
    boxes = [boxes_of((8, 90), 5)]
    assert torch.equal(
        pooler_of(threaded=True)(maps, boxes), pooler_of(threaded=False)(maps, boxes)
    )


def test_the_model_pools_so() -> None:
    cfg = load_config("lite0_fpn")
    apply_method(cfg, "plain")
    cfg.MODEL.DEVICE = "cpu"
    levels = list(build(cfg).roi_heads.box_pooler.level_poolers)
    assert [type(level) for level in levels] == [ThreadedROIAlign] * 3
    assert [level.spatial_scale for level in levels] == [1 / 8, 1 / 16, 1 / 32]
    assert {(level.output_size, level.sampling_ratio, level.aligned) for level in levels} == {
        ((7, 7), cfg.MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO, True)
    }
