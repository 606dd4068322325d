"""The first schema, whole: every table, index and constraint, and the triggers of the ledger.

Revision: 0001_initial
Revises: nothing
"""

import sqlalchemy as sa
from alembic import op

from creditapp.db import BigId, UtcDateTime
from creditapp.ledger import install_triggers
from creditapp.ledger.triggers import REMOVE

revision = "0001_initial"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("email_key", sa.String(length=254), nullable=True),
        sa.Column("new_email", sa.String(length=254), nullable=True),
        sa.Column("person_hash", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("verified_at", UtcDateTime(), nullable=True),
        sa.Column("password_epoch", sa.Integer(), nullable=False),
        sa.Column("low_balance_micro", sa.BigInteger(), nullable=True),
        sa.Column("studio_settings", sa.JSON(), nullable=True),
        sa.Column("api_key_mode", sa.String(length=8), nullable=False),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        sa.Column("frozen_at", UtcDateTime(), nullable=True),
        sa.Column("deleted_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("(email_key IS NULL) = (deleted_at IS NOT NULL)", name=op.f("ck_users_deleted")),
        sa.CheckConstraint("low_balance_micro IS NULL OR low_balance_micro >= 0", name=op.f("ck_users_low_balance")),
        sa.CheckConstraint("password_epoch >= 1", name=op.f("ck_users_password_epoch")),
        sa.CheckConstraint("api_key_mode IN ('credits', 'own')", name=op.f("ck_users_api_key_mode")),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email_key", name="uq_users_email_key"),
    )
    op.create_index("ix_users_person_hash", "users", ["person_hash"])
    op.create_table(
        "credited_addresses",
        sa.Column("person_hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("person_hash", name="pk_credited_addresses"),
    )
    op.create_table(
        "login_sessions",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("device", sa.String(length=80), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("last_seen_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_login_sessions_user_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_login_sessions"),
    )
    op.create_index("ix_login_sessions_user_id", "login_sessions", ["user_id"])
    op.create_index("ix_login_sessions_last_seen_at", "login_sessions", ["last_seen_at"])
    op.create_table(
        "provider_keys",
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("vendor", sa.String(length=16), nullable=False),
        sa.Column("encrypted_key", sa.Text(), nullable=False),
        sa.Column("last_characters", sa.String(length=4), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("checked_at", UtcDateTime(), nullable=True),
        sa.Column("problem", sa.String(length=8), nullable=True),
        sa.Column("problem_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint(
            "vendor IN ('openai', 'anthropic', 'google', 'fal')", name=op.f("ck_provider_keys_vendor")
        ),
        sa.CheckConstraint("problem IN ('refused', 'empty')", name=op.f("ck_provider_keys_problem")),
        sa.CheckConstraint(
            "(problem IS NULL) = (problem_at IS NULL)", name=op.f("ck_provider_keys_problem_at")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_provider_keys_user_id_users"),
        sa.PrimaryKeyConstraint("user_id", "vendor", name="pk_provider_keys"),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("last_characters", sa.String(length=4), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("models", sa.JSON(), nullable=True),
        sa.Column("budget_micro", sa.BigInteger(), nullable=True),
        sa.Column("budget_period", sa.String(length=5), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("last_used_at", UtcDateTime(), nullable=True),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("budget_micro > 0", name=op.f("ck_api_keys_budget_micro")),
        sa.CheckConstraint(
            "budget_period IN ('day', 'week', 'month', 'all')", name=op.f("ck_api_keys_budget_period")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_api_keys_user_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("digest", name="uq_api_keys_digest"),
    )
    op.create_index("ix_api_keys_user_id", "api_keys", ["user_id"])
    op.create_table(
        "auto_topups",
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("pack_id", sa.String(length=64), nullable=False),
        sa.Column("price_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("credits_micro", sa.BigInteger(), nullable=False),
        sa.Column("threshold_micro", sa.BigInteger(), nullable=False),
        sa.Column("limit_minor", sa.BigInteger(), nullable=False),
        sa.Column("counts_manual", sa.Boolean(), nullable=False),
        sa.Column("consented_at", UtcDateTime(), nullable=False),
        sa.Column("consent_version", sa.String(length=16), nullable=False),
        sa.Column("on_at", UtcDateTime(), nullable=True),
        sa.Column("stopped_at", UtcDateTime(), nullable=True),
        sa.Column("stopped_reason", sa.String(length=24), nullable=True),
        sa.Column("setup_checkout_id", sa.String(length=255), nullable=True),
        sa.Column("card_id", sa.String(length=255), nullable=True),
        sa.Column("card_brand", sa.String(length=40), nullable=True),
        sa.Column("card_last4", sa.String(length=4), nullable=True),
        sa.Column("purchase_id", sa.String(length=40), nullable=True),
        sa.Column("declines", sa.Integer(), nullable=False),
        sa.Column("last_try_at", UtcDateTime(), nullable=True),
        sa.Column("next_look_at", UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("threshold_micro > 0 AND limit_minor >= price_minor", name=op.f("ck_auto_topups_limits")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_auto_topups_user_id_users"),
        sa.PrimaryKeyConstraint("user_id", name="pk_auto_topups"),
    )
    op.create_index("ix_auto_topups_next_look_at", "auto_topups", ["next_look_at"])
    op.create_table(
        "catalog_versions",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=48), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=8), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("active_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("source IN ('file', 'sync', 'admin')", name=op.f("ck_catalog_versions_source")),
        sa.PrimaryKeyConstraint("id", name="pk_catalog_versions"),
        sa.UniqueConstraint("digest", name="uq_catalog_versions_digest"),
    )
    op.create_index("ix_catalog_versions_active_at", "catalog_versions", ["active_at"])
    op.create_table(
        "customers",
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("stripe_id", sa.String(length=255), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("tell_address_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_customers_user_id_users"),
        sa.PrimaryKeyConstraint("user_id", "livemode", name="pk_customers"),
    )
    op.create_index("ix_customers_stripe_id", "customers", ["stripe_id"])
    op.create_index("ix_customers_tell_address_at", "customers", ["tell_address_at"])
    op.create_table(
        "deletions",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("owner_kind", sa.String(length=8), nullable=False),
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("erasing_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_deletions"),
    )
    op.create_index("ix_deletions_created_at", "deletions", ["created_at"])
    op.create_table(
        "generations",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("owner_kind", sa.String(length=8), nullable=False),
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("request_key", sa.String(length=128), nullable=False),
        sa.Column("request_digest", sa.String(length=64), nullable=False),
        sa.Column("operation", sa.String(length=24), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("model_name", sa.String(length=64), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("negative_prompt", sa.Text(), nullable=True),
        sa.Column("style", sa.String(length=32), nullable=True),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("size", sa.String(length=16), nullable=False),
        sa.Column("quality", sa.String(length=16), nullable=True),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("batch_id", sa.String(length=40), nullable=True),
        sa.Column("catalog_version", sa.String(length=64), nullable=False),
        sa.Column("funding", sa.String(length=8), nullable=False),
        sa.Column("wallet_id", sa.BigInteger(), nullable=True),
        sa.Column("charge_id", sa.BigInteger(), nullable=True),
        sa.Column("claim_id", sa.String(length=40), nullable=True),
        sa.Column("encrypted_key", sa.Text(), nullable=True),
        sa.Column("quoted_micro", sa.BigInteger(), nullable=False),
        sa.Column("quoted_units", sa.Integer(), nullable=False),
        sa.Column("charged_micro", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("progress", sa.Integer(), nullable=False),
        sa.Column("delivered", sa.Integer(), nullable=False),
        sa.Column("preview", sa.Boolean(), nullable=False),
        sa.Column("provider", sa.String(length=24), nullable=False),
        sa.Column("provider_job", sa.String(length=200), nullable=True),
        sa.Column("provider_cost_micros_usd", sa.BigInteger(), nullable=True),
        sa.Column("provider_usage", sa.JSON(), nullable=True),
        sa.Column("error_code", sa.String(length=32), nullable=True),
        sa.Column("error_text", sa.String(length=240), nullable=True),
        sa.Column("reported_at", UtcDateTime(), nullable=True),
        sa.Column("report_text", sa.String(length=500), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("provider_started_at", UtcDateTime(), nullable=True),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.Column("cancel_requested_at", UtcDateTime(), nullable=True),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("deleted_at", UtcDateTime(), nullable=True),
        sa.Column("deletion_id", sa.String(length=40), nullable=True),
        sa.CheckConstraint("funding IN ('wallet', 'guest', 'own_key', 'receipt')", name=op.f("ck_generations_funding")),
        sa.CheckConstraint(
            "funding <> 'own_key' OR charge_id IS NULL", name=op.f("ck_generations_own_key_not_charged")
        ),
        sa.CheckConstraint(
            "encrypted_key IS NULL OR (funding = 'own_key' AND state IN ('queued', 'running'))",
            name=op.f("ck_generations_encrypted_key"),
        ),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'failed', 'canceled')", name=op.f("ck_generations_state")
        ),
        sa.ForeignKeyConstraint(["deletion_id"], ["deletions.id"], name="fk_generations_deletion_id_deletions"),
        sa.PrimaryKeyConstraint("id", name="pk_generations"),
        sa.UniqueConstraint(
            "owner_kind", "owner_id", "request_key", name="uq_generations_owner_kind_owner_id_request_key"
        ),
    )
    op.create_index(
        "ix_generations_deletion_id",
        "generations",
        ["deletion_id"],
        postgresql_where=sa.text("deletion_id IS NOT NULL"),
        sqlite_where=sa.text("deletion_id IS NOT NULL"),
    )
    op.create_index("ix_generations_open", "generations", ["state", "lease_until"])
    op.create_table(
        "partial_images",
        sa.Column("generation_id", sa.String(length=40), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("mime_type", sa.String(length=32), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["generation_id"], ["generations.id"], name="fk_partial_images_generation_id_generations"
        ),
        sa.PrimaryKeyConstraint("generation_id", "position", name="pk_partial_images"),
    )
    op.create_index("ix_generations_owner", "generations", ["owner_kind", "owner_id", "id"])
    op.create_index(
        "ix_generations_usage",
        "generations",
        ["owner_kind", "owner_id", "finished_at", "charged_micro", "delivered"],
        postgresql_where=sa.text("state = 'succeeded'"),
        sqlite_where=sa.text("state = 'succeeded'"),
    )
    op.create_table(
        "assets",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("generation_id", sa.String(length=40), nullable=False),
        sa.Column("owner_kind", sa.String(length=8), nullable=False),
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("operation", sa.String(length=24), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("media_key", sa.String(length=80), nullable=False),
        sa.Column("mime_type", sa.String(length=32), nullable=False),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("milliseconds", sa.Integer(), nullable=True),
        sa.Column("thumbnail_key", sa.String(length=80), nullable=True),
        sa.Column("starred_at", UtcDateTime(), nullable=True),
        sa.Column("deletion_id", sa.String(length=40), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["deletion_id"], ["deletions.id"], name="fk_assets_deletion_id_deletions"),
        sa.ForeignKeyConstraint(["generation_id"], ["generations.id"], name="fk_assets_generation_id_generations"),
        sa.PrimaryKeyConstraint("id", name="pk_assets"),
        sa.UniqueConstraint("generation_id", "position", name="uq_assets_generation_id_position"),
    )
    newest = ["owner_kind", "owner_id", "created_at", "id"]
    op.create_index("ix_assets_owner", "assets", newest)
    op.create_index("ix_assets_model", "assets", [*newest[:2], "model", *newest[2:]])
    op.create_index("ix_assets_operation", "assets", [*newest[:2], "operation", *newest[2:]])
    op.create_index(
        "ix_assets_starred",
        "assets",
        newest,
        postgresql_where=sa.text("starred_at IS NOT NULL"),
        sqlite_where=sa.text("starred_at IS NOT NULL"),
    )
    op.create_index(
        "ix_assets_deletion_id",
        "assets",
        ["deletion_id"],
        postgresql_where=sa.text("deletion_id IS NOT NULL"),
        sqlite_where=sa.text("deletion_id IS NOT NULL"),
    )
    op.create_table(
        "prompts",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("owner_kind", sa.String(length=8), nullable=False),
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("operation", sa.String(length=24), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("first_used_at", UtcDateTime(), nullable=False),
        sa.Column("last_used_at", UtcDateTime(), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_prompts"),
        sa.UniqueConstraint("owner_kind", "owner_id", "digest", name="uq_prompts_owner_kind_owner_id_digest"),
    )
    op.create_index("ix_prompts_owner", "prompts", ["owner_kind", "owner_id", "last_used_at", "id"])
    op.create_table(
        "guest_budgets",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.CheckConstraint("used >= 0", name=op.f("ck_guest_budgets_used")),
        sa.PrimaryKeyConstraint("day", "shard", name="pk_guest_budgets"),
    )
    op.create_table(
        "guest_claims",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("windows", sa.JSON(), nullable=False),
        sa.Column("budget_day", sa.Date(), nullable=False),
        sa.Column("budget_shard", sa.Integer(), nullable=False),
        sa.Column("claimed_at", UtcDateTime(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("generation_id", sa.String(length=40), nullable=True),
        sa.CheckConstraint("state IN ('claimed', 'kept', 'returned')", name=op.f("ck_guest_claims_state")),
        sa.PrimaryKeyConstraint("id", name="pk_guest_claims"),
        sa.UniqueConstraint("generation_id", name="uq_guest_claims_generation_id"),
    )
    op.create_index("ix_guest_claims_claimed_at", "guest_claims", ["claimed_at"])
    op.create_table(
        "guest_windows",
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.CheckConstraint("used >= 0", name=op.f("ck_guest_windows_used")),
        sa.PrimaryKeyConstraint("key", name="pk_guest_windows"),
    )
    op.create_index("ix_guest_windows_started_at", "guest_windows", ["started_at"])
    op.create_table(
        "invoices",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("subscription_id", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.String(length=255), nullable=True),
        sa.Column("billing_reason", sa.String(length=40), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("title", sa.String(length=255), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("subtotal_minor", sa.BigInteger(), nullable=False),
        sa.Column("total_minor", sa.BigInteger(), nullable=False),
        sa.Column("tax_minor", sa.BigInteger(), nullable=False),
        sa.Column("paid_minor", sa.BigInteger(), nullable=False),
        sa.Column("refunded_minor", sa.BigInteger(), nullable=False),
        sa.Column("disputed", sa.Boolean(), nullable=False),
        sa.Column("payment_intent_id", sa.String(length=255), nullable=True),
        sa.Column("credits_micro", sa.BigInteger(), nullable=False),
        sa.Column("supersedes_from", UtcDateTime(), nullable=True),
        sa.Column("review_reason", sa.String(length=120), nullable=True),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("paid_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_invoices_user_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_invoices"),
    )
    op.create_index("ix_invoices_payment_intent_id", "invoices", ["payment_intent_id"])
    op.create_index("ix_invoices_subscription", "invoices", ["subscription_id", "created_at"])
    op.create_index("ix_invoices_user_id", "invoices", ["user_id"])
    op.create_table(
        "outbox",
        sa.Column("id", BigId, nullable=False),
        sa.Column("topic", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("claimed_at", UtcDateTime(), nullable=True),
        sa.Column("done_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
    )
    op.create_index(
        "ix_outbox_waiting",
        "outbox",
        ["topic", "id"],
        postgresql_where=sa.text("done_at IS NULL"),
        sqlite_where=sa.text("done_at IS NULL"),
    )
    op.create_table(
        "plan_prices",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("plan_id", sa.String(length=64), nullable=False),
        sa.Column("plan_name", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("cycle", sa.String(length=8), nullable=False),
        sa.Column("price_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("credits_micro", sa.BigInteger(), nullable=False),
        sa.Column("lasting_months", sa.Integer(), nullable=True),
        sa.Column("trial_credits_micro", sa.BigInteger(), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("cycle IN ('month', 'year')", name=op.f("ck_plan_prices_cycle")),
        sa.CheckConstraint("price_minor >= 0 AND credits_micro > 0", name=op.f("ck_plan_prices_amounts")),
        sa.PrimaryKeyConstraint("id", name="pk_plan_prices"),
        sa.UniqueConstraint("digest", "livemode", name="uq_plan_prices_digest_livemode"),
    )
    op.create_table(
        "purchases",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("request_key", sa.String(length=128), nullable=False),
        sa.Column("request_digest", sa.String(length=64), nullable=False),
        sa.Column("pack_id", sa.String(length=64), nullable=False),
        sa.Column("pack_name", sa.String(length=255), nullable=False),
        sa.Column("catalog_version", sa.String(length=64), nullable=False),
        sa.Column("price_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("credits_micro", sa.BigInteger(), nullable=False),
        sa.Column("stripe_price_id", sa.String(length=255), nullable=True),
        sa.Column("cycle", sa.String(length=8), nullable=True),
        sa.Column("seats", sa.Integer(), nullable=False),
        sa.Column("trial_days", sa.Integer(), nullable=False),
        sa.Column("subscription_id", sa.String(length=255), nullable=True),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("sandbox", sa.Boolean(), nullable=False),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("checkout_id", sa.String(length=255), nullable=True),
        sa.Column("checkout_url", sa.String(length=2048), nullable=True),
        sa.Column("payment_intent_id", sa.String(length=255), nullable=True),
        sa.Column("return_to", sa.String(length=512), nullable=False),
        sa.Column("grant_id", sa.BigInteger(), nullable=True),
        sa.Column("refunded_minor", sa.BigInteger(), nullable=False),
        sa.Column("total_minor", sa.BigInteger(), nullable=True),
        sa.Column("discount_minor", sa.BigInteger(), nullable=True),
        sa.Column("tax_minor", sa.BigInteger(), nullable=True),
        sa.Column("review_reason", sa.String(length=120), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("paid_at", UtcDateTime(), nullable=True),
        sa.Column("next_sync_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'pending', 'paid', 'failed', 'expired', 'review')", name=op.f("ck_purchases_state")
        ),
        sa.CheckConstraint("price_minor >= 0 AND credits_micro > 0", name=op.f("ck_purchases_amounts")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_purchases_user_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_purchases"),
        sa.UniqueConstraint("user_id", "request_key", name="uq_purchases_user_id_request_key"),
    )
    op.create_index("ix_purchases_checkout_id", "purchases", ["checkout_id"])
    op.create_index("ix_purchases_next_sync_at", "purchases", ["next_sync_at"])
    op.create_index("ix_purchases_payment_intent_id", "purchases", ["payment_intent_id"])
    op.create_index(
        "ix_purchases_pending",
        "purchases",
        ["user_id"],
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index("ix_purchases_user_id", "purchases", ["user_id"])
    op.create_table(
        "refund_requests",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("target_id", sa.String(length=255), nullable=False),
        sa.Column("open_target_id", sa.String(length=255), nullable=True),
        sa.Column("item", sa.String(length=255), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("state IN ('requested', 'paid', 'declined')", name=op.f("ck_refund_requests_state")),
        sa.CheckConstraint(
            "(state = 'requested') = (open_target_id IS NOT NULL)", name=op.f("ck_refund_requests_open")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_refund_requests_user_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_refund_requests"),
        sa.UniqueConstraint("open_target_id", name="uq_refund_requests_open_target_id"),
    )
    op.create_index("ix_refund_requests_target_id", "refund_requests", ["target_id"])
    op.create_index("ix_refund_requests_user_id", "refund_requests", ["user_id"])
    op.create_table(
        "refunds",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("target_id", sa.String(length=255), nullable=False),
        sa.Column("payment_intent_id", sa.String(length=255), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("credits_micro", sa.BigInteger(), nullable=True),
        sa.Column("sent_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint(
            "state IN ('open', 'done', 'failed', 'by_hand')", name=op.f("ck_refunds_state")
        ),
        sa.PrimaryKeyConstraint("id", name="pk_refunds"),
    )
    op.create_index("ix_refunds_target_id", "refunds", ["target_id"])
    op.create_table(
        "request_keys",
        sa.Column("id", BigId, nullable=False),
        sa.Column("caller", sa.String(length=100), nullable=False),
        sa.Column("route", sa.String(length=100), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("response", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_request_keys"),
        sa.UniqueConstraint("caller", "route", "key", name="uq_request_keys_caller_route_key"),
    )
    op.create_index("ix_request_keys_created_at", "request_keys", ["created_at"])
    op.create_table(
        "scheduled_grants",
        sa.Column("id", BigId, nullable=False),
        sa.Column("invoice_id", sa.String(length=255), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("subscription_id", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("credits_micro", sa.BigInteger(), nullable=False),
        sa.Column("reversed_micro", sa.BigInteger(), nullable=False),
        sa.Column("prorated_micro", sa.BigInteger(), nullable=False),
        sa.Column("superseded_by", sa.String(length=255), nullable=True),
        sa.Column("starts_at", UtcDateTime(), nullable=False),
        sa.Column("ends_at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("grant_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('due', 'granted', 'canceled', 'superseded')", name=op.f("ck_scheduled_grants_state")
        ),
        sa.CheckConstraint("reversed_micro BETWEEN 0 AND credits_micro", name=op.f("ck_scheduled_grants_reversed")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_scheduled_grants_user_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_scheduled_grants"),
        sa.UniqueConstraint("invoice_id", "number", name="uq_scheduled_grants_invoice_id_number"),
    )
    op.create_index("ix_scheduled_grants_due", "scheduled_grants", ["state", "due_at"])
    op.create_index("ix_scheduled_grants_subscription", "scheduled_grants", ["subscription_id", "starts_at"])
    op.create_table(
        "seals",
        sa.Column("number", BigId, autoincrement=False, nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("sealed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_seals"),
    )
    op.create_table(
        "stripe_events",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("type", sa.String(length=80), nullable=False),
        sa.Column("object_id", sa.String(length=255), nullable=False),
        sa.Column("purchase_id", sa.String(length=40), nullable=True),
        sa.Column("payment_request_id", sa.String(length=40), nullable=True),
        sa.Column("payment_intent_id", sa.String(length=255), nullable=True),
        sa.Column("subscription_id", sa.String(length=255), nullable=True),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(length=120), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("next_try_at", UtcDateTime(), nullable=False),
        sa.Column("done_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("state IN ('received', 'done', 'ignored', 'dead')", name=op.f("ck_stripe_events_state")),
        sa.PrimaryKeyConstraint("id", name="pk_stripe_events"),
    )
    op.create_index("ix_stripe_events_open", "stripe_events", ["state", "next_try_at"])
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("customer_id", sa.String(length=255), nullable=False),
        sa.Column("price_id", sa.String(length=255), nullable=False),
        sa.Column("next_price_id", sa.String(length=255), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("next_quantity", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("period_start", UtcDateTime(), nullable=False),
        sa.Column("period_end", UtcDateTime(), nullable=False),
        sa.Column("cancel_at", UtcDateTime(), nullable=True),
        sa.Column("trial_end", UtcDateTime(), nullable=True),
        sa.Column("past_due_since", UtcDateTime(), nullable=True),
        sa.Column("next_try_at", UtcDateTime(), nullable=True),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("next_sync_at", UtcDateTime(), nullable=False),
        sa.Column("upgrade_price_id", sa.String(length=255), nullable=True),
        sa.Column("upgrade_proration_at", UtcDateTime(), nullable=True),
        sa.Column("upgrade_key", sa.String(length=40), nullable=True),
        sa.Column("upgrade_credits_micro", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_subscriptions_user_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_subscriptions"),
    )
    op.create_index("ix_subscriptions_next_sync_at", "subscriptions", ["next_sync_at"])
    op.create_index("ix_subscriptions_user_id", "subscriptions", ["user_id"])
    op.create_table(
        "throttles",
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("window_started_at", UtcDateTime(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_throttles"),
    )
    op.create_index("ix_throttles_window_started_at", "throttles", ["window_started_at"])
    op.create_table(
        "email_refusals",
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("event", sa.String(length=60), nullable=False),
        sa.Column("refused_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_email_refusals_user_id_users"),
        sa.PrimaryKeyConstraint("user_id", "event", name="pk_email_refusals"),
    )
    op.create_table(
        "emails",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("event", sa.String(length=60), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("address", sa.String(length=254), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=True),
        sa.Column("context", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("sent_at", UtcDateTime(), nullable=True),
        sa.Column("last_error", sa.String(length=120), nullable=True),
        sa.CheckConstraint("state IN ('queued', 'sending', 'sent', 'failed', 'dropped')", name=op.f("ck_emails_state")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_emails_user_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_emails"),
        sa.UniqueConstraint("key", name="uq_emails_key"),
    )
    op.create_index("ix_emails_state_due_at", "emails", ["state", "due_at"])
    op.create_index("ix_emails_user_id", "emails", ["user_id"])
    op.create_table(
        "wallets",
        sa.Column("id", BigId, nullable=False),
        sa.Column("owner_kind", sa.String(length=16), nullable=False),
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("available_micro", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("held_micro", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("frozen_micro", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("owed_micro", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("next_expiry_at", UtcDateTime(), nullable=False),
        sa.Column("frozen_at", UtcDateTime(), nullable=True),
        sa.Column("lifetime_granted_micro", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lifetime_spent_micro", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lifetime_welcome_micro", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lifetime_purchased_micro", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("owner_kind IN ('user', 'team', 'receipt')", name=op.f("ck_wallets_owner_kind")),
        sa.CheckConstraint("available_micro >= 0", name=op.f("ck_wallets_available_micro")),
        sa.CheckConstraint("frozen_micro >= 0", name=op.f("ck_wallets_frozen_micro")),
        sa.CheckConstraint("held_micro >= 0", name=op.f("ck_wallets_held_micro")),
        sa.CheckConstraint("owed_micro >= 0", name=op.f("ck_wallets_owed_micro")),
        sa.PrimaryKeyConstraint("id", name="pk_wallets"),
        sa.UniqueConstraint("owner_kind", "owner_id", name="uq_wallets_owner_kind_owner_id"),
        postgresql_with={"fillfactor": "60"},
    )
    op.create_index("ix_wallets_next_expiry_at", "wallets", ["next_expiry_at"])
    op.create_table(
        "grants",
        sa.Column("id", BigId, nullable=False),
        sa.Column("wallet_id", BigId, nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("origin", sa.String(length=200), nullable=False),
        sa.Column("amount_micro", sa.BigInteger(), nullable=False),
        sa.Column("remaining_micro", sa.BigInteger(), nullable=False),
        sa.Column("expired_micro", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("revoked_micro", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("transferred_micro", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("owed_micro", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("revoked_target_micro", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("scope", sa.String(length=40), server_default="*", nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("frozen_at", UtcDateTime(), nullable=True),
        sa.Column("paid_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("livemode", sa.Boolean(), nullable=True),
        sa.Column("parent_grant_id", BigId, nullable=True),
        sa.Column("root_grant_id", BigId, nullable=True),
        sa.Column("actor", sa.String(length=80), server_default="", nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "source IN ('purchase', 'subscription', 'agent', 'welcome', 'free', 'promotion', 'referral', 'gift', 'transfer', 'refund', 'admin')",
            name=op.f("ck_grants_source"),
        ),
        sa.CheckConstraint("(parent_grant_id IS NULL) = (root_grant_id IS NULL)", name=op.f("ck_grants_lineage")),
        sa.CheckConstraint("amount_micro > 0", name=op.f("ck_grants_amount_micro")),
        sa.CheckConstraint("expired_micro >= 0", name=op.f("ck_grants_expired_micro")),
        sa.CheckConstraint("owed_micro >= 0", name=op.f("ck_grants_owed_micro")),
        sa.CheckConstraint(
            "remaining_micro + expired_micro + revoked_micro + transferred_micro + owed_micro <= amount_micro",
            name=op.f("ck_grants_parts"),
        ),
        sa.CheckConstraint("remaining_micro >= 0", name=op.f("ck_grants_remaining_micro")),
        sa.CheckConstraint("revoked_micro >= 0", name=op.f("ck_grants_revoked_micro")),
        sa.CheckConstraint(
            "revoked_target_micro BETWEEN 0 AND amount_micro", name=op.f("ck_grants_revoked_target_micro")
        ),
        sa.CheckConstraint("transferred_micro >= 0", name=op.f("ck_grants_transferred_micro")),
        sa.ForeignKeyConstraint(["parent_grant_id"], ["grants.id"], name="fk_grants_parent_grant_id_grants"),
        sa.ForeignKeyConstraint(["root_grant_id"], ["grants.id"], name="fk_grants_root_grant_id_grants"),
        sa.ForeignKeyConstraint(["wallet_id"], ["wallets.id"], name="fk_grants_wallet_id_wallets"),
        sa.PrimaryKeyConstraint("id", name="pk_grants"),
        sa.UniqueConstraint("origin", name="uq_grants_origin"),
        postgresql_with={"fillfactor": "60"},
    )
    op.create_index(
        "ix_grants_root_grant_id",
        "grants",
        ["root_grant_id"],
        postgresql_where=sa.text("root_grant_id IS NOT NULL"),
        sqlite_where=sa.text("root_grant_id IS NOT NULL"),
    )
    op.create_index(
        "ix_grants_to_spend",
        "grants",
        ["wallet_id", "priority", "expires_at", "id"],
        postgresql_where=sa.text("remaining_micro > 0"),
        sqlite_where=sa.text("remaining_micro > 0"),
    )
    op.create_index("ix_grants_wallet_id", "grants", ["wallet_id"])
    op.create_table(
        "expiry_notices",
        sa.Column("grant_id", BigId, nullable=False),
        sa.Column("days", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("told_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["grant_id"], ["grants.id"], name="fk_expiry_notices_grant_id_grants"),
        sa.PrimaryKeyConstraint("grant_id", "days", "expires_at", name="pk_expiry_notices"),
    )
    op.create_table(
        "seal_spans",
        sa.Column("wallet_id", BigId, nullable=False),
        sa.Column("first_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("seal_number", BigId, nullable=False),
        sa.ForeignKeyConstraint(["seal_number"], ["seals.number"], name="fk_seal_spans_seal_number_seals"),
        sa.ForeignKeyConstraint(["wallet_id"], ["wallets.id"], name="fk_seal_spans_wallet_id_wallets"),
        sa.PrimaryKeyConstraint("wallet_id", "first_seq", name="pk_seal_spans"),
    )
    op.create_index("ix_seal_spans_seal_number", "seal_spans", ["seal_number"])
    op.create_table(
        "charges",
        sa.Column("id", BigId, nullable=False),
        sa.Column("wallet_id", BigId, nullable=False),
        sa.Column("key", sa.String(length=160), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("operation", sa.String(length=40), nullable=False),
        sa.Column("amount_micro", sa.BigInteger(), nullable=False),
        sa.Column("captured_micro", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("actor", sa.String(length=80), server_default="", nullable=False),
        sa.Column("feature", sa.String(length=80), server_default="", nullable=False),
        sa.Column("api_key_id", sa.String(length=40), nullable=True),
        sa.Column("request_id", sa.String(length=80), nullable=True),
        sa.Column("debt_grant_id", BigId, nullable=True),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("settled_at", UtcDateTime(), nullable=True),
        sa.Column("entry_seq", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state <> 'open' OR captured_micro = amount_micro", name=op.f("ck_charges_open_amount")),
        sa.CheckConstraint("state <> 'released' OR captured_micro = 0", name=op.f("ck_charges_released_amount")),
        sa.CheckConstraint("state IN ('open', 'captured', 'released')", name=op.f("ck_charges_state")),
        sa.CheckConstraint("amount_micro > 0", name=op.f("ck_charges_amount_micro")),
        sa.CheckConstraint("captured_micro BETWEEN 0 AND amount_micro", name=op.f("ck_charges_captured_micro")),
        sa.ForeignKeyConstraint(["debt_grant_id"], ["grants.id"], name="fk_charges_debt_grant_id_grants"),
        sa.ForeignKeyConstraint(["wallet_id"], ["wallets.id"], name="fk_charges_wallet_id_wallets"),
        sa.PrimaryKeyConstraint("id", name="pk_charges"),
        sa.UniqueConstraint("wallet_id", "key", name="uq_charges_wallet_id_key"),
    )
    op.create_index(
        "ix_charges_debt_grant_id",
        "charges",
        ["debt_grant_id"],
        postgresql_where=sa.text("debt_grant_id IS NOT NULL"),
        sqlite_where=sa.text("debt_grant_id IS NOT NULL"),
    )
    op.create_index(
        "ix_charges_api_key_id",
        "charges",
        ["api_key_id", "created_at", "captured_micro"],
        postgresql_where=sa.text("api_key_id IS NOT NULL"),
        sqlite_where=sa.text("api_key_id IS NOT NULL"),
    )
    op.create_index(
        "ix_charges_open",
        "charges",
        ["wallet_id", "expires_at"],
        postgresql_where=sa.text("state = 'open'"),
        sqlite_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "allocations",
        sa.Column("charge_id", BigId, nullable=False),
        sa.Column("grant_id", BigId, nullable=False),
        sa.Column("offset_micro", sa.BigInteger(), nullable=False),
        sa.Column("amount_micro", sa.BigInteger(), nullable=False),
        sa.Column("captured_micro", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_micro > 0", name=op.f("ck_allocations_amount_micro")),
        sa.CheckConstraint("captured_micro BETWEEN 0 AND amount_micro", name=op.f("ck_allocations_captured_micro")),
        sa.ForeignKeyConstraint(["charge_id"], ["charges.id"], name="fk_allocations_charge_id_charges"),
        sa.ForeignKeyConstraint(["grant_id"], ["grants.id"], name="fk_allocations_grant_id_grants"),
        sa.PrimaryKeyConstraint("charge_id", "grant_id", name="pk_allocations"),
    )
    op.create_index("ix_allocations_grant_id", "allocations", ["grant_id"])
    op.create_table(
        "entries",
        sa.Column("wallet_id", BigId, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("account", sa.String(length=16), nullable=False),
        sa.Column("amount_micro", sa.BigInteger(), nullable=False),
        sa.Column("balance_after_micro", sa.BigInteger(), nullable=False),
        sa.Column("charge_id", BigId, nullable=True),
        sa.Column("grant_id", BigId, nullable=True),
        sa.Column("effective_at", UtcDateTime(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "(kind = 'purchase' AND account = 'sales') OR (kind = 'grant' AND account = 'promotions') OR (kind = 'spend' AND account = 'usage') OR (kind = 'capture' AND account = 'usage') OR (kind = 'release' AND account = 'usage') OR (kind = 'refund' AND account = 'usage') OR (kind = 'expiry' AND account = 'expiry') OR (kind = 'revoke' AND account = 'reversals') OR (kind = 'restore' AND account = 'reversals') OR (kind = 'debt' AND account = 'reversals') OR (kind = 'transfer_out' AND account = 'transfers') OR (kind = 'transfer_in' AND account = 'transfers')",
            name=op.f("ck_entries_account"),
        ),
        sa.CheckConstraint(
            "(kind IN ('purchase', 'grant', 'refund', 'restore', 'transfer_in') AND amount_micro > 0) OR (kind IN ('release') AND amount_micro = 0) OR (kind IN ('spend', 'capture', 'expiry', 'revoke', 'debt', 'transfer_out') AND amount_micro < 0)",
            name=op.f("ck_entries_sign"),
        ),
        sa.CheckConstraint("balance_after_micro >= 0", name=op.f("ck_entries_balance_after_micro")),
        sa.CheckConstraint("seq > 0", name=op.f("ck_entries_seq")),
        sa.ForeignKeyConstraint(["charge_id"], ["charges.id"], name="fk_entries_charge_id_charges"),
        sa.ForeignKeyConstraint(["grant_id"], ["grants.id"], name="fk_entries_grant_id_grants"),
        sa.ForeignKeyConstraint(["wallet_id"], ["wallets.id"], name="fk_entries_wallet_id_wallets"),
        sa.PrimaryKeyConstraint("wallet_id", "seq", name="pk_entries"),
    )
    op.create_index("ix_entries_kind", "entries", ["wallet_id", "kind", "seq"])
    op.create_table(
        "notes",
        sa.Column("id", BigId, nullable=False),
        sa.Column("wallet_id", BigId, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("charge_id", BigId, nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.CheckConstraint("(seq IS NULL) <> (charge_id IS NULL)", name=op.f("ck_notes_beside_one")),
        sa.ForeignKeyConstraint(["charge_id"], ["charges.id"], name="fk_notes_charge_id_charges"),
        sa.ForeignKeyConstraint(["wallet_id"], ["wallets.id"], name="fk_notes_wallet_id_wallets"),
        sa.PrimaryKeyConstraint("id", name="pk_notes"),
        sa.UniqueConstraint("charge_id", name="uq_notes_charge_id"),
        sa.UniqueConstraint("wallet_id", "seq", name="uq_notes_wallet_id_seq"),
    )
    op.create_table(
        "conversations",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("source", sa.String(length=12), nullable=False),
        sa.Column("title", sa.String(length=80), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "source IN ('chat', 'agent', 'summarize', 'embeddings')", name=op.f("ck_conversations_source")
        ),
        sa.CheckConstraint("length >= 0", name=op.f("ck_conversations_length")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_conversations_user_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_conversations"),
    )
    op.create_index("ix_conversations_user_id", "conversations", ["user_id", "updated_at", "id"])
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("owner_kind", sa.String(length=8), nullable=False),
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("media_key", sa.String(length=80), nullable=False),
        sa.Column("mime_type", sa.String(length=32), nullable=False),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("milliseconds", sa.Integer(), nullable=True),
        sa.Column("thumbnail_key", sa.String(length=80), nullable=True),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("conversation_id", sa.String(length=40), nullable=True),
        sa.Column("used_at", UtcDateTime(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name="fk_uploads_conversation_id_conversations"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_uploads"),
    )
    op.create_index("ix_uploads_owner", "uploads", ["owner_kind", "owner_id", "id"])
    op.create_index("ix_uploads_used_at", "uploads", ["used_at"])
    op.create_index(
        "ix_uploads_conversation_id",
        "uploads",
        ["conversation_id"],
        postgresql_where=sa.text("conversation_id IS NOT NULL"),
        sqlite_where=sa.text("conversation_id IS NOT NULL"),
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("conversation_id", sa.String(length=40), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(length=12), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("image_ids", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("superseded_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("role IN ('system', 'user', 'assistant')", name=op.f("ck_messages_role")),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name="fk_messages_conversation_id_conversations"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        sa.UniqueConstraint("conversation_id", "position", name="uq_messages_conversation_id_position"),
    )
    op.create_table(
        "usage_records",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("request_key", sa.String(length=128), nullable=False),
        sa.Column("request_digest", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=12), nullable=False),
        sa.Column("conversation_id", sa.String(length=40), nullable=True),
        sa.Column("message_id", sa.String(length=40), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("provider", sa.String(length=24), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("model_name", sa.String(length=64), nullable=False),
        sa.Column("catalog_version", sa.String(length=64), nullable=False),
        sa.Column("preview", sa.Boolean(), nullable=False),
        sa.Column("omitted_messages", sa.Integer(), nullable=False),
        sa.Column("funding", sa.String(length=8), nullable=False),
        sa.Column("wallet_id", sa.BigInteger(), nullable=True),
        sa.Column("charge_id", sa.BigInteger(), nullable=True),
        sa.Column("held_micro", sa.BigInteger(), nullable=False),
        sa.Column("cost_micro", sa.BigInteger(), nullable=False),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("cached_tokens", sa.Integer(), nullable=False),
        sa.Column("cache_write_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.Column("reasoning_tokens", sa.Integer(), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("finish_reason", sa.String(length=12), nullable=True),
        sa.Column("error_code", sa.String(length=32), nullable=True),
        sa.Column("error_text", sa.String(length=240), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("lease_until", UtcDateTime(), nullable=False),
        sa.Column("stop_requested_at", UtcDateTime(), nullable=True),
        sa.Column("settled_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint(
            "source IN ('chat', 'agent', 'summarize', 'embeddings')", name=op.f("ck_usage_records_source")
        ),
        sa.CheckConstraint("state IN ('open', 'settled')", name=op.f("ck_usage_records_state")),
        sa.CheckConstraint("(state = 'settled') = (settled_at IS NOT NULL)", name=op.f("ck_usage_records_settled")),
        sa.CheckConstraint("funding IN ('wallet', 'own_key')", name=op.f("ck_usage_records_funding")),
        sa.CheckConstraint(
            "finish_reason IN ('stop', 'length', 'filtered', 'stopped', 'failed')",
            name=op.f("ck_usage_records_finish_reason"),
        ),
        sa.CheckConstraint("cost_micro BETWEEN 0 AND held_micro", name=op.f("ck_usage_records_cost")),
        sa.CheckConstraint(
            "cached_tokens >= 0 AND cache_write_tokens >= 0 AND cached_tokens + cache_write_tokens <= input_tokens",
            name=op.f("ck_usage_records_input"),
        ),
        sa.CheckConstraint("reasoning_tokens BETWEEN 0 AND output_tokens", name=op.f("ck_usage_records_output")),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name="fk_usage_records_conversation_id_conversations"
        ),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name="fk_usage_records_message_id_messages"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_usage_records_user_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_usage_records"),
        sa.UniqueConstraint("user_id", "request_key", name="uq_usage_records_user_id_request_key"),
    )
    op.create_index(
        "ix_usage_records_answer",
        "usage_records",
        ["created_at"],
        sqlite_where=sa.text("answer IS NOT NULL"),
        postgresql_where=sa.text("answer IS NOT NULL"),
    )
    op.create_index("ix_usage_records_conversation_id", "usage_records", ["conversation_id"])
    op.create_index(
        "ix_usage_records_open",
        "usage_records",
        ["lease_until"],
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index("ix_usage_records_user_id", "usage_records", ["user_id", "id"])
    op.create_index("ix_usage_records_created_at", "usage_records", ["user_id", "created_at"])
    op.create_table(
        "payment_requests",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("price_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("catalog_version", sa.String(length=64), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("payment_rail", sa.String(length=24), nullable=True),
        sa.Column("payment_fingerprint", sa.String(length=64), nullable=True),
        sa.Column("payment_lease_until", UtcDateTime(), nullable=True),
        sa.Column("checkout_id", sa.String(length=255), nullable=True),
        sa.Column("checkout_url", sa.Text(), nullable=True),
        sa.Column("next_check_at", UtcDateTime(), nullable=False),
        sa.Column("refunded_micro", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("paid_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint(
            "state IN ('open', 'settling', 'paid', 'refunded')", name=op.f("ck_payment_requests_state")
        ),
        sa.CheckConstraint("count > 0", name=op.f("ck_payment_requests_count")),
        sa.CheckConstraint("price_minor > 0", name=op.f("ck_payment_requests_price_minor")),
        sa.CheckConstraint("refunded_micro >= 0", name=op.f("ck_payment_requests_refunded_micro")),
        sa.CheckConstraint(
            "(state = 'settling') = (payment_fingerprint IS NOT NULL)",
            name=op.f("ck_payment_requests_payment_fingerprint"),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_payment_requests"),
        sa.UniqueConstraint("checkout_id", name="uq_payment_requests_checkout_id"),
    )
    op.create_index("ix_payment_requests_next_check_at", "payment_requests", ["next_check_at"])
    op.create_index(
        "ix_payment_requests_unpaid",
        "payment_requests",
        ["expires_at"],
        sqlite_where=sa.text("state IN ('open', 'settling')"),
        postgresql_where=sa.text("state IN ('open', 'settling')"),
    )
    op.create_table(
        "settlements",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("payment_request_id", sa.String(length=40), nullable=False),
        sa.Column("rail", sa.String(length=24), nullable=False),
        sa.Column("ref", sa.String(length=255), nullable=False),
        sa.Column("option_id", sa.String(length=64), nullable=False),
        sa.Column("payer", sa.String(length=255), nullable=True),
        sa.Column("payment_fingerprint", sa.String(length=64), nullable=True),
        sa.Column("paid_minor", sa.BigInteger(), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("sandbox", sa.Boolean(), nullable=False),
        sa.Column("grant_id", BigId, nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["payment_request_id"], ["payment_requests.id"], name="fk_settlements_payment_request_id_payment_requests"
        ),
        sa.ForeignKeyConstraint(["grant_id"], ["grants.id"], name="fk_settlements_grant_id_grants"),
        sa.PrimaryKeyConstraint("id", name="pk_settlements"),
        sa.UniqueConstraint("payment_fingerprint", name="uq_settlements_payment_fingerprint"),
        sa.UniqueConstraint("payment_request_id", name="uq_settlements_payment_request_id"),
        sa.UniqueConstraint("rail", "ref", name="uq_settlements_rail_ref"),
    )
    op.create_table(
        "payment_claims",
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_payment_claims"),
    )
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("url", sa.String(length=500), nullable=False),
        sa.Column("description", sa.String(length=100), nullable=False),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("encrypted_secret", sa.Text(), nullable=False),
        sa.Column("encrypted_previous_secret", sa.Text(), nullable=True),
        sa.Column("previous_secret_until", UtcDateTime(), nullable=True),
        sa.Column("announced_seq", sa.BigInteger(), nullable=True),
        sa.Column("failing_since", UtcDateTime(), nullable=True),
        sa.Column("disabled_at", UtcDateTime(), nullable=True),
        sa.Column("disabled_reason", sa.String(length=8), nullable=True),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("leased_until", UtcDateTime(), nullable=True),
        sa.Column("paused_until", UtcDateTime(), nullable=True),
        sa.Column("slow_until", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "disabled_reason IN ('member', 'failing', 'gone')", name=op.f("ck_webhook_endpoints_disabled_reason")
        ),
        sa.CheckConstraint(
            "(disabled_at IS NULL) = (disabled_reason IS NULL)", name=op.f("ck_webhook_endpoints_disabled_at")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_webhook_endpoints_user_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_endpoints"),
    )
    op.create_index("ix_webhook_endpoints_user_id", "webhook_endpoints", ["user_id"])
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("endpoint_id", sa.String(length=40), nullable=False),
        sa.Column("key", sa.String(length=160), nullable=False),
        sa.Column("event", sa.String(length=32), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("retries", sa.Integer(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'delivered', 'failed', 'not_sent')", name=op.f("ck_webhook_deliveries_state")
        ),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["webhook_endpoints.id"], name="fk_webhook_deliveries_endpoint_id_webhook_endpoints"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_deliveries"),
        sa.UniqueConstraint("endpoint_id", "key", name="uq_webhook_deliveries_endpoint_id_key"),
    )
    op.create_index("ix_webhook_deliveries_created_at", "webhook_deliveries", ["created_at"])
    op.create_index(
        "ix_webhook_deliveries_due",
        "webhook_deliveries",
        ["endpoint_id", "due_at"],
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index("ix_webhook_deliveries_endpoint_id", "webhook_deliveries", ["endpoint_id", "id"])
    op.create_table(
        "webhook_attempts",
        sa.Column("delivery_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("problem", sa.String(length=24), nullable=True),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["webhook_deliveries.id"], name="fk_webhook_attempts_delivery_id_webhook_deliveries"
        ),
        sa.PrimaryKeyConstraint("delivery_id", "number", name="pk_webhook_attempts"),
    )
    install_triggers(op.get_bind())


def downgrade() -> None:
    for statement in REMOVE[op.get_bind().dialect.name]:
        op.execute(statement)
    for table in (
        "payment_claims",
        "settlements",
        "payment_requests",
        "webhook_attempts",
        "webhook_deliveries",
        "webhook_endpoints",
        "usage_records",
        "messages",
        "uploads",
        "conversations",
        "notes",
        "entries",
        "allocations",
        "charges",
        "seal_spans",
        "expiry_notices",
        "grants",
        "wallets",
        "emails",
        "email_refusals",
        "throttles",
        "subscriptions",
        "stripe_events",
        "seals",
        "scheduled_grants",
        "request_keys",
        "refunds",
        "refund_requests",
        "purchases",
        "plan_prices",
        "outbox",
        "invoices",
        "guest_windows",
        "guest_claims",
        "guest_budgets",
        "assets",
        "partial_images",
        "prompts",
        "generations",
        "deletions",
        "customers",
        "catalog_versions",
        "auto_topups",
        "api_keys",
        "provider_keys",
        "login_sessions",
        "credited_addresses",
        "users",
    ):
        op.drop_table(table)
