"""The reviewers' instruction, and its ownership."""

import pytest

from sparsedet.integrations.label_studio.labelling_config.label_config import CompleteMark
from sparsedet.integrations.label_studio.review_project.instruction import instruction, is_ours

MARK = CompleteMark("sparsedet_complete", "image", "Complete")

EARLIER = (
    "Boxes with a score are a model's: delete the wrong ones, correct the others, leave the right "
    "ones, and Submit. Boxes of a skipped task stay undecided, to be reviewed another time; a box "
    "hidden with the eye icon counts as kept.",
    "Boxes with a score are a model's: delete the wrong ones, correct the others, leave the right "
    "ones. Draw every object that still has no box, also where the model found nothing. Then mark "
    "the image as complete{}, and Submit. The order of the list is the one in which most is found "
    "per minute. Boxes of a skipped task stay undecided, to be reviewed another time; a box hidden "
    "with the eye icon counts as kept.",
)


def test_names_the_choice_and_its_key() -> None:
    assert "tick <b>Complete</b> (key <kbd>c</kbd>): " in instruction(MARK, "c")
    assert "tick <b>Complete</b>: " in instruction(MARK, "")
    renamed = CompleteMark("done", "image", "all", value="boxes < all & done")
    assert "tick <b>boxes &lt; all &amp; done</b>" in instruction(renamed, "")


def test_says_where_drawing_can_wait() -> None:
    assert "Where <b>drawing can wait</b> is ticked, you need not" in instruction(MARK, "c")


def test_a_changed_text_is_not_ours() -> None:
    text = instruction(MARK, "c")
    assert is_ours(text)
    assert is_ours(text.replace("\n", "\r\n") + "\n")  # saved on the settings page
    assert not is_ours(text.replace("Backspace", "Delete"))
    assert not is_ours(text + "<p>And hurry.</p>")
    assert not is_ours("")


@pytest.mark.parametrize("key", ["", " (key c)", " (key x)"])
def test_what_earlier_versions_wrote_is_ours(key: str) -> None:
    for text in EARLIER:
        assert is_ours(text.format(key))
        assert not is_ours(text.format(key) + " Ours.")
