"""Reconciliation of the ledger with Stripe."""
