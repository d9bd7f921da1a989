"""Pre-labels on a real server: content of unannotated tasks, and what is left alone."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sparsedet.errors import AnnotationError, ToolError
from sparsedet.integrations.label_studio import LabelStudioTool, prelabels
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.integrations.label_studio.demo.project_setup import import_tasks, set_up_project
from sparsedet.integrations.label_studio.drafts.draft_tasks import signed
from sparsedet.integrations.label_studio.predictions import (
    NewPrediction,
    StoredPrediction,
    import_predictions,
    read_predictions,
)
from sparsedet.integrations.label_studio.project_records import read_project, update_project
from sparsedet.integrations.label_studio.projects import export_tasks
from sparsedet.prelabels import Prelabel
from sparsedet.push_modes import no_progress
from tests.cli.command import sparsedet_here
from tests.integrations.label_studio.samples import (
    HEIGHT,
    WIDTH,
    rectangle,
    write_images,
)
from tests.prediction.random_run import make_random_run

pytestmark = pytest.mark.label_studio

ORANGE = Prelabel("orange", 0.9, (64.0, 48.0, 192.0, 96.0))
PARCEL = Prelabel("parcel", 0.6, (0.0, 0.0, 320.0, 240.0))
SEVERAL = """<View><Image name="image" valueList="$image"/>
<RectangleLabels name="label" toName="image"><Label value="orange"/><Label value="parcel"/>
</RectangleLabels></View>"""
COW = Prelabel("cow", 0.7, (10.0, 10.0, 20.0, 20.0))


@dataclass
class Finder:
    """A model that finds the same on every image."""

    run_id: str = "run-1"
    settings: str = "score 0.5"
    classes: Sequence[str] = ("orange", "parcel", "cow")
    boxes: Sequence[Prelabel] = (ORANGE, PARCEL, COW)
    most: int = 1000
    """After so many images it breaks."""
    seen: list[str] = field(default_factory=list)

    def find(
        self, files: Sequence[Path], classes: Collection[str]
    ) -> Iterator[Sequence[Prelabel] | AnnotationError]:
        for file in files:
            if len(self.seen) == self.most:
                raise KeyboardInterrupt
            assert file.is_file()
            self.seen.append(file.name)
            yield [box for box in self.boxes if box.label in classes]


@dataclass(frozen=True)
class Project:
    """A project on the server whose first task is annotated, the others not."""

    tool: LabelStudioTool
    id: str

    @property
    def tasks(self) -> list[int]:
        return sorted(task["id"] for task in export_tasks(self.tool.connection, int(self.id)))

    @property
    def predictions(self) -> dict[int, list[StoredPrediction]]:
        stored = read_predictions(self.tool.connection, int(self.id))
        return {task: list(own) for task, own in stored.items()}

    @property
    def shown(self) -> str:
        return str(read_project(self.tool.connection, int(self.id)).model_version)

    def add(self, task: int, model_version: str, result: Sequence[dict[str, object]]) -> None:
        new = [NewPrediction(task, result, model_version)]
        import_predictions(self.tool.connection, int(self.id), new, no_progress)

    def annotate(self, task: int, **more: object) -> None:
        body = {"result": [rectangle("orange")], **more}
        self.tool.connection.post_json(f"api/tasks/{task}/annotations/", body, "annotating")


@pytest.fixture
def four(tool: LabelStudioTool, tmp_path: Path, request: pytest.FixtureRequest) -> Project:
    """Four tasks, the first of them annotated."""
    drawn = write_images(tmp_path / "source", count=4)
    drawn = drawn.with_boxes(box for box in drawn.boxes if box.image_id == 1)
    title = request.node.name[:40]
    return Project(tool, set_up_project(tool.connection, title, drawn, tmp_path / "source"))


def test_tasks_without_annotation_get_the_boxes_and_show_them(four: Project) -> None:
    _, *others = four.tasks
    planned = four.tool.prelabel(four.id, Finder(most=0), dry_run=True)
    assert (planned.images, four.predictions) == (3, {})
    model = Finder()
    report = four.tool.prelabel(four.id, model)
    assert (report.images, report.kept, report.annotated, report.unread) == (3, 0, 1, 0)
    assert report.boxes == {"orange": 3, "parcel": 3}
    assert report.missing == ("cow",)
    assert sorted(four.predictions) == others
    for task, (prediction,) in four.predictions.items():
        assert prediction.model_version == report.model_version == four.shown
        orange, parcel = prediction.result
        assert orange["value"] == {
            "x": 10.0, "y": 10.0, "width": 20.0, "height": 10.0,
            "rotation": 0, "rectanglelabels": ["orange"],
        }  # fmt: skip
        assert (orange["score"], parcel["score"]) == (0.9, 0.6)
        assert (orange["original_width"], orange["original_height"]) == (WIDTH, HEIGHT)
        assert str(task) in model.seen[others.index(task)]


def test_again_changes_nothing_and_new_tasks_are_added(four: Project) -> None:
    four.tool.prelabel(four.id, Finder())
    before = four.predictions
    report = four.tool.prelabel(four.id, Finder(most=0))
    assert (report.images, report.kept, report.replaced) == (0, 3, 0)
    assert four.predictions == before
    data = export_tasks(four.tool.connection, int(four.id))[0]["data"]
    import_tasks(four.tool.connection, int(four.id), [{"data": data}])
    model = Finder()
    assert four.tool.prelabel(four.id, model).images == len(model.seen) == 1
    assert len(four.predictions) == 4


@pytest.mark.parametrize("newer", [Finder("run-2"), Finder(settings="score 0.3")])
def test_a_newer_model_replaces_ours_alone(four: Project, newer: Finder) -> None:
    _, second, third, fourth = four.tasks
    four.add(second, "somebody's", [rectangle("orange", score=0.5)])
    four.add(third, "run-1", signed([], [rectangle("parcel", score=0.5)]))
    others = {p.id for own in four.predictions.values() for p in own}
    four.tool.prelabel(four.id, Finder())
    older = {p.id for own in four.predictions.values() for p in own} - others
    four.annotate(fourth)
    report = four.tool.prelabel(four.id, newer)
    assert (report.images, report.replaced, report.annotated) == (2, 2, 2)
    left = {task: [p.id for p in own] for task, own in four.predictions.items()}
    assert {id for own in left.values() for id in own} >= others
    assert [len(left[task]) for task in (second, third, fourth)] == [2, 2, 1]
    # What somebody may have worked from stays.
    assert left[fourth][0] in older
    assert four.shown == report.model_version


def test_what_people_have_begun_with_or_skipped_is_left_alone(four: Project) -> None:
    _, second, third, fourth = four.tasks
    four.annotate(second, was_cancelled=True)
    what = "beginning"
    draft = {"result": [rectangle("orange")], "lead_time": 1}
    four.tool.connection.post_json(f"api/tasks/{third}/drafts", draft, what)
    report = four.tool.prelabel(four.id, Finder())
    assert (report.images, report.annotated) == (1, 3)
    assert list(four.predictions) == [fourth]


def test_images_on_which_nothing_is_found_are_looked_at_once(four: Project) -> None:
    report = four.tool.prelabel(four.id, Finder(boxes=()))
    assert (report.images, report.boxes) == (3, {})
    again = four.tool.prelabel(four.id, Finder(most=0))
    assert (again.images, again.kept) == (0, 3)


def test_it_is_undone(four: Project) -> None:
    _, second, third, _ = four.tasks
    four.add(second, "somebody's", [rectangle("orange", score=0.5)])
    four.tool.prelabel(four.id, Finder())
    four.annotate(third)
    planned = four.tool.undo_prelabels(four.id, dry_run=True)
    assert (planned.predictions, len(four.predictions)) == (2, 3)
    undone = four.tool.undo_prelabels(four.id)
    assert (undone.predictions, undone.kept) == (2, 1)
    assert four.shown == ""
    assert read_project(four.tool.connection, int(four.id)).shows_predictions
    assert sorted(four.predictions) == [second, third]
    assert [p.model_version for p in four.predictions[second]] == ["somebody's"]


def test_a_project_that_hid_predictions_hides_them_again(
    four: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, number = four.tool.connection, int(four.id)
    update_project(connection, number, {"show_collab_predictions": False}, "hiding")
    monkeypatch.setattr(prelabels, "_SECONDS", -1.0)
    with pytest.raises(KeyboardInterrupt):
        four.tool.prelabel(four.id, Finder(most=2))
    assert not read_project(connection, number).shows_predictions
    assert four.tool.prelabel(four.id, Finder()).kept == 2
    # What people see by now is ours, not what they had chosen.
    assert read_project(connection, number).shows_predictions
    four.tool.prelabel(four.id, Finder("run-2"))
    four.tool.undo_prelabels(four.id)
    after = read_project(connection, number)
    assert (after.shows_predictions, after.model_version) == (False, "")


def test_what_was_interrupted_is_completed(four: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    four.tool.prelabel(four.id, Finder("run-0"))
    shown = four.shown
    monkeypatch.setattr(prelabels, "_SECONDS", -1.0)
    with pytest.raises(KeyboardInterrupt):
        four.tool.prelabel(four.id, Finder(most=2))
    # Until the end all tasks have, and show, the predictions of before.
    assert four.shown == shown
    assert sorted(len(own) for own in four.predictions.values()) == [1, 2, 2]
    model = Finder()
    report = four.tool.prelabel(four.id, model)
    assert (report.images, report.kept, report.replaced) == (1, 2, 3)
    assert len(model.seen) == 1
    assert [len(own) for own in four.predictions.values()] == [1, 1, 1]


def test_an_import_whose_answer_got_lost_is_not_doubled(four: Project) -> None:
    report = four.tool.prelabel(four.id, Finder())
    second = four.tasks[1]
    four.add(second, report.model_version, [rectangle("orange", score=0.5)])
    again = four.tool.prelabel(four.id, Finder(most=0))
    assert again.replaced == 1
    assert len(four.predictions[second]) == 1


def test_a_model_that_people_chose_stays_shown(four: Project) -> None:
    second = four.tasks[1]
    four.add(second, "somebody's", [rectangle("orange", score=0.5)])
    connection = four.tool.connection
    update_project(connection, int(four.id), {"model_version": "somebody's"}, "choosing")
    report = four.tool.prelabel(four.id, Finder())
    assert report.shown_instead == four.shown == "somebody's"
    four.tool.undo_prelabels(four.id)
    assert four.shown == "somebody's"


def test_tasks_whose_image_can_not_be_had_are_counted(
    four: Project, caplog: pytest.LogCaptureFixture
) -> None:
    task = {"data": {"image": "/data/upload/nowhere/gone.jpg"}}
    (gone,) = import_tasks(four.tool.connection, int(four.id), [task])
    report = four.tool.prelabel(four.id, Finder())
    assert (report.images, report.unread) == (3, 1)
    assert gone not in four.predictions
    assert "left out 1 of 5 tasks: 1 whose image" in caplog.text
    more = import_tasks(four.tool.connection, int(four.id), [task, task, {"data": {"image": ""}}])
    with pytest.raises(ToolError, match=r"of 8 tasks 4 can't be read"):
        four.tool.prelabel(four.id, Finder("run-2"))
    assert more[0] not in four.predictions


def test_images_of_a_workspace_are_not_fetched_again(four: Project, tmp_path: Path) -> None:
    cache = tmp_path / "images"
    four.tool.pull(four.id, cache)
    report = four.tool.prelabel(four.id, Finder(), cache=cache)
    assert report.images == 3
    for file in cache.iterdir():
        file.write_bytes(b"no image")
    # They are taken from there: now they can't be read.
    with pytest.raises(ToolError, match="of 4 tasks 3 can't be read"):
        four.tool.prelabel(four.id, Finder("run-2"), cache=cache)


def test_projects_that_can_not_be_pre_labelled_are_one_line(four: Project) -> None:
    with pytest.raises(ToolError, match=r"has no label for any of the model's classes \(cow; its"):
        four.tool.prelabel(four.id, Finder(classes=["cow"]))
    for changes, says in (
        ({"label_config": SEVERAL}, "several images|one image per task"),
        ({"description": "[sparsedet review of project 1: control=label]"}, "is the review proj"),
    ):
        update_project(four.tool.connection, int(four.id), changes, "changing")
        with pytest.raises(ToolError, match=says):
            four.tool.prelabel(four.id, Finder())
    assert four.predictions == {}


def test_the_command(tool: LabelStudioTool, label_studio: LocalServer, tmp_path: Path) -> None:
    drawn = write_images(tmp_path / "source", count=2)
    names = ["7", "4"]
    categories = tuple(
        type(old)(old.id, name) for old, name in zip(drawn.categories, names, strict=True)
    )
    bare = type(drawn)(drawn.images, (), categories)
    project = set_up_project(tool.connection, "the command", bare, tmp_path / "source")
    run = make_random_run(tmp_path / "run")
    env = {"LABEL_STUDIO_URL": label_studio.url, "LABEL_STUDIO_API_KEY": label_studio.api_key}
    words = ("predict", run, "--push", project, "--score", "0.003", "--device", "cpu")
    planned = sparsedet_here(*words, "--dry-run", env=env)
    assert planned.status == 0, planned
    assert "2 tasks would get predictions at" in planned.out
    made = sparsedet_here(*words, env=env)
    assert made.status == 0, made
    assert "2 tasks got predictions with" in made.out
    assert f"project {project} has no label for them: 0, 1, 2, 3, 5, 6, 8, 9" in made.err
    assert f"sparsedet predict {run} --push {project} --undo" in made.err.replace("\u00a0", " ")
    again = sparsedet_here(*words, "--json", env=env).json()
    assert (again["images"], again["kept"]) == (0, 2)
    stored = read_predictions(tool.connection, int(project))
    labels = {r["value"]["rectanglelabels"][0] for (p,) in stored.values() for r in p.result}
    assert labels == set(names)
    assert all(r["score"] >= 0.003 for (p,) in stored.values() for r in p.result)
    undone = sparsedet_here("predict", run, "--push", project, "--undo", env=env)
    assert "2 predictions are deleted" in undone.out
    assert read_predictions(tool.connection, int(project)) == {}
