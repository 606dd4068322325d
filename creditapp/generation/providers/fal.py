"""Images, upscales, videos and lipsync from fal, by its queue.

A job is submitted once and its id stored at once; from then on everything is polling, which costs
nothing and may be repeated: after a crash the next attempt polls the same job. The addresses of a
job follow from its id, as in fal's own client (``SyncRequestHandle.from_request_id``); those in an
answer are not followed, and a file is fetched from fal's media hosts alone.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping

import structlog

from creditapp.generation.providers import fal_files, fal_requests, transport, vendor_errors
from creditapp.generation.providers.protocol import (
    GenerationFailed,
    GenerationTimeout,
    ImageRequest,
    LipsyncRequest,
    ProducedFile,
    ProviderError,
    ProviderUnavailable,
    Request,
    UpscaleRequest,
    VideoRequest,
    Work,
)
from creditapp.generation.providers.transport import Answer

FAL_BASE_URL = "https://queue.fal.run"
ANSWER_BYTES_MAX = 4 * 1024 * 1024
JOB_SECONDS_MAX = 840.0
"""How long a job is polled; then it is canceled. Below the time after which a lease is given up."""
POLL_SECONDS_FIRST, POLL_SECONDS_MAX = 0.25, 2.0
POLL_FAILURES_MAX = 5
"""After so many failed polls in a row the outcome is unknown."""
POLL_TIMEOUT_SECONDS = 30.0

_NAMESPACES = ("workflows", "comfy")
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")

log = structlog.get_logger(__name__)


class FalProvider:
    """Submit jobs to fal and fetch their files; safe to use from several threads."""

    name = "fal"
    repeatable = False
    makes = frozenset[type[Request]]({ImageRequest, UpscaleRequest, VideoRequest, LipsyncRequest})

    def __init__(self, *, api_key: str, base_url: str | None, timeout_seconds: float) -> None:
        self._api_key = api_key
        self._base_url = (base_url or FAL_BASE_URL).rstrip("/")
        self._timeout_seconds = timeout_seconds

    def __repr__(self) -> str:
        """Return the address, never the key."""
        return f"FalProvider({self._base_url!r})"

    def make(self, request: Request, work: Work) -> Iterator[ProducedFile]:
        """Yield the files of one job, which is submitted unless ``work.job`` names it already.

        The whole order is one job, so that one id is enough to find everything again.
        """
        count = request.n if isinstance(request, ImageRequest) else 1
        work.progress(0.0)
        try:
            job = work.job or self._submit(request, work)
            files = self._await(request, job, work)
            for number, file in enumerate(files[:count], 1):
                yield self._fetch(request, file)
                work.progress(number / count)
        except ProviderError as error:
            log.warning("provider call failed", code=error.code, reason=error.reason)
            raise

    def _submit(self, request: Request, work: Work) -> str:
        answer = self._call(
            "POST",
            request.provider_model,
            timeout_seconds=self._timeout_seconds,
            body=fal_requests.arguments(request),
        )
        if not answer.ok:
            raise _refusal(answer)
        parsed = answer.json()
        job = parsed.get("request_id") if isinstance(parsed, dict) else None
        if not isinstance(job, str) or not _JOB_ID.fullmatch(job):
            raise GenerationFailed(vendor_errors.UNREADABLE, reason="no_job")
        try:
            work.note_job(job)
        except BaseException:
            # Nobody would find the job again.
            self._cancel(request, job)
            raise
        return job

    def _await(self, request: Request, job: str, work: Work) -> list[Mapping[str, object]]:
        """Poll until the job has ended; return its files, none when it was asked to stop."""
        give_up_at = time.monotonic() + JOB_SECONDS_MAX
        pause, failures = POLL_SECONDS_FIRST, 0
        while True:
            if work.should_stop():
                # Where another worker has taken over, the job is that one's.
                if work.is_canceled():
                    self._cancel(request, job)
                return []
            try:
                files = self._poll(request, job)
            except ProviderError as error:
                failures += 1
                if error.permanent or failures > POLL_FAILURES_MAX:
                    raise
            else:
                failures = 0
                if files is not None:
                    return files
            if time.monotonic() > give_up_at:
                self._cancel(request, job)
                raise GenerationTimeout(reason="job_too_slow")
            time.sleep(pause)
            pause = min(pause * 1.5, POLL_SECONDS_MAX)

    def _poll(self, request: Request, job: str) -> list[Mapping[str, object]] | None:
        """Return the job's files, or None while it waits or runs."""
        path = f"{_app(request.provider_model)}/requests/{job}"
        status = self._call("GET", f"{path}/status", timeout_seconds=POLL_TIMEOUT_SECONDS)
        if not status.ok:
            raise _lost() if status.status == 404 else _refusal(status)
        parsed = status.json()
        state = parsed.get("status") if isinstance(parsed, dict) else None
        if state in ("IN_QUEUE", "IN_PROGRESS"):
            return None
        if state != "COMPLETED":
            raise GenerationFailed(vendor_errors.UNREADABLE, permanent=True, reason="unknown_state")
        result = self._call("GET", path, timeout_seconds=POLL_TIMEOUT_SECONDS)
        if not result.ok:
            error = _lost() if result.status == 404 else _refusal(result)
            error.may_have_charged = True  # a refusal after the work began may be billed
            raise error
        return fal_files.listed(result.json())

    def _fetch(self, request: Request, file: Mapping[str, object]) -> ProducedFile:
        """Return the file at the address, verified; a fetch that breaks is tried again."""
        for attempt in range(1, POLL_FAILURES_MAX + 1):
            try:
                return fal_files.fetch(request, file, self._base_url, self._timeout_seconds)
            except ProviderError as error:
                if error.permanent or attempt == POLL_FAILURES_MAX:
                    raise
                time.sleep(POLL_SECONDS_FIRST * attempt)
        raise AssertionError("unreachable")

    def _cancel(self, request: Request, job: str) -> None:
        """Ask the vendor to end the job, so that it is not charged; a refusal changes nothing."""
        path = f"{_app(request.provider_model)}/requests/{job}/cancel"
        try:
            answer = self._call("PUT", path, timeout_seconds=POLL_TIMEOUT_SECONDS)
        except ProviderError as error:
            log.warning("job not canceled", reason=error.reason)
        else:
            if not answer.ok:
                log.warning("job not canceled", reason=f"http_{answer.status}")

    def _call(
        self, method: str, path: str, *, timeout_seconds: float, body: object = None
    ) -> Answer:
        return transport.call(
            method,
            f"{self._base_url}/{path}",
            headers={"Authorization": f"Key {self._api_key}"},
            body=body,
            bytes_max=ANSWER_BYTES_MAX,
            timeout_seconds=timeout_seconds,
        )


def _app(model: str) -> str:
    """Return owner and app of a model: a job's address has no endpoint path."""
    parts = model.split("/")
    length = 3 if parts[0] in _NAMESPACES else 2
    if len(parts) < length:
        raise ProviderUnavailable(permanent=True, reason="bad_model_name")
    return "/".join(parts[:length])


def _lost() -> ProviderError:
    return GenerationFailed(
        "The model's vendor no longer has this order.", permanent=True, reason="job_lost"
    )


def _refusal(answer: Answer) -> ProviderError:
    """Return the error for an unsuccessful status.

    What a model itself says is a list under ``detail``, each with a ``type``.
    """
    try:
        parsed = answer.json()
    except GenerationFailed:
        parsed = None  # a page of some gateway on the way: its status says enough
    detail = parsed.get("detail") if isinstance(parsed, dict) else parsed
    entries = detail if isinstance(detail, list) else []
    kinds = [entry.get("type") for entry in entries if isinstance(entry, dict)]
    code = next((kind for kind in kinds if kind in vendor_errors.REJECTED_CODES), None)
    return vendor_errors.of_status(answer.status, code, answer.headers.get("retry-after"))
