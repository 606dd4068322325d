"""Mails that somebody does without, ends that were told, and what a purchase came to in all.

Revision: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

from creditapp.db import UtcDateTime

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('mail_refusals',
    sa.Column('user_id', sa.String(length=40), nullable=False),
    sa.Column('event', sa.String(length=60), nullable=False),
    sa.Column('refused_at', UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('user_id', 'event', name=op.f('pk_mail_refusals'))
    )
    op.create_table('expiry_notices',
    sa.Column('grant_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('days', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('expires_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('told_at', UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('grant_id', 'days', 'expires_at', name=op.f('pk_expiry_notices'))
    )
    op.add_column('purchases', sa.Column('total_minor', sa.BigInteger(), nullable=True))
    op.add_column('purchases', sa.Column('discount_minor', sa.BigInteger(), nullable=True))
    op.add_column('purchases', sa.Column('tax_minor', sa.BigInteger(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table('purchases', schema=None) as batch_op:
        batch_op.drop_column('tax_minor')
        batch_op.drop_column('discount_minor')
        batch_op.drop_column('total_minor')
    op.drop_table('expiry_notices')
    op.drop_table('mail_refusals')
