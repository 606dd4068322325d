"""Automatic top-ups: what members agreed to, and which purchases were made by it.

Revision: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

from creditapp.db import UtcDateTime

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('auto_topups',
    sa.Column('user_id', sa.String(length=40), nullable=False),
    sa.Column('livemode', sa.Boolean(), nullable=False),
    sa.Column('pack_id', sa.String(length=64), nullable=False),
    sa.Column('price_minor', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('credits_micro', sa.BigInteger(), nullable=False),
    sa.Column('threshold_micro', sa.BigInteger(), nullable=False),
    sa.Column('limit_minor', sa.BigInteger(), nullable=False),
    sa.Column('counts_manual', sa.Boolean(), nullable=False),
    sa.Column('consented_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('consent_version', sa.String(length=16), nullable=False),
    sa.Column('on_at', UtcDateTime(timezone=True), nullable=True),
    sa.Column('stopped_at', UtcDateTime(timezone=True), nullable=True),
    sa.Column('stopped_reason', sa.String(length=24), nullable=True),
    sa.Column('setup_checkout_id', sa.String(length=255), nullable=True),
    sa.Column('card_id', sa.String(length=255), nullable=True),
    sa.Column('card_brand', sa.String(length=40), nullable=True),
    sa.Column('card_last4', sa.String(length=4), nullable=True),
    sa.Column('purchase_id', sa.String(length=40), nullable=True),
    sa.Column('declines', sa.Integer(), nullable=False),
    sa.Column('last_try_at', UtcDateTime(timezone=True), nullable=True),
    sa.Column('next_look_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.CheckConstraint('threshold_micro > 0 AND limit_minor >= price_minor', name=op.f('ck_auto_topups_limits')),
    sa.PrimaryKeyConstraint('user_id', name=op.f('pk_auto_topups'))
    )
    with op.batch_alter_table('auto_topups', schema=None) as batch_op:
        batch_op.create_index('ix_auto_topups_next_look_at', ['next_look_at'], unique=False)

    with op.batch_alter_table('purchases', schema=None) as batch_op:
        batch_op.add_column(sa.Column('automatic', sa.Boolean(), nullable=False, server_default=sa.false()))

    # The default was for the rows that were there.
    with op.batch_alter_table('purchases', schema=None) as batch_op:
        batch_op.alter_column('automatic', existing_type=sa.Boolean(), server_default=None)


def downgrade() -> None:
    with op.batch_alter_table('purchases', schema=None) as batch_op:
        batch_op.drop_column('automatic')

    with op.batch_alter_table('auto_topups', schema=None) as batch_op:
        batch_op.drop_index('ix_auto_topups_next_look_at')

    op.drop_table('auto_topups')
