"""What developers run through ``./run``: test, check, soak, bench."""
