"""WSGI entry point: ``app:app``."""

from creditapp import create_app

app = create_app()
