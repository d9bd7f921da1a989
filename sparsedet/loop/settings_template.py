"""Comments of a new `sparsedet.toml`; the values are placeholders for the settings."""

from sparsedet.loop.image_settings import IMAGES_TEMPLATE

_SECTIONS = """\
# A sparsedet workspace. Changes apply from the next round on.
# API keys don't belong here: they come from the environment or a prompt.

[source]
tool = ""
url = ""
project = ""
# Which annotation counts if several people annotated or reviewed an image: ground-truth-first (the
# starred one, else the newest with boxes), newest, union, or majority (more than half drew the
# box).
annotations = ""
# Leave out and count tasks whose image is unavailable or whose data is broken, up to this share of
# the project (and at least one). false: the first of them is an error.
skip_unreadable = true
skip_share = 0.0
# Size limit of a server's answer: an export of 100,000 boxes takes about 100 MB.
max_answer_megabytes = 0.0
max_answer_seconds = 0.0
# The control for boxes, if the labelling config has several; "": the only one.
control = ""
# Polygons, ellipses and brushes: "skip" ignores them, "boxes" uses their bounding boxes, which
# merges never change.
shapes = ""
# The part of the project to work on. A view of the tool by its number (?tab=NUMBER), 0: all images.
view = 0
# Only these labels, such as ["orange"]; []: all.
only = []
# Only annotations by these people, by mail address or number; []: by all.
annotators = []
# Leave out images that were only skipped.
skip_skipped = false

# Labels that were renamed in the project: "old name" = "new name"; "" leaves their boxes out.
[labels.rename]

[review]
# review-project: a separate project, for any number of reviewers.
# draft: drafts on the annotations themselves, visible only to the account of the API key.
# sheets: contact sheets of about 24 boxes of a class; the fastest, but nobody draws on them.
# auto: a review project for images to draw on, sheets for all other boxes.
mode = ""
# The control for marking an image as complete: every object has a box.
complete_control = ""
# The next round asks before it starts if a smaller share of the images up for review has been
# reviewed.
min_reviewed = 0.0
# Maximum number of random images per round that are shown without mined boxes: the sample that the
# estimate of missing objects rests on. Fewer are shown if reviews would take more than 5 % longer.
# 0: the estimate rests on the model alone.
audit = 0
# Maximum number of suspicious annotations marked per round on the images of its queue: wrong class,
# badly placed, duplicate, sliver; the most certain ones first. 0: none.
suspicions = 0
# Limits the queue of a round: "30min", "2h" or "200-images"; "": no limit. A contact sheet counts
# as an image; mode sheets leaves out the least certain boxes. Mode draft has nothing to limit.
budget = ""
# Until about 80 % of the objects have a box, rounds show sure boxes only, and nobody is asked to
# draw, as long as that brings 30 % of the objects that are needed to reach rounds.stop_at.
sure_first = false
# Nearly certain boxes of a class form a lot: people review a random sample, and if it is good
# enough, the others are accepted unseen. A lot whose share of right boxes is below `precision`
# passes with a chance of at most 1 - confidence. Example: 0.98; 0: people review every box.
accept = {precision = 0.0, confidence = 0.0}

# Review times in seconds; re-estimated from reviews.
[review.costs]
# open an image
image = 0.0
# look at a mined box
box = 0.0
# delete or correct a box
correction = 0.0
# draw a box
drawing = 0.0

[training]
# auto: lite0_fpn, with image size, anchors and tiles chosen by the boxes; or another
# configuration, by name or file.
config = ""
# plain, augmented, end-to-end or staged
method = ""
seed = 0
# auto, cpu or cuda
device = ""
# Training time in minutes, on the machine where the round starts; 0: SOLVER.MAX_ITER iterations.
minutes = 0.0

# Configuration keys to change, such as "SOLVER.MAX_ITER" = 800. Reviews are used unless switched
# off: SPARSEDET.FEEDBACK.ACCEPTED, .REJECTED, .EXHAUSTIVE.
[training.keys]

[mining]
# Expected precision of all shown boxes together, such as 0.9. 0: show every box that is expected to
# save review time, which finds more.
target_precision = 0.0
# Share of the annotations hidden from a round's training. Their scores calibrate the model's other
# detections, and show how many objects it can't detect.
hidden = 0.0

[rounds]
# No further round starts by itself once this share of the objects has a box.
stop_at = 0.0

[validation]
# true: hold out a tenth of the images marked as complete (of all annotated ones while fewer than 10
# are complete), at least 5: no round trains on them, and each round's AP is measured on them. Needs
# 20 annotated images. Their missing boxes are still mined.
auto = false
# Hold out this share of all images instead.
share = 0.0
# Images of a group stay on one side: folder, key:NAME (of the images' entries) or regex:PATTERN
# (on file names, such as "regex:(patient[0-9]+)_").
group_by = ""
# Fully annotated data to evaluate on instead (a COCO file, or a Pascal VOC or YOLO folder), and its
# image folder.
data = ""
images = ""
"""

TEMPLATE = _SECTIONS + IMAGES_TEMPLATE
"""TOML with every section, and comments on its keys."""
