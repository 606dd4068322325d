"""Attacks on a running demo and a running production set-up, as ``./run attack`` prints them."""
