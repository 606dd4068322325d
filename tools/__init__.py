"""Commands for developers: test, check, soak, bench, attack."""
