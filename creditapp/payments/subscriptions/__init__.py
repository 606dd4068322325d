"""Subscriptions: plans, their invoices and the credits of each month."""
