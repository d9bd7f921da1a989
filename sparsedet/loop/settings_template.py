"""What a new `sparsedet.toml` says of its keys; the values stand for those of the settings."""

from sparsedet.loop.image_settings import IMAGES_TEMPLATE

_SECTIONS = """\
# A sparsedet workspace. Change what you like; the next round reads it.
# API keys don't belong here: they come from the environment or a prompt.

[source]
tool = ""
url = ""
project = ""
# What counts where several people annotated or reviewed an image: ground-truth-first (the starred
# annotation, else the newest that has boxes), newest, union, or majority (more than half drew it).
annotations = ""
# Tasks whose image can't be had, or whose data is broken, are left out and counted, up to this
# share of the project, and at least one. false: the first of them is an error.
skip_unreadable = true
skip_share = 0.0
# The most that is taken of one answer of the server: an export of 100,000 boxes has about 100 MB.
max_answer_megabytes = 0.0
max_answer_seconds = 0.0
# The control for boxes, where the labelling config has several; "": the only one.
control = ""
# Polygons, ellipses and brushes: "skip" leaves them out, "boxes" takes the boxes around them, which
# no merge changes.
shapes = ""
# What of the project is worked on. A view of the tool by its number (?tab=NUMBER), 0: all images.
view = 0
# These labels, such as ["orange"]; []: all.
only = []
# Annotations by these people, by mail address or number; []: by all.
annotators = []
# Leave out images that people have only skipped.
skip_skipped = false

# Labels that were renamed in the project: "old name" = "new name"; "" leaves their boxes out.
[labels.rename]

[review]
# review-project: a project of its own, for any number of reviewers.
# draft: drafts on the annotations themselves, which only the account of the API key sees.
# sheets: contact sheets of some 24 boxes of a class, which are quickest; nobody draws on them.
# auto: a review project for the images on which people draw, sheets for the boxes of others.
mode = ""
# The control with which people mark an image as complete: every object has a box.
complete_control = ""
# The next round asks before it starts while less than this share of the images that are up for
# review has been reviewed.
min_reviewed = 0.0
# So many images of a round, at most, are drawn at random and shown without mined boxes: the sample
# on which the estimate of what is still missing rests. They are fewer where reviews would take more
# than 5 % longer. 0: the estimate rests on the model alone.
audit = 0
# So many annotations that look wrong to a round's model, at most, are marked on the images of its
# queue: another class, badly placed, drawn twice, a sliver; the most certain ones first. 0: none.
suspicions = 0
# Ends the queue of a round: "30min", "2h" or "200-images"; "": no limit.
budget = ""
# Boxes of a class that are nearly certain form a lot: people see a random sample of them, and if it
# is good enough, the others are accepted unseen. `precision` is the share of right boxes below
# which a lot passes with a chance of 1 - confidence at most, such as 0.98; 0: people see every box.
accept = {precision = 0.0, confidence = 0.0}

# Seconds that a reviewer needs; re-estimated from the times of reviews.
[review.costs]
# to open an image
image = 0.0
# to look at a mined box
box = 0.0
# to delete or correct one
correction = 0.0
# to draw a box
drawing = 0.0

[training]
# auto: lite0_fpn, with image size, anchors and tiles chosen by the boxes; or the name of another
# configuration, or its file.
config = ""
# plain, augmented, end-to-end or staged
method = ""
seed = 0
# auto, cpu or cuda
device = ""
# About so many minutes on the machine where it starts, instead of SOLVER.MAX_ITER; 0: that.
minutes = 0.0

# Configuration keys to change, such as "SOLVER.MAX_ITER" = 800. What reviewers said is used unless
# switched off: SPARSEDET.FEEDBACK.ACCEPTED, .REJECTED, .EXHAUSTIVE.
[training.keys]

[mining]
# Reviewers see as many boxes as together are expected to have this precision, such as 0.9. 0: every
# box that is more likely to save time than to cost some, which finds more.
target_precision = 0.0
# Share of the annotations that a round's training does not see. How the model scores them tells
# what its other detections are worth, and how many objects it can't see.
hidden = 0.0

[rounds]
# No further round starts by itself once so large a share of the objects has a box.
stop_at = 0.0

[validation]
# true: a tenth of the images that are marked as complete, or of the annotated ones while these are
# fewer than 10, is held out, at least 5: no round trains on them, and every round's AP is measured
# on them. There have to be 20 annotated images. Their boxes are mined all the same.
auto = false
# This share of all images instead.
share = 0.0
# Images of one group stay on one side: folder, key:NAME (of the images' entries) or regex:PATTERN
# (on file names, such as "regex:(patient[0-9]+)_").
group_by = ""
# Fully annotated data to measure every round on instead (a COCO file, or a folder of Pascal VOC
# or YOLO), and its image folder.
data = ""
images = ""
"""

TEMPLATE = _SECTIONS + IMAGES_TEMPLATE
"""TOML with every section, and a comment at every key that needs one."""
