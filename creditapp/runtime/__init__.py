"""Processes: the server, the tasks, migrations and demo data."""
