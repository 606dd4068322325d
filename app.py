"""The WSGI entry: ``app:app``."""

from creditapp import create_app

app = create_app()
