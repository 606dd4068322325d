"""Commands about the store of images, audio and video."""

from __future__ import annotations

import click

from creditapp.cli.context import failures_in_one_line, read_settings, say, show_progress
from creditapp.config import SettingsInvalid
from creditapp.media import MediaUnavailable, move, open_media


@click.group()
def media() -> None:
    """Move images, audio and video between stores."""


@media.command("move")
@click.option("--to", "target_url", required=True, help="file:/folder, or s3://bucket?...")
@click.option("--from", "source_url", default="", help="Without it, MEDIA_URL.")
@click.option("--delete", is_flag=True, help="Delete from the source once all files are there.")
@click.option("--json", "as_json", is_flag=True)
def move_files(target_url: str, source_url: str, delete: bool, as_json: bool) -> None:
    """Copy all files to another store and compare each; run it again after a stop."""
    settings = read_settings()
    in_use = open_media(settings)
    source = open_media(settings, source_url)
    target = open_media(settings, target_url)
    try:
        with failures_in_one_line():
            if move.same_place(source, target):
                raise SettingsInvalid("Source and target are the same place.")
            if delete and move.same_place(in_use, source):
                raise SettingsInvalid(
                    "MEDIA_URL names the source: set it to the target, restart, and name the "
                    "source by --from."
                )
            done = move.move(source, target, _progress, delete=delete)
    except MediaUnavailable as error:
        raise click.ClickException(
            f"The bucket did not do it ({error.reason}). Run the same command again."
        ) from None
    finally:
        show_progress("")
    say(done.as_dict(), done.as_text(), as_json)
    if not done.complete:
        raise click.exceptions.Exit(1)


def _progress(number: int, count: int) -> None:
    show_progress(f"moving files: {number} of {count}")


COMMANDS = (media,)
