"""Refunds of purchases and invoices."""
