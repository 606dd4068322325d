"""What an owner says of a picture: a favourite, or something that is wrong with it.

Revision: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

from creditapp.db import UtcDateTime

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('generations', schema=None) as batch_op:
        batch_op.add_column(sa.Column('starred_at', UtcDateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('reported_at', UtcDateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('report_text', sa.String(length=500), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table('generations', schema=None) as batch_op:
        batch_op.drop_column('report_text')
        batch_op.drop_column('reported_at')
        batch_op.drop_column('starred_at')
