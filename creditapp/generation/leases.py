"""Worker heartbeat: a lease renewed every second during a provider call."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from types import TracebackType

import structlog
from sqlalchemy import case, update

from creditapp.clock import now
from creditapp.db import transaction
from creditapp.generation.models import Generation
from creditapp.logs import error_fields
from creditapp.services import in_this_app

LEASE_SECONDS = 5
"""A lease that was not renewed for this long has lapsed."""
RENEW_SECONDS = 1.0
RUN_SECONDS_MAX = 900
"""After this long the lease is not renewed: a provider that hangs must not hold credits."""

log = structlog.get_logger(__name__)


class Lease:
    """Renew the lease of one attempt from a thread, and read whether the owner canceled.

    The same statement writes the progress, so that frequent progress costs no extra transaction.
    """

    def __init__(self, generation_id: str, attempt: int) -> None:
        self._generation_id, self._attempt = generation_id, attempt
        self._percent = 0
        self._done = threading.Event()
        self._stop_requested = threading.Event()
        self._lost = threading.Event()
        self._give_up_at = time.monotonic() + RUN_SECONDS_MAX
        self._thread = threading.Thread(
            target=in_this_app(self._renew_until_done), name=f"lease-{generation_id}", daemon=True
        )

    @property
    def stop_requested(self) -> bool:
        """Whether the owner asked to cancel."""
        return self._stop_requested.is_set()

    def should_stop(self) -> bool:
        """Return whether to stop: the owner canceled, or another worker has ended the attempt."""
        return self._stop_requested.is_set() or self._lost.is_set()

    def note_progress(self, share: float) -> None:
        """Note the provider's progress, from 0 to 1; the next renewal writes it."""
        self._percent = max(self._percent, min(99, int(share * 100)))

    def note_provider_job(self, job_id: str) -> None:
        """Store the vendor's id of the submitted job at once."""
        with transaction() as session:
            session.execute(
                update(Generation)
                .where(Generation.id == self._generation_id, Generation.attempt == self._attempt)
                .values(provider_job=job_id)
                .execution_options(synchronize_session=False)
            )

    def __enter__(self) -> Lease:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def _renew_until_done(self) -> None:
        while not self._done.wait(RENEW_SECONDS):
            if time.monotonic() > self._give_up_at:
                log.warning("lease given up", generation=self._generation_id)
                self._lost.set()
                return
            try:
                self.renew()
            except Exception as error:
                # The next renewal tries again; when none succeeds, recovery takes over.
                log.warning("lease not renewed", **error_fields(error))

    def renew(self) -> None:
        """Renew the lease, write the progress, read whether to go on."""
        percent = self._percent
        with transaction() as session:
            row = session.execute(
                update(Generation)
                .where(
                    Generation.id == self._generation_id,
                    Generation.state == "running",
                    Generation.attempt == self._attempt,
                )
                .values(
                    lease_until=now() + timedelta(seconds=LEASE_SECONDS),
                    progress=case(
                        (Generation.progress < percent, percent), else_=Generation.progress
                    ),
                )
                .returning(Generation.cancel_requested_at)
                .execution_options(synchronize_session=False)
            ).first()
        if row is None:
            self._lost.set()
        elif row[0] is not None:
            self._stop_requested.set()
