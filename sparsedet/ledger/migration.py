"""Migrate the tables of an older ledger, in the caller's transaction."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, RowMapping, text

from sparsedet.ledger.review_json import written_text
from sparsedet.ledger.schema import Base
from sparsedet.reviews import ReviewedRegion, Written

TABLES: dict[int, set[str]] = {
    1: {"pushes", "boxes", "source_images"},
    2: {"pushes", "boxes", "source_images", "pushed_versions", "reviews"},
    3: {"pushes", "boxes", "source_images", "pushed_versions", "reviews", "queued_images"},
    4: {"pushes", "boxes", "source_images", "pushed_versions", "reviews", "queued_images"},
}
"""Tables of each older schema."""

_COLUMNS_OF_2 = (
    "pushes ADD COLUMN gone BOOLEAN NOT NULL DEFAULT 0",
    "boxes ADD COLUMN image_width INTEGER",
    "boxes ADD COLUMN image_height INTEGER",
)
_INDEX = "CREATE INDEX ix_boxes_image_tool_id ON boxes (image_tool_id)"


def migrate(connection: Connection, schema: int) -> None:
    """Migrate a ledger from an older schema to the current one."""
    if schema < 2:
        _to_2(connection)
    if schema < 3:
        _to_3(connection)
    elif schema < 4:
        _to_4(connection)
    # Schema 5 has the tables of 4. Reviews, and what merges wrote, may name complete classes there,
    # which older versions would drop without a word; where they name none, nothing was said.


def _to_4(connection: Connection) -> None:
    """Schema 3 asked for every object of a queued image."""
    connection.exec_driver_sql(
        "ALTER TABLE queued_images ADD COLUMN judge_only BOOLEAN NOT NULL DEFAULT 0"
    )


def _to_3(connection: Connection) -> None:
    """Schema 2 had no queue, and no expected precision of boxes."""
    connection.exec_driver_sql("ALTER TABLE boxes ADD COLUMN expected_precision DOUBLE")
    Base.metadata.create_all(connection)


def _to_2(connection: Connection) -> None:
    """Schema 1 had one row per image and place, and no reviews.

    Merge records are reconstructed from boxes whose outcome the source holds.
    """
    for column in _COLUMNS_OF_2:
        connection.exec_driver_sql(f"ALTER TABLE {column}")
    connection.exec_driver_sql(_INDEX)
    rows = connection.exec_driver_sql("SELECT * FROM source_images ORDER BY id").mappings().all()
    connection.exec_driver_sql("DROP TABLE source_images")
    _create(connection, TABLES[2])
    for row in rows:
        connection.execute(
            text(
                "INSERT INTO pushed_versions "
                "(tool, url, project, review_project, mode, image_tool_id, version) VALUES "
                "(:tool, :url, :project, :review_project, :mode, :image_tool_id, :version)"
            ),
            dict(row),
        )
    written: dict[tuple[str, str, str, str], dict[str, ReviewedRegion | None]] = {}
    for row in rows:
        if row["merged_at"] is not None:
            written.setdefault(_image(row), {})
    for box in _merged_boxes(connection):
        if _image(box) in written:
            written[_image(box)][box["region_id"]] = _final(box)
    for (tool, url, project, tool_id), boxes in written.items():
        connection.execute(
            text(
                "INSERT INTO source_images (tool, url, project, image_tool_id, written) "
                "VALUES (:tool, :url, :project, :image, :written)"
            ),
            {
                "tool": tool,
                "url": url,
                "project": project,
                "image": tool_id,
                "written": written_text(Written(boxes)),
            },
        )


def _create(connection: Connection, names: Collection[str]) -> None:
    """Create the missing tables."""
    tables = [Base.metadata.tables[name] for name in sorted(names)]
    Base.metadata.create_all(connection, tables)


def _merged_boxes(connection: Connection) -> list[RowMapping]:
    query = (
        "SELECT boxes.*, pushes.tool, pushes.url, pushes.project FROM boxes "
        "JOIN pushes ON boxes.push_id = pushes.id "
        "WHERE boxes.in_source AND pushes.mode != 'draft' AND boxes.outcome != 'pending' "
        "ORDER BY boxes.region_id"
    )
    return list(connection.exec_driver_sql(query).mappings())


def _image(row: RowMapping) -> tuple[str, str, str, str]:
    return row["tool"], row["url"], row["project"], row["image_tool_id"]


def _final(box: RowMapping) -> ReviewedRegion | None:
    if box["outcome"] == "rejected":
        return None
    edges: list[Any] = [box[f"final_{edge}"] for edge in ("left", "top", "right", "bottom")]
    left, top, right, bottom = edges
    return ReviewedRegion(box["region_id"], box["final_category"], (left, top, right, bottom))
