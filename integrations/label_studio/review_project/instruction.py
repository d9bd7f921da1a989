"""The instruction of a review project, and whether it is still ours to replace."""

import hashlib
import html
import re

from ..judge_only import TEXT
from ..labelling_config.label_config import CompleteMark

_TEXT = """\
<b>Vivid boxes</b> are a model's. The number next to one in the list of regions is its \
<i>score</i>: how certain the model is, from 0 to 1. <b>Pale boxes</b>, with a ✓ after their \
class, are existing annotations. <b>Red boxes</b>, with a ?, are annotations that look wrong to \
the model: click one to read why in its note; leave it if it is right. A <i>spark</i> in the list \
only means that nobody has changed the box yet.<br><br>
To read class and score on the image, switch on <b>Show region labels</b> in the editor's settings \
(the sliders below the image); your browser remembers it.<br><br>
• <b>Right:</b> leave the box as it is.<br>
• <b>Wrong:</b> click it, <kbd>Backspace</kbd>. Hiding it (the eye) deletes nothing: a hidden box \
counts as right.<br>
• <b>Wrong class:</b> click it, press the key of the right class. The keys are shown on the \
classes below the image.<br>
• <b>Badly placed:</b> drag it, or its corners.<br>
• <b>Not sure:</b> click it, <kbd>Alt+M</kbd>, write <code>unsure</code>, <kbd>Enter</kbd>. The \
box stays undecided.<br>
• <b>Missing:</b> press the key of the class and draw, also where the model found nothing. Where \
<b>{wait}</b> is ticked, you need not: a later model may find it.<br><br>
When every object on the image has a box, tick <b>{choice}</b>{key}: everything else on it then \
counts as background, and the image is not shown again. If something is missing, or you have not \
looked for it, leave it out.{classes}<br><br>
<b>Submit</b> (<kbd>Ctrl+Enter</kbd>) says that you have looked at all boxes. <b>Skip</b> leaves \
them undecided, for another time. The images come in the order in which most is found per \
minute."""
"""Only markup that the server leaves as it is."""
_CLASSES = """\
<br><br>
Where that is so of some classes alone, choose <b>these classes</b> instead: of them everything \
has a box, or there is nothing. They are not looked for again on this image; the others are."""

_OURS = re.compile(r'<div class="sparsedet-([0-9a-f]{12})">(.*)</div>', re.DOTALL)
_EARLIER = re.compile(
    re.escape(
        "Boxes with a score are a model's: delete the wrong ones, correct the others, leave the "
        "right ones"
    )
    + r"(, and|\. Draw every object that still has no box, also where the model found nothing\. "
    r"Then mark the image as complete( \(key .\))?, and) Submit\. (The order of the list is the "
    r"one in which most is found per minute\. )?"
    + re.escape(
        "Boxes of a skipped task stay undecided, to be reviewed another time; a box hidden with "
        "the eye icon counts as kept."
    )
)
"""Instructions of earlier versions."""


def instruction(mark: CompleteMark, key: str, *, by_class: bool = False) -> str:
    """Return the instruction as HTML, with a digest to detect changes by people.

    Args:
        mark: the choice that marks a complete image.
        key: key of that choice; empty if unknown.
        by_class: they can choose complete classes, too.
    """
    pressed = f" (key <kbd>{html.escape(key, quote=False)}</kbd>)" if key else ""
    choice = html.escape(mark.value or mark.choice, quote=False)
    classes = _CLASSES if by_class else ""
    return as_instruction(_TEXT.format(choice=choice, key=pressed, wait=TEXT, classes=classes))


def as_instruction(text: str) -> str:
    """Return HTML with the digest by which `is_ours` recognises it."""
    return f'<div class="sparsedet-{_digest(text)}">{text}</div>'


def is_ours(text: str) -> bool:
    """Whether a push wrote this exact instruction, in this version or an earlier one."""
    if found := _OURS.fullmatch(text.strip()):
        digest, inner = found.groups()
        return digest == _digest(inner)
    return bool(_EARLIER.fullmatch(text.strip()))


def _digest(text: str) -> str:
    # Saving it on the settings page may change line endings.
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:12]
