"""Run the commands: ``python -m creditapp``."""

from creditapp.cli import main

main()
