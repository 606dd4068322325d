"""Uploads: files that a member brings to start from, stored without their metadata.

The bytes decide what a file is. Each is rewritten by a process of its own with limits
(``rewriter``): what is stored holds the pixels or the sound, and neither a place, a camera's name
nor anything hidden behind them. Nothing is stored of a file that is refused.
"""

from creditapp.generation.uploads.queries import (
    delete_files,
    delete_upload,
    find_upload,
    give_up,
    list_uploads,
    sweep_uploads,
)
from creditapp.generation.uploads.refusals import refusal_of
from creditapp.generation.uploads.store import store_upload
