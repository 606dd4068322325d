"""Files of the app, which other users of the machine must not read."""

from __future__ import annotations

import os
import stat

from creditapp.config import Settings


def keep_files_private() -> None:
    """Let no file that this process makes be read by other users of the machine.

    Every entry point calls it: SQLite and DBOS open their files with the process's own mask.
    """
    os.umask(0o077)


def open_folder_warning(settings: Settings) -> str | None:
    """Return what to do about a data folder of before that other users can read, or None."""
    mode = stat.S_IMODE(settings.data_dir.stat().st_mode)
    if not mode & 0o077:
        return None
    return f"CREDITAPP_DATA is open to other users ({mode:04o}): run chmod -R go= on that folder."
