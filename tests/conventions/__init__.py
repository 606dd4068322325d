"""Conventions of the whole repository, as tests that can fail."""
