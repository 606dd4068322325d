"""Purchases of packs: from the checkout to the grant."""
