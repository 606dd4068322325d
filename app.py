"""WSGI entry point: ``app:app``."""

from creditapp import create_app
from creditapp.private_files import keep_files_private

keep_files_private()
app = create_app()
