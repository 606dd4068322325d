"""Backups: of an app in use, restored elsewhere, cut, damaged, and into a wrong place."""
