"""Stripe's objects as JSON with all fields of Stripe's API, one module per object type."""
