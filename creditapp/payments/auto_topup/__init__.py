"""Automatic top-ups: a saved card buys a pack when the balance is low."""
