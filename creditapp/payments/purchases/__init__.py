"""Purchases: from the checkout to the grant."""
