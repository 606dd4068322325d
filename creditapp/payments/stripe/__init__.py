"""Stripe client: the only package that imports Stripe's SDK."""
