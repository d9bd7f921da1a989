"""sparsedet.toml: written with comments, read with errors that name the key."""

import codecs
from pathlib import Path

import pytest

from sparsedet.errors import SparseDetError
from sparsedet.loop.image_settings import ImageSettings
from sparsedet.loop.settings import (
    AcceptSettings,
    CostSettings,
    MiningSettings,
    ReviewSettings,
    RoundSettings,
    Settings,
    Source,
    TrainingSettings,
    ValidationSettings,
    change_source,
    new_settings,
    read_settings,
    write_settings,
)

SOURCE = Source(tool="label-studio", url="http://localhost:8080", project="7")


@pytest.mark.parametrize(
    "settings",
    [
        Settings(source=SOURCE),
        Settings(
            source=SOURCE,
            review=ReviewSettings(accept=AcceptSettings(precision=0.98, confidence=0.9)),
        ),
        Settings(
            source=Source(tool="files", url='C:\\data "quoted"', project="."),
            review=ReviewSettings(
                mode="sheets",
                complete_control="done",
                audit=5,
                suspicions=0,
                budget="30min",
                costs=CostSettings(drawing=12.5),
            ),
            training=TrainingSettings(
                method="plain",
                keys={"SOLVER.MAX_ITER": 800, "INPUT.MIN_SIZE_TRAIN": [320, 400], "X.Y": True},
            ),
            mining=MiningSettings(target_precision=0.9, hidden=0.0),
            rounds=RoundSettings(stop_at=0.99),
            validation=ValidationSettings(
                share=0.2, group_by=r"regex:(patient\d+)_", data="test.json"
            ),
            images=ImageSettings(
                max_megabytes=2.5, allow_hosts=["images.lan", "10.0.0.0/8"], storage="direct"
            ),
        ),
    ],
)
def test_what_is_written_is_read(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "sparsedet.toml"
    write_settings(settings, file)
    assert read_settings(file) == settings
    assert "# draft: drafts on the annotations themselves" in file.read_text()


def test_keys_become_words_of_the_command_line() -> None:
    training = TrainingSettings(keys={"SOLVER.MAX_ITER": 800, "INPUT.MIN_SIZE_TRAIN": [320]})
    assert training.overrides() == ["SOLVER.MAX_ITER", "800", "INPUT.MIN_SIZE_TRAIN", "[320]"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[source", "not valid TOML"),
        ("@\n[training]\ndevice = gpu", 'text needs quotes, as in: device = "cpu"'),
        ("@\n[training]\nseed = 1\nseed = 2", "may occur only once: change the existing line"),
        ("@\n[training]\n[training]", "may occur only once: change the existing line"),
        ("", "the setting source is missing"),
        ("[source]\ntool = 'x'\nurl = ''", "the setting source.project is missing"),
        ("@\n[training]\nmethod = 'magic'", "training.method = 'magic': input should be 'plain'"),
        ("@\n[training]\nspeed = 3", "unknown setting training.speed"),
        ("@\n[minning]", "unknown setting minning; did you mean mining?"),
        ("@\n[rounds]\nstop_att = 1", "unknown setting rounds.stop_att; did you mean stop_at?"),
        ("@\n[review.costs]\nboxs = 1", "unknown setting review.costs.boxs; did you mean box?"),
        ("@\n[review.costs]\nimage = inf", "review.costs.image is inf, expected a number"),
        (
            "@\n[review]\nmode = 'drafts'",
            "review.mode = 'drafts': input should be 'review-project', 'draft', 'sheets' or 'auto'",
        ),
        (
            "@\n[validation]\ngroup_by = 'video'",
            "group_by: can't group images by 'video': expected",
        ),
        ("@\n[validation]\ngroup_by = 'regex:('", "validation.group_by: can't group images by"),
        ("@\n[review]\naccept = {precision = 1}", "review.accept.precision = 1: input should be"),
        ("@\n[review]\nmode = 'draft'\nbudget = '2h'", 'review: mode = "draft" has no queue that'),
        (
            "@\n[review]\nmode = 'draft'\naccept = {precision = 0.9}",
            'review: accept needs mode = "review-project"',
        ),
        (
            "@\n[images]\nmax_seconds = inf",
            "images.max_seconds: must be a number; inf means no limit",
        ),
        ("@\n[images]\nmax_megabytes = 0", "images.max_megabytes = 0: input should be greater"),
        ("@\n[images]\nallow_hosts = ['http://a']", "allow_hosts: invalid host 'http://a': write"),
        ("@\n[images]\nstorage = 's3'", "images.storage = 's3': input should be 'label-studio'"),
        ("@\nskip_share = 2", "source.skip_share = 2: input should be less than or equal to 1"),
        ("@\n[validation]\nshare = 1.5", "validation.share = 1.5: input should be less than 1"),
    ],
)
def test_mistakes_name_the_key(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "sparsedet.toml"
    file.write_text(text.replace("@", "[source]\ntool = 'x'\nurl = ''\nproject = '7'"))
    with pytest.raises(SparseDetError, match=r"sparsedet\.toml: ") as error:
        read_settings(file)
    assert message in str(error.value)


def test_what_people_write_without_quotes_is_understood(tmp_path: Path) -> None:
    file = tmp_path / "sparsedet.toml"
    file.write_text(
        "[source]\ntool = 'x'\nurl = ''\nproject = 7\n[training.keys]\nSOLVER.MAX_ITER = 800"
    )
    settings = read_settings(file)
    assert settings.source.project == "7"
    assert settings.training.overrides() == ["SOLVER.MAX_ITER", "800"]


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(SparseDetError, match="run `sparsedet init` or `sparsedet pull`"):
        read_settings(tmp_path / "sparsedet.toml")


def test_a_file_that_was_cut_off_is_named(tmp_path: Path) -> None:
    """Settings after the cut would silently have their defaults."""
    path = tmp_path / "sparsedet.toml"
    write_settings(new_settings(Source(tool="files", url=".", project="cars")), path)
    whole = read_settings(path)
    text = path.read_text()
    path.write_text("".join(text.partition("# Which annotation counts")[:1]))
    with pytest.raises(SparseDetError, match=r"sparsedet\.toml: cut off: without \[images\]"):
        read_settings(path)
    path.write_text(text.partition("[images]")[0] + "[images]\n")
    assert read_settings(path) == whole


def test_a_file_with_a_byte_order_mark_can_be_changed(tmp_path: Path) -> None:
    """Some editors write one."""
    path = tmp_path / "sparsedet.toml"
    write_settings(new_settings(Source(tool="files", url=".", project="cars")), path)
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    change_source(path, {"view": 3})
    assert read_settings(path).source.view == 3


def test_a_linked_file_is_changed_where_it_is(tmp_path: Path) -> None:
    shared, path = tmp_path / "shared.toml", tmp_path / "sparsedet.toml"
    write_settings(new_settings(Source(tool="files", url=".", project="cars")), shared)
    path.symlink_to(shared)
    change_source(path, {"view": 3})
    assert path.is_symlink()
    assert read_settings(shared).source.view == 3
