"""Pull a workspace's project and apply its reviews."""

from contextlib import closing

from sparsedet.annotations import Dataset
from sparsedet.ledger import Ledger
from sparsedet.ledger import Source as LedgerSource
from sparsedet.loop.feedback import Feedback, with_feedback
from sparsedet.loop.lots import collect_and_settle
from sparsedet.loop.reimports import follow_reimports
from sparsedet.loop.reviews import Connections, Say
from sparsedet.loop.settings import Source
from sparsedet.loop.workspace import Workspace
from sparsedet.push_modes import Progress, no_progress
from sparsedet.tool import AnnotationTool


def pull_with_reviews(
    workspace: Workspace,
    tool: AnnotationTool,
    source: Source,
    connections: Connections,
    *,
    say: Say,
    progress: Progress = no_progress,
) -> tuple[Dataset, Feedback]:
    """Pull a project, and apply the reviews of everything pushed from it.

    Args:
        workspace: receives the images, and in its ledger the reviews.
        tool: the connection to the project.
        source: the project.
        connections: connections to the review places.
        say: receives messages for the user.
        progress: called for every image.

    Returns:
        The project's own annotations, and the same with reviews applied.
    """
    pulled = tool.pull(source.project, workspace.images, progress)
    with closing(Ledger(workspace.ledger)) as ledger:
        follow_reimports(ledger, connections, source, pulled, workspace.images, say)
        _note_pull(ledger, connections.ledger_source(source), pulled)
        collect_and_settle(
            workspace, ledger, connections, source.annotations, say=say, progress=progress
        )
        # Reviews of other projects in the ledger name none of these images.
        reviewed = [image for known in ledger.sources() for image in ledger.image_reviews(known)]
        feedback = with_feedback(pulled, ledger.boxes(), reviewed, source.annotations)
    for line in feedback.lines():
        say(line)
    return pulled, feedback


def _note_pull(ledger: Ledger, source: LedgerSource, pulled: Dataset) -> None:
    """Update the ledger to the current image sizes and label names."""
    ledger.resize(
        {
            image.tool_id: (image.width, image.height)
            for image in pulled.images
            if image.tool_id is not None
        },
        source,
    )
    ledger.relabel(
        {
            alias: category.name
            for category in pulled.categories
            for alias in category.aliases
            if alias != category.name
        },
        source,
    )
