"""Stripe's objects as JSON, one module a kind: every field that Stripe sends is there."""
