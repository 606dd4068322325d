"""Months that a later invoice gives instead, and seats that are still to change.

Revision: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

from creditapp.db import UtcDateTime

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('subscriptions', schema=None) as batch_op:
        batch_op.add_column(sa.Column('next_quantity', sa.Integer(), nullable=False, server_default='1'))
    # What is still to change is read again at the next sync; until then it is what is paid for.
    op.execute('UPDATE subscriptions SET next_quantity = quantity')
    with op.batch_alter_table('subscriptions', schema=None) as batch_op:
        batch_op.alter_column('next_quantity', existing_type=sa.Integer(), server_default=None)

    with op.batch_alter_table('invoices', schema=None) as batch_op:
        batch_op.add_column(sa.Column('supersedes_from', UtcDateTime(timezone=True), nullable=True))

    with op.batch_alter_table('scheduled_grants', schema=None) as batch_op:
        batch_op.add_column(sa.Column('returned_micro', sa.BigInteger(), nullable=False, server_default='0'))
        batch_op.add_column(sa.Column('superseded_by', sa.String(length=255), nullable=True))
        batch_op.drop_constraint(op.f('ck_scheduled_grants_state'), type_='check')
        batch_op.create_check_constraint(
            op.f('ck_scheduled_grants_state'), "state IN ('due', 'granted', 'canceled', 'superseded')"
        )
    with op.batch_alter_table('scheduled_grants', schema=None) as batch_op:
        batch_op.alter_column('returned_micro', existing_type=sa.BigInteger(), server_default=None)
    # What was canceled with something left of it was replaced: by the upgrade that came next.
    op.execute(
        "UPDATE scheduled_grants SET state = 'superseded', superseded_by = ("
        " SELECT later.id FROM invoices later JOIN invoices mine ON mine.id = scheduled_grants.invoice_id"
        " WHERE later.subscription_id = mine.subscription_id"
        " AND later.billing_reason = 'subscription_update' AND later.paid_at IS NOT NULL"
        " AND later.created_at > mine.created_at AND later.created_at <= scheduled_grants.starts_at"
        " ORDER BY later.created_at LIMIT 1)"
        " WHERE state = 'canceled' AND taken_micro < credits_micro"
    )
    op.execute(
        "UPDATE invoices SET supersedes_from = created_at WHERE id IN"
        " (SELECT superseded_by FROM scheduled_grants WHERE superseded_by IS NOT NULL)"
    )


def downgrade() -> None:
    op.execute("UPDATE scheduled_grants SET state = 'canceled' WHERE state = 'superseded'")
    with op.batch_alter_table('scheduled_grants', schema=None) as batch_op:
        batch_op.drop_constraint(op.f('ck_scheduled_grants_state'), type_='check')
        batch_op.create_check_constraint(
            op.f('ck_scheduled_grants_state'), "state IN ('due', 'granted', 'canceled')"
        )
        batch_op.drop_column('superseded_by')
        batch_op.drop_column('returned_micro')

    with op.batch_alter_table('invoices', schema=None) as batch_op:
        batch_op.drop_column('supersedes_from')

    with op.batch_alter_table('subscriptions', schema=None) as batch_op:
        batch_op.drop_column('next_quantity')
