"""A strict fake of fal's queue and of its media host.

The queue's addresses and states are those of ``SyncRequestHandle`` and ``Completed`` in fal-client
1.0.3; what a model takes and gives is from its page (fal.ai/models/<id>/llms.txt); errors are a
list under ``detail`` (fal.ai/docs/errors). It is stricter than fal, which ignores arguments that a
model does not know. Imports nothing of the app.
"""

from __future__ import annotations

import base64
import itertools
import re
from dataclasses import dataclass
from typing import Any, ClassVar

from tests.fakes import media_files
from tests.fakes.vendor_server import Call, Refused, VendorServer

IMAGE = frozenset("prompt num_images image_size seed output_format".split())
EDIT = frozenset("prompt num_images image_url seed output_format strength".split())
MODELS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    # the model, what it needs, what it takes besides
    "fal-ai/flux/dev": (frozenset({"prompt"}), IMAGE),
    "fal-ai/flux/dev/image-to-image": (frozenset({"prompt", "image_url"}), EDIT),
    "fal-ai/flux-lora": (frozenset({"prompt"}), IMAGE | {"loras"}),
    "fal-ai/flux-lora/image-to-image": (frozenset({"prompt", "image_url"}), EDIT | {"loras"}),
    "fal-ai/flux-kontext-lora/text-to-image": (frozenset({"prompt"}), IMAGE | {"loras"}),
    "fal-ai/flux-kontext-lora": (frozenset({"prompt", "image_url"}), EDIT | {"loras"}),
    "fal-ai/seedvr/upscale/image": (
        frozenset({"image_url"}),
        frozenset({"image_url", "upscale_factor", "output_format"}),
    ),
    "fal-ai/wan-25-preview/text-to-video": (
        frozenset({"prompt"}),
        frozenset({"prompt", "duration", "resolution", "aspect_ratio"}),
    ),
    "fal-ai/wan-25-preview/image-to-video": (
        frozenset({"prompt", "image_url"}),
        frozenset({"prompt", "image_url", "duration", "resolution"}),
    ),
    "creatify/lipsync": (frozenset({"video_url", "audio_url"}),) * 2,
    "veed/fabric-1.0": (
        frozenset({"image_url", "audio_url", "resolution"}),
        frozenset({"image_url", "audio_url", "resolution"}),
    ),
}
CHOICES = {
    "duration": ("5", "10"),
    "resolution": ("480p", "720p", "1080p"),
    "aspect_ratio": ("16:9", "9:16", "1:1"),
    "output_format": ("png", "jpeg"),
}


@dataclass
class Job:
    """A submitted job."""

    id: str
    model: str
    arguments: dict[str, Any]
    polls_left: int
    canceled: bool = False


class FakeFal(VendorServer):
    """The queue at its address, and under ``/files/`` the media host."""

    KEY = "fake-key-id:fake-key-secret-0123456789"  # pragma: allowlist secret
    STAGES: ClassVar = {
        "refused": "result",
        "error_inside": "result",
        "nothing": "result",
        "too_many": "result",
        "foreign_address": "result",
        "nsfw": "result",
        "not_an_image": "file",
        "truncated": "file",
        "bomb": "file",
        "huge": "file",
    }

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[str, Job] = {}
        self.polls = 1
        """How often a job is polled before it is done."""
        self.foreign_address = "http://127.0.0.1:1/private.png"
        self._numbers = itertools.count(1)
        self._files: dict[str, bytes] = {}

    def forget(self) -> None:
        """Forget calls, faults and jobs."""
        super().forget()
        self.jobs.clear()
        self.polls = 1

    def is_paid(self, call: Call) -> bool:
        return call.method == "POST"

    def stage(self, call: Call) -> str:
        if call.path.startswith("/files/"):
            return "file"
        if call.path.endswith("/status"):
            return "status"
        if call.method == "GET":
            return "result"
        return "cancel" if call.path.endswith("/cancel") else "paid"

    def refusal(self, fault: str, call: Call) -> Refused:
        if fault == "refused":
            flagged = "The content was flagged by a content checker."
            return refused(422, flagged, "content_policy_violation")
        status = int(fault.removeprefix("http_"))
        text = f"Failed. Request: {call.body} Key: {self.key}"
        return Refused(status, {"detail": text})

    def respond(self, call: Call, fault: str) -> object:
        if call.path.startswith("/files/"):
            assert "authorization" not in call.headers, "the key goes to the queue alone"
            return self._file(call.path.removeprefix("/files/"), fault)
        if call.headers.get("authorization") != f"Key {self.key}":
            raise Refused(401, {"detail": "Cannot access application. Authentication failed."})
        if call.method == "POST":
            return self._submit(call.path.strip("/"), call.body)
        found = re.fullmatch(r"/(.+)/requests/([^/]+)(/status|/cancel)?", call.path)
        job = self.jobs.get(found[2]) if found else None
        if found is None or job is None or "/".join(job.model.split("/")[:2]) != found[1]:
            raise Refused(404, {"detail": "Request not found."})
        if found[3] == "/cancel":
            return self._cancel(job, call.method)
        if found[3] == "/status":
            return self._status(job)
        return self._result(job, fault)

    def _submit(self, model: str, arguments: dict[str, Any]) -> dict[str, Any]:
        check(model, arguments)
        job = Job(f"job-{next(self._numbers)}", model, arguments, self.polls)
        self.jobs[job.id] = job
        return {"status": "IN_QUEUE", "request_id": job.id, "queue_position": 0, **self._urls(job)}

    def _urls(self, job: Job) -> dict[str, str]:
        owner_and_app = "/".join(job.model.split("/")[:2])
        response = f"{self.base_url}/{owner_and_app}/requests/{job.id}"
        names = {"response_url": "", "status_url": "/status", "cancel_url": "/cancel"}
        return {name: response + end for name, end in names.items()}

    def _status(self, job: Job) -> dict[str, Any]:
        job.polls_left -= 1
        state = {"request_id": job.id, "logs": None, **self._urls(job)}
        if job.polls_left > 0:
            return {"status": "IN_PROGRESS", **state}
        return {"status": "COMPLETED", "metrics": {"inference_time": 1.5}, **state}

    def _cancel(self, job: Job, method: str) -> dict[str, str]:
        assert method == "PUT"
        if job.polls_left <= 0:
            raise Refused(400, {"status": "ALREADY_COMPLETED"})
        job.canceled = True
        return {"status": "CANCELLATION_REQUESTED"}

    def _result(self, job: Job, fault: str) -> dict[str, Any]:
        if fault == "error_inside":
            return {"detail": [{"loc": [], "msg": "It failed.", "type": "internal_server_error"}]}
        if fault == "nothing":
            return {"images": []}
        prompt = str(job.arguments.get("prompt", ""))
        if "lipsync" in job.model or "fabric" in job.model:
            return {"video": self._listed(job.id, media_files.mp4(3), "video/mp4")}
        if "video" in job.model:
            seconds = int(job.arguments.get("duration", "5"))
            return {"video": self._listed(job.id, media_files.mp4(seconds), "video/mp4")}
        if "upscale" in job.model:
            data = media_files.png("larger", 128, 96)
            return {"image": self._listed(job.id, data, "image/png")}
        size = job.arguments.get("image_size") or {"width": 64, "height": 64}
        count = job.arguments.get("num_images", 1) + (fault == "too_many")
        files = [
            self._listed(f"{job.id}-{number}", media_files.png(prompt, **size), "image/png")
            for number in range(count)
        ]
        if fault == "foreign_address":
            files[0]["url"] = self.foreign_address
        nsfw = [fault == "nsfw"] * count
        return {"images": files, "seed": 7, "has_nsfw_concepts": nsfw, "prompt": prompt}

    def _listed(self, name: str, data: bytes, content_type: str) -> dict[str, Any]:
        self._files[name] = data
        url = f"{self.base_url}/files/{name}"
        return {"url": url, "content_type": content_type, "file_name": name, "file_size": len(data)}

    def _file(self, name: str, fault: str) -> bytes:
        if name not in self._files:
            raise Refused(404, {"detail": "Not found."})
        data = self._files[name]
        spoiled = {
            "not_an_image": b"<html><h1>It works</h1></html>",
            "truncated": data[: len(data) // 2],
            "bomb": media_files.bomb(),
        }
        return spoiled.get(fault, data)


def check(model: str, arguments: object) -> None:
    """Raise ``Refused`` for arguments that the model does not take."""
    if model not in MODELS:
        raise Refused(404, {"detail": f"Application {model!r} not found."})
    needed, taken = MODELS[model]
    if not isinstance(arguments, dict) or not needed <= set(arguments) <= needed | taken:
        raise refused(422, f"Wrong arguments: {sorted(arguments or ())}", "value_error")
    for name, value in arguments.items():
        if name in CHOICES and value not in CHOICES[name]:
            raise refused(422, f"Wrong {name}.", "literal_error")
        if name.endswith("_url"):
            head, _, content = value.partition(",")
            assert re.fullmatch(r"data:(image|audio|video)/\w+;base64", head)
            assert base64.b64decode(content, validate=True)
    size = arguments.get("image_size")
    if size is not None and set(size) != {"width", "height"}:
        raise refused(422, "Wrong image_size.", "value_error")


def refused(status: int, message: str, kind: str) -> Refused:
    return Refused(status, {"detail": [{"loc": ["body"], "msg": message, "type": kind}]})


Fake = FakeFal
