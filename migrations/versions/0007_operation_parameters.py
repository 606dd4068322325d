"""Parameters of the operation and priced units, so that each operation settles by its quote.

Revision: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('generations', schema=None) as batch_op:
        batch_op.add_column(sa.Column('parameters', sa.JSON(), nullable=False, server_default='{}'))
        batch_op.add_column(sa.Column('quoted_units', sa.Integer(), nullable=False, server_default='1'))
    # Every generation so far made images, priced by the image.
    op.execute('UPDATE generations SET quoted_units = n')
    with op.batch_alter_table('generations', schema=None) as batch_op:
        batch_op.alter_column('parameters', existing_type=sa.JSON(), server_default=None)
        batch_op.alter_column('quoted_units', existing_type=sa.Integer(), server_default=None)


def downgrade() -> None:
    with op.batch_alter_table('generations', schema=None) as batch_op:
        batch_op.drop_column('quoted_units')
        batch_op.drop_column('parameters')
