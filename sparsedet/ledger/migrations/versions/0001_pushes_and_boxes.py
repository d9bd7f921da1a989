"""Pushes and boxes, as the first version made them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "pushes",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("tool", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("review_project", sa.String(), nullable=False),
        sa.Column("model_version", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
    )
    op.create_table(
        "boxes",
        sa.Column("region_id", sa.String(), primary_key=True),
        sa.Column("push_id", sa.Integer(), sa.ForeignKey("pushes.id"), nullable=False),
        sa.Column("image_tool_id", sa.String(), nullable=False),
        sa.Column("file_name", sa.String(), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("left", sa.Double(), nullable=False),
        sa.Column("top", sa.Double(), nullable=False),
        sa.Column("right", sa.Double(), nullable=False),
        sa.Column("bottom", sa.Double(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("threshold", sa.Double(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("final_category", sa.String()),
        sa.Column("final_left", sa.Double()),
        sa.Column("final_top", sa.Double()),
        sa.Column("final_right", sa.Double()),
        sa.Column("final_bottom", sa.Double()),
        sa.Column("reviewer", sa.String()),
        sa.Column("seconds", sa.Double()),
    )
    op.create_index("ix_boxes_push_id", "boxes", ["push_id"])
