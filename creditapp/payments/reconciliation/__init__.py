"""Reconciliation of the ledger with Stripe: payments, refunds and disputes, repaired by a sync."""
