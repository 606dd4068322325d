"""Rewrites an uploaded file without metadata: a program of its own, which imports no CreditApp.

A hostile file can make a decoder use all memory or time, or overwrite its memory. So this runs in
a process with limits, without secrets, that ``uploads`` starts for each file. It reads the file
descriptor ``source``, writes ``target`` and ``thumbnail``, and prints what it found as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import traceback
from collections.abc import Mapping
from typing import Any, BinaryIO

Facts = dict[str, Any]

AUDIO_CODECS = {"mp3", "mp3float", "aac", "alac", "opus", "vorbis", "flac"}
"""And PCM. What browsers play, and vendors take."""

VIDEO_CODECS = {"h264", "hevc", "vp8", "vp9", "av1", "libdav1d", "libvpx", "libvpx-vp9"}

_OUTPUTS = {
    ("mp3", "audio"): ("mp3", "audio/mpeg"),
    ("wav", "audio"): ("wav", "audio/wav"),
    ("ogg", "audio"): ("ogg", "audio/ogg"),
    ("mov", "audio"): ("ipod", "audio/mp4"),
    ("mov", "video"): ("mp4", "video/mp4"),
    # A browser records a voice as WebM without a video.
    ("matroska", "audio"): ("ogg", "audio/ogg"),
    ("matroska", "video"): ("webm", "video/webm"),
}
"""Container and MIME type of what is written, by the demuxer and the kind."""

_MUXER_OPTIONS = {"fflags": "+bitexact", "id3v2_version": "0", "write_id3v1": "0"}
"""No name of the program and no tags."""


class Refused(Exception):
    """The file is not accepted; the first argument is the reason, further ones are its facts."""


def main(task: Mapping[str, Any]) -> None:
    """Rewrite one file as ``task`` says, and print what was found or why it is refused."""
    _limit(task["limits"])
    source = os.fdopen(task["source"], "rb")
    source.seek(0)  # the parent, which shares the position, has read the beginning
    target = os.fdopen(task["target"], "r+b")
    thumbnail = os.fdopen(task["thumbnail"], "r+b")
    try:
        rewrite = _rewrite_image if task["container"] == "image" else _rewrite_media
        facts = rewrite(task, source, target, thumbnail)
        target.flush()
        thumbnail.flush()
    except Refused as refusal:
        facts = {"refused": refusal.args[0], **dict(refusal.args[1:])}
    except MemoryError:
        facts = {"refused": "costly"}
    except Exception as error:
        # Decoders raise whatever their parts do: OSError, ValueError, struct.error, ... Type and
        # place are logged, so that a mistake of ours is not taken for a damaged file.
        place = traceback.extract_tb(error.__traceback__)[-1]
        at = f"{os.path.basename(place.filename)}:{place.lineno}"
        facts = {"refused": "unreadable", "error_type": type(error).__name__, "at": at}
    print(json.dumps(facts))  # noqa: T201  # the answer to the parent process
    sys.stdout.flush()
    # Without the destructors of half-open decoders, which may crash on such files.
    os._exit(0)


def _limit(limits: Mapping[str, int]) -> None:
    """Set the limits of this process: memory, processor time, the size of a file it writes."""
    for kind, value in (
        (resource.RLIMIT_AS, limits["memory_bytes"]),
        (resource.RLIMIT_CPU, limits["cpu_seconds"]),
        (resource.RLIMIT_FSIZE, limits["output_bytes"]),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (value, value))


def _rewrite_image(
    task: Mapping[str, Any], source: BinaryIO, target: BinaryIO, thumbnail: BinaryIO
) -> Facts:
    """Write the pixels of an image as they are shown, in its own format."""
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = None  # the limits below are lower
    with Image.open(source, formats=("PNG", "JPEG", "WEBP")) as image:
        width, height = image.size
        if max(width, height) > task["side_max"] or width * height > task["pixels_max"]:
            raise Refused("too_many_pixels", ("width", width), ("height", height))
        # A photograph of some cameras is an MPO: a JPEG with a second view after it.
        file_format = "JPEG" if image.format == "MPO" else str(image.format)
        if file_format != "JPEG" and getattr(image, "n_frames", 1) != 1:
            raise Refused("animated")
        image.load()
        shown = _in_plain_colors(ImageOps.exif_transpose(image))
    shown.info.clear()
    if file_format == "JPEG":
        shown.convert("RGB").save(target, "JPEG", quality=95, subsampling=0)
    elif file_format == "WEBP":
        shown.save(target, "WEBP", quality=95, method=2)
    else:
        shown.save(target, "PNG")
    width, height = shown.size
    _write_thumbnail(shown, thumbnail, task["thumbnail_side"])
    return {
        "mime_type": f"image/{file_format.lower()}",
        "width": width,
        "height": height,
        "milliseconds": None,
    }


def _in_plain_colors(image: Any) -> Any:
    """Return an image as RGB or RGBA in sRGB: its own color profile is applied, then left out."""
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I;16"):
        image = image.point(lambda value: value / 256).convert("L")
    has_alpha = image.has_transparency_data
    alpha = image.convert("RGBA").getchannel("A") if has_alpha else None
    if profile:
        image = _in_srgb(image, profile)
    plain = image.convert("RGB")
    if alpha is not None:
        plain.putalpha(alpha)
    return plain


def _in_srgb(image: Any, profile: bytes) -> Any:
    import io

    from PIL import ImageCms

    if image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("RGB")
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(
            image, own, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image  # of another color space than its pixels, or damaged: as if it had none


def _write_thumbnail(image: Any, thumbnail: BinaryIO, side: int) -> None:
    small = image.copy()
    small.thumbnail((side, side))
    small.save(thumbnail, "WEBP", quality=80)


def _rewrite_media(
    task: Mapping[str, Any], source: BinaryIO, target: BinaryIO, thumbnail: BinaryIO
) -> Facts:
    """Copy the packets of the first video and the first audio into a new container."""
    import av

    # Only this demuxer: others open further files, which a playlist names.
    options = {"protocol_whitelist": "none"}
    with av.open(source, format=task["container"], options=options) as given:
        video = next(iter(given.streams.video), None)
        # The cover of a piece of music is a video of one image.
        if video is not None and task["container"] in ("mp3", "ogg"):
            video = None
        audio = next(iter(given.streams.audio), None)
        kind = "video" if video is not None else "audio"
        if video is None and audio is None:
            raise Refused("no_stream")
        muxer, mime_type = _OUTPUTS[task["container"], kind]
        _check_codecs(video, audio)
        milliseconds_max = task["seconds_max"] * 1000
        with av.open(target, "w", format=muxer, options=_MUXER_OPTIONS) as written:
            if video is not None:
                facts = _copy_video(given, written, video, audio, milliseconds_max, task)
                frame = facts.pop("frame")
            else:
                frame, facts = None, _copy_audio(given, written, audio, milliseconds_max)
    if frame is not None:
        _write_thumbnail(frame, thumbnail, task["thumbnail_side"])
    return {"mime_type": mime_type, **facts}


def _check_codecs(video: Any, audio: Any) -> None:
    for stream, allowed in ((video, VIDEO_CODECS), (audio, AUDIO_CODECS)):
        if stream is None:
            continue
        name = stream.codec_context.name
        if name not in allowed and not (stream is audio and name.startswith("pcm_")):
            raise Refused("codec", ("codec", name))
        stream.codec_context.thread_count = 1
    if audio is not None and not (
        4000 <= audio.codec_context.sample_rate <= 192_000 and audio.codec_context.channels <= 8
    ):
        raise Refused("unreadable")


def _copy_audio(given: Any, written: Any, audio: Any, milliseconds_max: int) -> Facts:
    """Copy and decode all of an audio: its length is that of its samples, not its header's."""
    copied = written.add_stream_from_template(audio)
    samples, rate = 0, audio.codec_context.sample_rate
    for packet in given.demux(audio):
        for frame in packet.decode():
            samples += frame.samples
            rate = frame.sample_rate
        if samples * 1000 > milliseconds_max * rate:
            raise Refused("too_long")
        if packet.dts is not None:
            packet.stream = copied
            written.mux(packet)
    if not samples:
        raise Refused("no_stream")
    return {"width": None, "height": None, "milliseconds": max(1, samples * 1000 // rate)}


def _copy_video(
    given: Any, written: Any, video: Any, audio: Any, milliseconds_max: int, task: Mapping[str, Any]
) -> Facts:
    """Copy a video with its sound: its first frame is decoded, its packets say how long it is."""
    context = video.codec_context
    if (
        max(context.width, context.height) > task["side_max"]
        or context.width * context.height > task["frame_pixels_max"]
    ):
        raise Refused("too_many_pixels", ("width", context.width), ("height", context.height))
    copies = {video.index: written.add_stream_from_template(video)}
    if audio is not None:
        copies[audio.index] = written.add_stream_from_template(audio)
    frame, begins, ends = None, None, 0.0
    for packet in given.demux([stream for stream in (video, audio) if stream is not None]):
        if packet.stream is video or packet.stream.index == video.index:
            if frame is None:
                frame = next(iter(packet.decode()), None)
            if packet.pts is not None:
                at = float(packet.pts * packet.time_base)
                begins = at if begins is None else min(begins, at)
                ends = max(ends, at + float((packet.duration or 0) * packet.time_base))
                if (ends - begins) * 1000 > milliseconds_max:
                    raise Refused("too_long")
        if packet.dts is not None:
            packet.stream = copies[packet.stream.index]
            written.mux(packet)
    if frame is None or begins is None:
        raise Refused("unreadable")
    image = frame.to_image()
    if frame.rotation:
        image = image.rotate(frame.rotation, expand=True)
    return {
        "width": image.width,
        "height": image.height,
        "milliseconds": max(1, round((ends - begins) * 1000)),
        "frame": image,
    }


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
