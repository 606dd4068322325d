"""``python -m creditapp``: the operator's commands."""

from creditapp.cli import main

main()
