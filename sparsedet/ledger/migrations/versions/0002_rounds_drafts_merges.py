"""Rounds, draft mode, and merges into the annotated project."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what rounds, drafts and merges need; older pushes went into review projects."""
    op.add_column(
        "pushes",
        sa.Column("mode", sa.String(), nullable=False, server_default="review-project"),
    )
    op.add_column("pushes", sa.Column("round", sa.Integer()))
    op.add_column("boxes", sa.Column("round", sa.Integer()))
    op.add_column("boxes", sa.Column("source_version", sa.String()))
    op.add_column("boxes", sa.Column("review_id", sa.String()))
    op.add_column(
        "boxes",
        sa.Column("in_source", sa.Boolean(), nullable=False, server_default=sa.text("0")),
    )
    op.create_table(
        "source_images",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("tool", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("review_project", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("image_tool_id", sa.String(), nullable=False),
        sa.Column("version", sa.String()),
        sa.Column("merged_at", sa.DateTime()),
        sa.UniqueConstraint("tool", "url", "project", "review_project", "mode", "image_tool_id"),
    )
