"""Images deleted from a project and imported again, or replaced, recognised by content.

A server may reuse a free id for another image, so an id alone proves nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from sparsedet.annotations import Dataset, Image, file_digest, upright_size
from sparsedet.errors import PlaceGoneError
from sparsedet.ledger import Ledger
from sparsedet.loop.reviews import Connections, Say
from sparsedet.loop.settings import Source
from sparsedet.reviews import same_shape
from sparsedet.sparsify.near_duplicates import show_different_scenes
from sparsedet.wording import counted

Fingerprint = tuple[str, tuple[int, int]]
"""Digest of an image's file, and its upright (width, height)."""


def follow_reimports(
    ledger: Ledger,
    connections: Connections,
    source: Source,
    pulled: Dataset,
    images: Path,
    say: Say,
) -> None:
    """Move reviews to the current ids of images imported again since the push.

    The tool's own record is updated first: after an interruption the next call repeats both.

    Args:
        ledger: the ledger with the old ids.
        connections: connections to the places with the old ids.
        source: the annotated project.
        pulled: the dataset with the new ids.
        images: the folder of its images.
        say: receives one line.
    """
    project = connections.ledger_source(source)
    known = ledger.digests(project)
    here = {image.tool_id: image for image in pulled.images}
    files = {image.image_tool_id: image.file_name for image in ledger.queued()}
    files |= {box.image_tool_id: box.file_name for box in ledger.boxes()}
    others: dict[str, str] = {}
    reshaped: set[str] = set()
    for tool_id, (digest, size) in known.items():
        if (image := here.get(tool_id)) is None:
            continue
        if not same_shape(size, (image.width, image.height)):
            reshaped.add(tool_id)
        # Most ids are unchanged, and those images are not read again. But if an id is the name of a
        # file, only its content says whether it still is the same image.
        if image.file_name != files.get(tool_id, image.file_name) or image.file_name == tool_id:
            now = file_digest(images / image.file_name)
            if now != digest:
                others[tool_id] = now
    there = here.keys() | pulled.not_pulled
    gone = {id: value for id, value in known.items() if id not in there or id in others}
    names = renamed_images(gone, pulled, images, known.keys() - others.keys())
    for old, new in names.items():
        if new in known and here[new].file_name == new:
            # Files that changed places: whose review is one under this name?
            names[old] = f"-{old}"
    for tool_id in sorted((others.keys() | reshaped) - names.keys()):
        if tool_id in reshaped or _is_another(files[tool_id], here[tool_id], images):
            # Reviews of the old picture must not be applied to the new one.
            names[tool_id] = f"-{tool_id}"
    if names:
        rename(ledger, connections, source, names, say)
    replaced = sorted(id for id in others.keys() - names.keys() if here[id].file_name == id)
    if replaced:
        changed = counted(
            len(replaced),
            "image has other content than when it was pushed",
            "images have other content than when they were pushed",
        )
        first = replaced[0] if len(replaced) == 1 else f"first: {replaced[0]}"
        say(f"{changed} ({first}); check that the reviews and pending boxes, which stay, still fit")
        # So that it is said once.
        sizes = {id: (here[id].width, here[id].height) for id in replaced}
        ledger.note_contents({id: (others[id], sizes[id]) for id in replaced}, project)


def _is_another(file_name: str, image: Image, images: Path) -> bool:
    """Whether an image's content differs from the cached file, beyond a resize."""
    if file_name == image.file_name or not (images / file_name).is_file():
        return False
    width, height = upright_size(images / file_name)
    before = replace(image, file_name=file_name, width=width, height=height)
    return show_different_scenes(before, image, images)


def rename(
    ledger: Ledger,
    connections: Connections,
    source: Source,
    names: Mapping[str, str],
    say: Say,
) -> None:
    """Rename tool ids (old -> new), in the tool's own records and in the ledger."""
    project = connections.ledger_source(source)
    for place in ledger.places():
        if place.source == project:
            try:
                connections.mode(place).rename_images(place.review_project, names)
            except PlaceGoneError:
                continue  # reported when its reviews are read
    ledger.rename_images(names, project)
    found = [new for new in names.values() if not new.startswith("-")]
    if found:
        say(
            counted(
                len(found),
                "image was imported again under another id; its reviews were moved",
                "images were imported again under other ids; their reviews were moved",
            )
        )
    if lost := len(names) - len(found):
        content = counted(lost, "image has new content", "images have new content")
        say(f"{content}; reviews of the old content no longer apply")


def renamed_images(
    gone: Mapping[str | None, Fingerprint] | Mapping[str, Fingerprint],
    pulled: Dataset,
    images: Path,
    known: Collection[str | None],
) -> dict[str, str]:
    """Return old -> new tool id of images that are back under another id.

    Only images of a missing size are read. Each of several images with equal content counts once.

    Args:
        gone: tool id -> the image's former content.
        pulled: the project as it is now.
        images: the folder of its images.
        known: tool ids known before.
    """
    sizes = {size for _, size in gone.values()}
    strangers: dict[str, list[str]] = {}
    for image in pulled.images if gone else ():
        if image.tool_id in known or image.tool_id is None:
            continue
        if (image.width, image.height) in sizes:
            digest = file_digest(images / image.file_name)
            strangers.setdefault(digest, []).append(image.tool_id)
    names = {}
    for tool_id, (digest, _) in sorted(gone.items(), key=lambda item: str(item[0])):
        if tool_id is not None and strangers.get(digest):
            names[tool_id] = strangers[digest].pop(0)
    return names


def with_present_ids(before: Dataset, now: Dataset, images: Path) -> Dataset:
    """Return a dataset with its images' current tool ids.

    Args:
        before: an earlier pull.
        now: A later pull.
        images: the folder of the images of both.
    """
    here = {image.tool_id for image in now.images} | now.not_pulled
    gone = {
        image.tool_id: (file_digest(images / image.file_name), (image.width, image.height))
        for image in before.images
        if image.tool_id not in here and (images / image.file_name).is_file()
    }
    names = renamed_images(gone, now, images, {image.tool_id for image in before.images})
    present = (
        replace(image, tool_id=names.get(image.tool_id or "", image.tool_id))
        for image in before.images
    )
    return replace(before, images=tuple(present)) if names else before
