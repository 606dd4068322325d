"""Plans: customers, their prices, subscriptions, invoices and the months that they give.

Revision: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

from creditapp.db import UtcDateTime

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('customers',
    sa.Column('user_id', sa.String(length=40), nullable=False),
    sa.Column('livemode', sa.Boolean(), nullable=False),
    sa.Column('stripe_id', sa.String(length=255), nullable=False),
    sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('user_id', 'livemode', name=op.f('pk_customers'))
    )
    with op.batch_alter_table('customers', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_customers_stripe_id'), ['stripe_id'], unique=False)

    op.create_table('invoices',
    sa.Column('id', sa.String(length=255), nullable=False),
    sa.Column('subscription_id', sa.String(length=255), nullable=False),
    sa.Column('user_id', sa.String(length=40), nullable=False),
    sa.Column('number', sa.String(length=255), nullable=True),
    sa.Column('billing_reason', sa.String(length=40), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('title', sa.String(length=255), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('subtotal_minor', sa.BigInteger(), nullable=False),
    sa.Column('total_minor', sa.BigInteger(), nullable=False),
    sa.Column('tax_minor', sa.BigInteger(), nullable=False),
    sa.Column('paid_minor', sa.BigInteger(), nullable=False),
    sa.Column('refunded_minor', sa.BigInteger(), nullable=False),
    sa.Column('disputed', sa.Boolean(), nullable=False),
    sa.Column('payment_intent_id', sa.String(length=255), nullable=True),
    sa.Column('page_url', sa.String(length=2048), nullable=True),
    sa.Column('credits_micro', sa.BigInteger(), nullable=False),
    sa.Column('review_reason', sa.String(length=120), nullable=True),
    sa.Column('livemode', sa.Boolean(), nullable=False),
    sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('paid_at', UtcDateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_invoices'))
    )
    with op.batch_alter_table('invoices', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_invoices_payment_intent_id'), ['payment_intent_id'], unique=False)
        batch_op.create_index('ix_invoices_subscription', ['subscription_id', 'created_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_invoices_user_id'), ['user_id'], unique=False)

    op.create_table('plan_prices',
    sa.Column('id', sa.String(length=255), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('plan_id', sa.String(length=64), nullable=False),
    sa.Column('plan_name', sa.String(length=255), nullable=False),
    sa.Column('kind', sa.String(length=12), nullable=False),
    sa.Column('cycle', sa.String(length=8), nullable=False),
    sa.Column('price_minor', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('credits_micro', sa.BigInteger(), nullable=False),
    sa.Column('lasting_months', sa.Integer(), nullable=True),
    sa.Column('trial_credits_micro', sa.BigInteger(), nullable=False),
    sa.Column('livemode', sa.Boolean(), nullable=False),
    sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
    sa.CheckConstraint("cycle IN ('month', 'year')", name=op.f('ck_plan_prices_cycle')),
    sa.CheckConstraint('price_minor >= 0 AND credits_micro > 0', name=op.f('ck_plan_prices_amounts')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_plan_prices')),
    sa.UniqueConstraint('digest', 'livemode', name=op.f('uq_plan_prices_digest_livemode'))
    )
    op.create_table('refunds',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('target_id', sa.String(length=255), nullable=False),
    sa.Column('payment_intent_id', sa.String(length=255), nullable=False),
    sa.Column('amount_minor', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('reason', sa.String(length=40), nullable=False),
    sa.Column('state', sa.String(length=8), nullable=False),
    sa.Column('actor', sa.String(length=120), nullable=False),
    sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
    sa.CheckConstraint("state IN ('open', 'done', 'failed')", name=op.f('ck_refunds_state')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_refunds'))
    )
    with op.batch_alter_table('refunds', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_refunds_target_id'), ['target_id'], unique=False)

    op.create_table('scheduled_grants',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('invoice_id', sa.String(length=255), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('subscription_id', sa.String(length=255), nullable=False),
    sa.Column('user_id', sa.String(length=40), nullable=False),
    sa.Column('credits_micro', sa.BigInteger(), nullable=False),
    sa.Column('taken_micro', sa.BigInteger(), nullable=False),
    sa.Column('starts_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('ends_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('due_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('expires_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('grant_id', sa.BigInteger(), nullable=True),
    sa.CheckConstraint("state IN ('due', 'granted', 'canceled')", name=op.f('ck_scheduled_grants_state')),
    sa.CheckConstraint('taken_micro BETWEEN 0 AND credits_micro', name=op.f('ck_scheduled_grants_taken')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_scheduled_grants')),
    sa.UniqueConstraint('invoice_id', 'number', name=op.f('uq_scheduled_grants_invoice_id_number'))
    )
    with op.batch_alter_table('scheduled_grants', schema=None) as batch_op:
        batch_op.create_index('ix_scheduled_grants_due', ['state', 'due_at'], unique=False)
        batch_op.create_index('ix_scheduled_grants_subscription', ['subscription_id', 'starts_at'], unique=False)

    op.create_table('subscriptions',
    sa.Column('id', sa.String(length=255), nullable=False),
    sa.Column('user_id', sa.String(length=40), nullable=False),
    sa.Column('customer_id', sa.String(length=255), nullable=False),
    sa.Column('item_id', sa.String(length=255), nullable=False),
    sa.Column('price_id', sa.String(length=255), nullable=False),
    sa.Column('next_price_id', sa.String(length=255), nullable=False),
    sa.Column('quantity', sa.Integer(), nullable=False),
    sa.Column('status', sa.String(length=24), nullable=False),
    sa.Column('period_start', UtcDateTime(timezone=True), nullable=False),
    sa.Column('period_end', UtcDateTime(timezone=True), nullable=False),
    sa.Column('cancel_at_period_end', sa.Boolean(), nullable=False),
    sa.Column('trial_end', UtcDateTime(timezone=True), nullable=True),
    sa.Column('past_due_since', UtcDateTime(timezone=True), nullable=True),
    sa.Column('next_try_at', UtcDateTime(timezone=True), nullable=True),
    sa.Column('livemode', sa.Boolean(), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('ended_at', UtcDateTime(timezone=True), nullable=True),
    sa.Column('next_sync_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('upgrade_price_id', sa.String(length=255), nullable=True),
    sa.Column('upgrade_at', UtcDateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_subscriptions'))
    )
    with op.batch_alter_table('subscriptions', schema=None) as batch_op:
        batch_op.create_index('ix_subscriptions_next_sync_at', ['next_sync_at'], unique=False)
        batch_op.create_index('ix_subscriptions_user_id', ['user_id'], unique=False)

    with op.batch_alter_table('purchases', schema=None) as batch_op:
        batch_op.add_column(sa.Column('cycle', sa.String(length=8), nullable=True))
        batch_op.add_column(sa.Column('seats', sa.Integer(), nullable=False, server_default='1'))
        batch_op.add_column(sa.Column('trial_days', sa.Integer(), nullable=False, server_default='0'))
        batch_op.add_column(sa.Column('subscription_id', sa.String(length=255), nullable=True))

    # The default was for the rows that were there.
    with op.batch_alter_table('purchases', schema=None) as batch_op:
        batch_op.alter_column('seats', existing_type=sa.Integer(), server_default=None)
        batch_op.alter_column('trial_days', existing_type=sa.Integer(), server_default=None)

    with op.batch_alter_table('stripe_events', schema=None) as batch_op:
        batch_op.add_column(sa.Column('subscription_id', sa.String(length=255), nullable=True))



def downgrade() -> None:
    with op.batch_alter_table('stripe_events', schema=None) as batch_op:
        batch_op.drop_column('subscription_id')

    with op.batch_alter_table('purchases', schema=None) as batch_op:
        batch_op.drop_column('subscription_id')
        batch_op.drop_column('trial_days')
        batch_op.drop_column('seats')
        batch_op.drop_column('cycle')

    with op.batch_alter_table('subscriptions', schema=None) as batch_op:
        batch_op.drop_index('ix_subscriptions_user_id')
        batch_op.drop_index('ix_subscriptions_next_sync_at')

    op.drop_table('subscriptions')
    with op.batch_alter_table('scheduled_grants', schema=None) as batch_op:
        batch_op.drop_index('ix_scheduled_grants_subscription')
        batch_op.drop_index('ix_scheduled_grants_due')

    op.drop_table('scheduled_grants')
    with op.batch_alter_table('refunds', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_refunds_target_id'))

    op.drop_table('refunds')
    op.drop_table('plan_prices')
    with op.batch_alter_table('invoices', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_invoices_user_id'))
        batch_op.drop_index('ix_invoices_subscription')
        batch_op.drop_index(batch_op.f('ix_invoices_payment_intent_id'))

    op.drop_table('invoices')
    with op.batch_alter_table('customers', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_customers_stripe_id'))

    op.drop_table('customers')
