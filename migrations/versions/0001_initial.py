"""The first schema: accounts, ledger, catalog, generations, payments.

Revision: 0001
Revises: 
"""

import sqlalchemy as sa
from alembic import op

from creditapp.db import UtcDateTime
from creditapp.ledger import install_triggers
from creditapp.ledger.triggers import REMOVE

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('assets',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('generation_id', sa.String(length=40), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('media_key', sa.String(length=80), nullable=False),
    sa.Column('mime_type', sa.String(length=32), nullable=False),
    sa.Column('width', sa.Integer(), nullable=False),
    sa.Column('height', sa.Integer(), nullable=False),
    sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_assets')),
    sa.UniqueConstraint('generation_id', 'position', name=op.f('uq_assets_generation_id_position'))
    )
    op.create_table('catalog_versions',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('name', sa.String(length=48), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('source', sa.String(length=8), nullable=False),
    sa.Column('content', sa.Text(), nullable=False),
    sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('active_at', UtcDateTime(timezone=True), nullable=True),
    sa.CheckConstraint("source IN ('file', 'sync', 'admin')", name=op.f('ck_catalog_versions_source')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_catalog_versions')),
    sa.UniqueConstraint('digest', name=op.f('uq_catalog_versions_digest'))
    )
    with op.batch_alter_table('catalog_versions', schema=None) as batch_op:
        batch_op.create_index('ix_catalog_versions_active_at', ['active_at'], unique=False)

    op.create_table('generations',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('owner_kind', sa.String(length=8), nullable=False),
    sa.Column('owner_id', sa.String(length=64), nullable=False),
    sa.Column('request_key', sa.String(length=128), nullable=False),
    sa.Column('request_digest', sa.String(length=64), nullable=False),
    sa.Column('operation', sa.String(length=24), nullable=False),
    sa.Column('model', sa.String(length=64), nullable=False),
    sa.Column('model_name', sa.String(length=64), nullable=False),
    sa.Column('prompt', sa.Text(), nullable=False),
    sa.Column('n', sa.Integer(), nullable=False),
    sa.Column('size', sa.String(length=16), nullable=False),
    sa.Column('quality', sa.String(length=16), nullable=True),
    sa.Column('seed', sa.BigInteger(), nullable=False),
    sa.Column('catalog_version', sa.String(length=64), nullable=False),
    sa.Column('funding', sa.String(length=8), nullable=False),
    sa.Column('wallet_id', sa.BigInteger(), nullable=True),
    sa.Column('charge_id', sa.BigInteger(), nullable=True),
    sa.Column('claim_id', sa.String(length=40), nullable=True),
    sa.Column('quoted_micro', sa.BigInteger(), nullable=False),
    sa.Column('charged_micro', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('attempt', sa.Integer(), nullable=False),
    sa.Column('progress', sa.Integer(), nullable=False),
    sa.Column('delivered', sa.Integer(), nullable=False),
    sa.Column('preview', sa.Boolean(), nullable=False),
    sa.Column('provider', sa.String(length=24), nullable=False),
    sa.Column('provider_cost_micros_usd', sa.BigInteger(), nullable=True),
    sa.Column('error_code', sa.String(length=32), nullable=True),
    sa.Column('error_text', sa.String(length=240), nullable=True),
    sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('provider_started_at', UtcDateTime(timezone=True), nullable=True),
    sa.Column('lease_until', UtcDateTime(timezone=True), nullable=True),
    sa.Column('cancel_requested_at', UtcDateTime(timezone=True), nullable=True),
    sa.Column('finished_at', UtcDateTime(timezone=True), nullable=True),
    sa.Column('deleted_at', UtcDateTime(timezone=True), nullable=True),
    sa.CheckConstraint("funding IN ('wallet', 'guest')", name=op.f('ck_generations_funding')),
    sa.CheckConstraint("state IN ('queued', 'running', 'succeeded', 'failed', 'canceled')", name=op.f('ck_generations_state')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_generations')),
    sa.UniqueConstraint('owner_kind', 'owner_id', 'request_key', name=op.f('uq_generations_owner_kind_owner_id_request_key'))
    )
    with op.batch_alter_table('generations', schema=None) as batch_op:
        batch_op.create_index('ix_generations_open', ['state', 'lease_until'], unique=False)
        batch_op.create_index('ix_generations_owner', ['owner_kind', 'owner_id', 'created_at'], unique=False)

    op.create_table('guest_budgets',
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('shard', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('used', sa.Integer(), nullable=False),
    sa.CheckConstraint('used >= 0', name=op.f('ck_guest_budgets_used')),
    sa.PrimaryKeyConstraint('day', 'shard', name=op.f('pk_guest_budgets'))
    )
    op.create_table('guest_claims',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('cookie_key', sa.String(length=80), nullable=False),
    sa.Column('cookie_window_started_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('network_key', sa.String(length=80), nullable=False),
    sa.Column('network_window_started_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('budget_day', sa.Date(), nullable=False),
    sa.Column('budget_shard', sa.Integer(), nullable=False),
    sa.Column('claimed_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('generation_id', sa.String(length=40), nullable=True),
    sa.CheckConstraint("state IN ('claimed', 'kept', 'given_back')", name=op.f('ck_guest_claims_state')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_guest_claims')),
    sa.UniqueConstraint('generation_id', name=op.f('uq_guest_claims_generation_id'))
    )
    with op.batch_alter_table('guest_claims', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_guest_claims_claimed_at'), ['claimed_at'], unique=False)

    op.create_table('guest_windows',
    sa.Column('key', sa.String(length=80), nullable=False),
    sa.Column('started_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('used', sa.Integer(), nullable=False),
    sa.CheckConstraint('used >= 0', name=op.f('ck_guest_windows_used')),
    sa.PrimaryKeyConstraint('key', name=op.f('pk_guest_windows'))
    )
    with op.batch_alter_table('guest_windows', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_guest_windows_started_at'), ['started_at'], unique=False)

    op.create_table('mails',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('event', sa.String(length=60), nullable=False),
    sa.Column('key', sa.String(length=200), nullable=False),
    sa.Column('address', sa.String(length=254), nullable=False),
    sa.Column('user_id', sa.String(length=40), nullable=True),
    sa.Column('context', sa.JSON(), nullable=False),
    sa.Column('state', sa.String(length=10), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('due_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('sent_at', UtcDateTime(timezone=True), nullable=True),
    sa.Column('last_error', sa.String(length=120), nullable=True),
    sa.CheckConstraint("state IN ('queued', 'sending', 'sent', 'failed', 'dropped')", name=op.f('ck_mails_state')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_mails')),
    sa.UniqueConstraint('key', name=op.f('uq_mails_key'))
    )
    with op.batch_alter_table('mails', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_mails_state_due_at'), ['state', 'due_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_mails_user_id'), ['user_id'], unique=False)

    op.create_table('outbox',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('topic', sa.String(length=40), nullable=False),
    sa.Column('subject', sa.String(length=80), nullable=False),
    sa.Column('payload', sa.Text(), nullable=False),
    sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('claimed_at', UtcDateTime(timezone=True), nullable=True),
    sa.Column('done_at', UtcDateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_outbox'))
    )
    with op.batch_alter_table('outbox', schema=None) as batch_op:
        batch_op.create_index('ix_outbox_waiting', ['topic', 'id'], unique=False, postgresql_where=sa.text('done_at IS NULL'), sqlite_where=sa.text('done_at IS NULL'))

    op.create_table('purchases',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('user_id', sa.String(length=40), nullable=False),
    sa.Column('request_key', sa.String(length=128), nullable=False),
    sa.Column('request_digest', sa.String(length=64), nullable=False),
    sa.Column('pack_id', sa.String(length=64), nullable=False),
    sa.Column('pack_name', sa.String(length=255), nullable=False),
    sa.Column('catalog_version', sa.String(length=64), nullable=False),
    sa.Column('price_minor', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('credits_micro', sa.BigInteger(), nullable=False),
    sa.Column('stripe_price_id', sa.String(length=255), nullable=True),
    sa.Column('livemode', sa.Boolean(), nullable=False),
    sa.Column('sandbox', sa.Boolean(), nullable=False),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('attempt', sa.Integer(), nullable=False),
    sa.Column('checkout_id', sa.String(length=255), nullable=True),
    sa.Column('checkout_url', sa.String(length=2048), nullable=True),
    sa.Column('payment_intent_id', sa.String(length=255), nullable=True),
    sa.Column('return_to', sa.String(length=512), nullable=False),
    sa.Column('grant_id', sa.BigInteger(), nullable=True),
    sa.Column('refunded_minor', sa.BigInteger(), nullable=False),
    sa.Column('review_reason', sa.String(length=120), nullable=True),
    sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('paid_at', UtcDateTime(timezone=True), nullable=True),
    sa.Column('next_sync_at', UtcDateTime(timezone=True), nullable=False),
    sa.CheckConstraint("state IN ('open', 'pending', 'paid', 'failed', 'expired', 'review')", name=op.f('ck_purchases_state')),
    sa.CheckConstraint('price_minor >= 0 AND credits_micro > 0', name=op.f('ck_purchases_amounts')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_purchases')),
    sa.UniqueConstraint('user_id', 'request_key', name=op.f('uq_purchases_user_id_request_key'))
    )
    with op.batch_alter_table('purchases', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_purchases_checkout_id'), ['checkout_id'], unique=False)
        batch_op.create_index('ix_purchases_next_sync_at', ['next_sync_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_purchases_payment_intent_id'), ['payment_intent_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_purchases_user_id'), ['user_id'], unique=False)

    op.create_table('request_keys',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('caller', sa.String(length=100), nullable=False),
    sa.Column('route', sa.String(length=100), nullable=False),
    sa.Column('key', sa.String(length=255), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('answer', sa.Text(), nullable=True),
    sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_request_keys')),
    sa.UniqueConstraint('caller', 'route', 'key', name=op.f('uq_request_keys_caller_route_key'))
    )
    with op.batch_alter_table('request_keys', schema=None) as batch_op:
        batch_op.create_index('ix_request_keys_created_at', ['created_at'], unique=False)

    op.create_table('seals',
    sa.Column('number', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=False, nullable=False),
    sa.Column('previous', sa.String(length=64), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('entries', sa.BigInteger(), nullable=False),
    sa.Column('sealed_at', UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('number', name=op.f('pk_seals'))
    )
    op.create_table('stripe_events',
    sa.Column('id', sa.String(length=255), nullable=False),
    sa.Column('type', sa.String(length=80), nullable=False),
    sa.Column('object_id', sa.String(length=255), nullable=False),
    sa.Column('purchase_id', sa.String(length=40), nullable=True),
    sa.Column('payment_intent_id', sa.String(length=255), nullable=True),
    sa.Column('livemode', sa.Boolean(), nullable=False),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('last_error', sa.String(length=120), nullable=True),
    sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('received_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('next_try_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('done_at', UtcDateTime(timezone=True), nullable=True),
    sa.CheckConstraint("state IN ('received', 'done', 'ignored', 'dead')", name=op.f('ck_stripe_events_state')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_stripe_events'))
    )
    with op.batch_alter_table('stripe_events', schema=None) as batch_op:
        batch_op.create_index('ix_stripe_events_open', ['state', 'next_try_at'], unique=False)

    op.create_table('throttles',
    sa.Column('key', sa.String(length=80), nullable=False),
    sa.Column('window_started_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('tries', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('key', name=op.f('pk_throttles'))
    )
    with op.batch_alter_table('throttles', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_throttles_window_started_at'), ['window_started_at'], unique=False)

    op.create_table('users',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('email_key', sa.String(length=254), nullable=True),
    sa.Column('person_hash', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('password_hash', sa.String(length=255), nullable=True),
    sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('verified_at', UtcDateTime(timezone=True), nullable=True),
    sa.Column('session_epoch', sa.Integer(), nullable=False),
    sa.Column('low_balance_micro', sa.BigInteger(), nullable=True),
    sa.Column('is_admin', sa.Boolean(), nullable=False),
    sa.Column('frozen_at', UtcDateTime(timezone=True), nullable=True),
    sa.Column('deleted_at', UtcDateTime(timezone=True), nullable=True),
    sa.CheckConstraint('(email_key IS NULL) = (deleted_at IS NOT NULL)', name=op.f('ck_users_deleted')),
    sa.CheckConstraint('low_balance_micro IS NULL OR low_balance_micro >= 0', name=op.f('ck_users_low_balance')),
    sa.CheckConstraint('session_epoch >= 1', name=op.f('ck_users_session_epoch')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_users')),
    sa.UniqueConstraint('email_key', name=op.f('uq_users_email_key'))
    )
    with op.batch_alter_table('users', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_users_person_hash'), ['person_hash'], unique=False)

    op.create_table('wallets',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('owner_kind', sa.String(length=16), nullable=False),
    sa.Column('owner_id', sa.String(length=64), nullable=False),
    sa.Column('available', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('held', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('frozen', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('owed', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('seq', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('next_expiry_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('frozen_at', UtcDateTime(timezone=True), nullable=True),
    sa.Column('lifetime_granted', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('lifetime_spent', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('lifetime_welcome', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('lifetime_purchased', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
    sa.CheckConstraint("owner_kind IN ('user', 'team', 'receipt')", name=op.f('ck_wallets_owner_kind')),
    sa.CheckConstraint('available >= 0', name=op.f('ck_wallets_available')),
    sa.CheckConstraint('frozen >= 0', name=op.f('ck_wallets_frozen')),
    sa.CheckConstraint('held >= 0', name=op.f('ck_wallets_held')),
    sa.CheckConstraint('owed >= 0', name=op.f('ck_wallets_owed')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_wallets')),
    sa.UniqueConstraint('owner_kind', 'owner_id', name=op.f('uq_wallets_owner_kind_owner_id')),
    postgresql_with={'fillfactor': '60'}
    )
    with op.batch_alter_table('wallets', schema=None) as batch_op:
        batch_op.create_index('ix_wallets_next_expiry_at', ['next_expiry_at'], unique=False)

    op.create_table('grants',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('wallet_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('source', sa.String(length=16), nullable=False),
    sa.Column('origin', sa.String(length=200), nullable=False),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.Column('remaining', sa.BigInteger(), nullable=False),
    sa.Column('expired', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('revoked', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('moved', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('owed', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('revoke_target', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('priority', sa.Integer(), nullable=False),
    sa.Column('scope', sa.String(length=40), server_default='*', nullable=False),
    sa.Column('expires_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('frozen_at', UtcDateTime(timezone=True), nullable=True),
    sa.Column('paid_minor', sa.BigInteger(), nullable=True),
    sa.Column('currency', sa.String(length=3), nullable=True),
    sa.Column('livemode', sa.Boolean(), nullable=True),
    sa.Column('parent_grant_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('root_grant_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('actor', sa.String(length=80), server_default='', nullable=False),
    sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
    sa.CheckConstraint("source IN ('purchase', 'subscription', 'agent', 'welcome', 'free', 'promotion', 'referral', 'gift', 'transfer', 'refund', 'admin')", name=op.f('ck_grants_source')),
    sa.CheckConstraint('(parent_grant_id IS NULL) = (root_grant_id IS NULL)', name=op.f('ck_grants_family')),
    sa.CheckConstraint('amount > 0', name=op.f('ck_grants_amount')),
    sa.CheckConstraint('expired >= 0', name=op.f('ck_grants_expired')),
    sa.CheckConstraint('moved >= 0', name=op.f('ck_grants_moved')),
    sa.CheckConstraint('owed >= 0', name=op.f('ck_grants_owed')),
    sa.CheckConstraint('remaining + expired + revoked + moved + owed <= amount', name=op.f('ck_grants_parts')),
    sa.CheckConstraint('remaining >= 0', name=op.f('ck_grants_remaining')),
    sa.CheckConstraint('revoke_target BETWEEN 0 AND amount', name=op.f('ck_grants_revoke_target')),
    sa.CheckConstraint('revoked >= 0', name=op.f('ck_grants_revoked')),
    sa.ForeignKeyConstraint(['parent_grant_id'], ['grants.id'], name=op.f('fk_grants_parent_grant_id_grants')),
    sa.ForeignKeyConstraint(['root_grant_id'], ['grants.id'], name=op.f('fk_grants_root_grant_id_grants')),
    sa.ForeignKeyConstraint(['wallet_id'], ['wallets.id'], name=op.f('fk_grants_wallet_id_wallets')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_grants')),
    sa.UniqueConstraint('origin', name=op.f('uq_grants_origin')),
    postgresql_with={'fillfactor': '60'}
    )
    with op.batch_alter_table('grants', schema=None) as batch_op:
        batch_op.create_index('ix_grants_root_grant_id', ['root_grant_id'], unique=False, postgresql_where=sa.text('root_grant_id IS NOT NULL'), sqlite_where=sa.text('root_grant_id IS NOT NULL'))
        batch_op.create_index('ix_grants_to_spend', ['wallet_id', 'priority', 'expires_at', 'id'], unique=False, postgresql_where=sa.text('remaining > 0'), sqlite_where=sa.text('remaining > 0'))
        batch_op.create_index('ix_grants_wallet_id', ['wallet_id'], unique=False)

    op.create_table('seal_spans',
    sa.Column('wallet_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('first_seq', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('last_seq', sa.BigInteger(), nullable=False),
    sa.Column('seal_number', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.ForeignKeyConstraint(['seal_number'], ['seals.number'], name=op.f('fk_seal_spans_seal_number_seals')),
    sa.ForeignKeyConstraint(['wallet_id'], ['wallets.id'], name=op.f('fk_seal_spans_wallet_id_wallets')),
    sa.PrimaryKeyConstraint('wallet_id', 'first_seq', name=op.f('pk_seal_spans'))
    )
    with op.batch_alter_table('seal_spans', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_seal_spans_seal_number'), ['seal_number'], unique=False)

    op.create_table('charges',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('wallet_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('key', sa.String(length=160), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('operation', sa.String(length=40), nullable=False),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.Column('kept', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.String(length=8), nullable=False),
    sa.Column('actor', sa.String(length=80), server_default='', nullable=False),
    sa.Column('feature', sa.String(length=80), server_default='', nullable=False),
    sa.Column('api_key_id', sa.String(length=40), nullable=True),
    sa.Column('request_id', sa.String(length=80), nullable=True),
    sa.Column('debt_grant_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('expires_at', UtcDateTime(timezone=True), nullable=True),
    sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('settled_at', UtcDateTime(timezone=True), nullable=True),
    sa.Column('entry_seq', sa.BigInteger(), nullable=True),
    sa.CheckConstraint("state <> 'open' OR kept = amount", name=op.f('ck_charges_open_keeps_all')),
    sa.CheckConstraint("state <> 'released' OR kept = 0", name=op.f('ck_charges_released_keeps_none')),
    sa.CheckConstraint("state IN ('open', 'captured', 'released')", name=op.f('ck_charges_state')),
    sa.CheckConstraint('amount > 0', name=op.f('ck_charges_amount')),
    sa.CheckConstraint('kept BETWEEN 0 AND amount', name=op.f('ck_charges_kept')),
    sa.ForeignKeyConstraint(['debt_grant_id'], ['grants.id'], name=op.f('fk_charges_debt_grant_id_grants')),
    sa.ForeignKeyConstraint(['wallet_id'], ['wallets.id'], name=op.f('fk_charges_wallet_id_wallets')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_charges')),
    sa.UniqueConstraint('wallet_id', 'key', name=op.f('uq_charges_wallet_id_key'))
    )
    with op.batch_alter_table('charges', schema=None) as batch_op:
        batch_op.create_index('ix_charges_debt_grant_id', ['debt_grant_id'], unique=False, postgresql_where=sa.text('debt_grant_id IS NOT NULL'), sqlite_where=sa.text('debt_grant_id IS NOT NULL'))
        batch_op.create_index('ix_charges_open', ['wallet_id', 'expires_at'], unique=False, postgresql_where=sa.text("state = 'open'"), sqlite_where=sa.text("state = 'open'"))

    op.create_table('allocations',
    sa.Column('charge_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('grant_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('start', sa.BigInteger(), nullable=False),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.Column('kept', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('amount > 0', name=op.f('ck_allocations_amount')),
    sa.CheckConstraint('kept BETWEEN 0 AND amount', name=op.f('ck_allocations_kept')),
    sa.ForeignKeyConstraint(['charge_id'], ['charges.id'], name=op.f('fk_allocations_charge_id_charges')),
    sa.ForeignKeyConstraint(['grant_id'], ['grants.id'], name=op.f('fk_allocations_grant_id_grants')),
    sa.PrimaryKeyConstraint('charge_id', 'grant_id', name=op.f('pk_allocations'))
    )
    with op.batch_alter_table('allocations', schema=None) as batch_op:
        batch_op.create_index('ix_allocations_grant_id', ['grant_id'], unique=False)

    op.create_table('entries',
    sa.Column('wallet_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('seq', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('account', sa.String(length=16), nullable=False),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.Column('balance_after', sa.BigInteger(), nullable=False),
    sa.Column('charge_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('grant_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('effective_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('recorded_at', UtcDateTime(timezone=True), nullable=False),
    sa.CheckConstraint("(kind = 'purchase' AND account = 'sales') OR (kind = 'grant' AND account = 'promotions') OR (kind = 'spend' AND account = 'usage') OR (kind = 'capture' AND account = 'usage') OR (kind = 'release' AND account = 'usage') OR (kind = 'refund' AND account = 'usage') OR (kind = 'expiry' AND account = 'expiry') OR (kind = 'revoke' AND account = 'reversals') OR (kind = 'restore' AND account = 'reversals') OR (kind = 'debt' AND account = 'reversals') OR (kind = 'transfer_out' AND account = 'transfers') OR (kind = 'transfer_in' AND account = 'transfers')", name=op.f('ck_entries_account')),
    sa.CheckConstraint("(kind IN ('purchase', 'grant', 'refund', 'restore', 'transfer_in') AND amount > 0) OR (kind IN ('release') AND amount = 0) OR (kind IN ('spend', 'capture', 'expiry', 'revoke', 'debt', 'transfer_out') AND amount < 0)", name=op.f('ck_entries_sign')),
    sa.CheckConstraint('balance_after >= 0', name=op.f('ck_entries_balance_after')),
    sa.CheckConstraint('seq > 0', name=op.f('ck_entries_seq')),
    sa.ForeignKeyConstraint(['charge_id'], ['charges.id'], name=op.f('fk_entries_charge_id_charges')),
    sa.ForeignKeyConstraint(['grant_id'], ['grants.id'], name=op.f('fk_entries_grant_id_grants')),
    sa.ForeignKeyConstraint(['wallet_id'], ['wallets.id'], name=op.f('fk_entries_wallet_id_wallets')),
    sa.PrimaryKeyConstraint('wallet_id', 'seq', name=op.f('pk_entries'))
    )
    op.create_table('notes',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('wallet_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=True),
    sa.Column('charge_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('text', sa.Text(), nullable=False),
    sa.CheckConstraint('(seq IS NULL) <> (charge_id IS NULL)', name=op.f('ck_notes_beside_one')),
    sa.ForeignKeyConstraint(['charge_id'], ['charges.id'], name=op.f('fk_notes_charge_id_charges')),
    sa.ForeignKeyConstraint(['wallet_id'], ['wallets.id'], name=op.f('fk_notes_wallet_id_wallets')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_notes')),
    sa.UniqueConstraint('charge_id', name=op.f('uq_notes_charge_id')),
    sa.UniqueConstraint('wallet_id', 'seq', name=op.f('uq_notes_wallet_id_seq'))
    )

    install_triggers(op.get_bind())


def downgrade() -> None:
    for statement in REMOVE[op.get_bind().dialect.name]:
        op.execute(statement)
    op.drop_table('notes')
    op.drop_table('entries')
    with op.batch_alter_table('allocations', schema=None) as batch_op:
        batch_op.drop_index('ix_allocations_grant_id')

    op.drop_table('allocations')
    with op.batch_alter_table('charges', schema=None) as batch_op:
        batch_op.drop_index('ix_charges_open', postgresql_where=sa.text("state = 'open'"), sqlite_where=sa.text("state = 'open'"))
        batch_op.drop_index('ix_charges_debt_grant_id', postgresql_where=sa.text('debt_grant_id IS NOT NULL'), sqlite_where=sa.text('debt_grant_id IS NOT NULL'))

    op.drop_table('charges')
    with op.batch_alter_table('seal_spans', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_seal_spans_seal_number'))

    op.drop_table('seal_spans')
    with op.batch_alter_table('grants', schema=None) as batch_op:
        batch_op.drop_index('ix_grants_wallet_id')
        batch_op.drop_index('ix_grants_to_spend', postgresql_where=sa.text('remaining > 0'), sqlite_where=sa.text('remaining > 0'))
        batch_op.drop_index('ix_grants_root_grant_id', postgresql_where=sa.text('root_grant_id IS NOT NULL'), sqlite_where=sa.text('root_grant_id IS NOT NULL'))

    op.drop_table('grants')
    with op.batch_alter_table('wallets', schema=None) as batch_op:
        batch_op.drop_index('ix_wallets_next_expiry_at')

    op.drop_table('wallets')
    with op.batch_alter_table('users', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_users_person_hash'))

    op.drop_table('users')
    with op.batch_alter_table('throttles', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_throttles_window_started_at'))

    op.drop_table('throttles')
    with op.batch_alter_table('stripe_events', schema=None) as batch_op:
        batch_op.drop_index('ix_stripe_events_open')

    op.drop_table('stripe_events')
    op.drop_table('seals')
    with op.batch_alter_table('request_keys', schema=None) as batch_op:
        batch_op.drop_index('ix_request_keys_created_at')

    op.drop_table('request_keys')
    with op.batch_alter_table('purchases', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_purchases_user_id'))
        batch_op.drop_index(batch_op.f('ix_purchases_payment_intent_id'))
        batch_op.drop_index('ix_purchases_next_sync_at')
        batch_op.drop_index(batch_op.f('ix_purchases_checkout_id'))

    op.drop_table('purchases')
    with op.batch_alter_table('outbox', schema=None) as batch_op:
        batch_op.drop_index('ix_outbox_waiting', postgresql_where=sa.text('done_at IS NULL'), sqlite_where=sa.text('done_at IS NULL'))

    op.drop_table('outbox')
    with op.batch_alter_table('mails', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_mails_user_id'))
        batch_op.drop_index(batch_op.f('ix_mails_state_due_at'))

    op.drop_table('mails')
    with op.batch_alter_table('guest_windows', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_guest_windows_started_at'))

    op.drop_table('guest_windows')
    with op.batch_alter_table('guest_claims', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_guest_claims_claimed_at'))

    op.drop_table('guest_claims')
    op.drop_table('guest_budgets')
    with op.batch_alter_table('generations', schema=None) as batch_op:
        batch_op.drop_index('ix_generations_owner')
        batch_op.drop_index('ix_generations_open')

    op.drop_table('generations')
    with op.batch_alter_table('catalog_versions', schema=None) as batch_op:
        batch_op.drop_index('ix_catalog_versions_active_at')

    op.drop_table('catalog_versions')
    op.drop_table('assets')
