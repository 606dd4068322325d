"""The worker's half of a generation: call the provider once, store what comes, settle.

No transaction is open while the provider works. A lease says that a worker is alive; when it lapses
the sweep ends the generation, because nobody can know whether the provider did its part: released,
nothing charged. Only an adapter that says it is repeatable is asked again.
"""

from __future__ import annotations

from datetime import timedelta

import structlog
from sqlalchemy import update

from creditapp import jobs
from creditapp.catalog import Catalog, Model
from creditapp.clock import now
from creditapp.db import changed, transaction
from creditapp.generation.leases import LEASE_SECONDS, Lease
from creditapp.generation.models import Generation
from creditapp.generation.providers import (
    GenerationFailed,
    ImageRequest,
    ProducedImage,
    ProviderError,
    Providers,
    ProviderUnavailable,
)
from creditapp.generation.settlement import Delivery, Piece, discard, settle
from creditapp.ids import new_id
from creditapp.media import Media
from creditapp.services import get

log = structlog.get_logger(__name__)


def enqueue(generation: Generation) -> None:
    """Queue the work; call it after the commit. Calling it twice queues it once."""
    jobs.enqueue(
        "generate",
        f"{generation.id}.{generation.attempt}",
        lane=f"{generation.provider}/{generation.owner_kind}:{generation.owner_id}",
    )


def run(job_id: str) -> None:
    """Make what one attempt of a generation asks for, and settle it; safe to run twice at once."""
    generation_id, _, attempt = job_id.rpartition(".")
    generation = _begin(generation_id, int(attempt))
    if generation is None:
        return
    delivery = Delivery()
    with Lease(generation.id, generation.attempt) as lease:
        try:
            _produce(generation, delivery, lease)
        except BaseException:
            # The process is going down. The sweep ends the row, and no row will name these files.
            discard(delivery.pieces)
            raise
        settle(generation.id, generation.attempt, delivery, canceled=lease.stop_asked)


def _begin(generation_id: str, attempt: int) -> Generation | None:
    """Take the generation for this worker, or return None when it is not ours to run."""
    moment = now()
    with transaction() as session:
        taken = session.execute(
            update(Generation)
            .where(
                Generation.id == generation_id,
                Generation.state == "queued",
                Generation.attempt == attempt,
                Generation.provider_started_at.is_(None),
            )
            .values(
                state="running",
                provider_started_at=moment,
                lease_until=moment + timedelta(seconds=LEASE_SECONDS),
            )
            .execution_options(synchronize_session=False)
        )
        if changed(taken) == 0:
            return None
        return session.get_one(Generation, generation_id)


def _produce(generation: Generation, delivery: Delivery, lease: Lease) -> None:
    """Call the provider and store each image as it comes; every failure becomes the refusal."""
    model = get(Catalog).model(generation.model)
    if model is None:
        delivery.refusal = ProviderUnavailable("This model has been taken off the catalog.")
        return
    try:
        images = (
            get(Providers)
            .require(model)
            .generate_images(
                _request(generation, model),
                progress=lease.note_progress,
                should_stop=lease.should_stop,
            )
        )
        for image in images:
            delivery.pieces.append(_store(generation, image, len(delivery.pieces)))
            delivery.add_cost(image.provider_cost_micros_usd)
            if len(delivery.pieces) == generation.n:
                break
    except ProviderError as refusal:
        delivery.refusal = refusal
        delivery.add_cost(refusal.provider_cost_micros_usd)
    except Exception as error:
        # Whatever an adapter did not foresee ends this generation and gives the credits back. The
        # text of a foreign exception may hold the prompt, so only its type is written down.
        log.error("provider failed", generation=generation.id, error_type=type(error).__name__)
        delivery.refusal = GenerationFailed("The model failed in a way that we did not foresee.")
    if not delivery.pieces and delivery.refusal is None and not lease.should_stop():
        delivery.refusal = GenerationFailed("The model delivered no picture.")


def _request(generation: Generation, model: Model) -> ImageRequest:
    width, _, height = generation.size.partition("x")
    return ImageRequest(
        prompt=generation.prompt,
        provider_model=model.provider_model,
        n=generation.n,
        width=int(width),
        height=int(height),
        quality=generation.quality,
        seed=generation.seed,
    )


def _store(generation: Generation, image: ProducedImage, position: int) -> Piece:
    return Piece(
        id=new_id("ast"),
        generation_id=generation.id,
        position=position,
        media_key=get(Media).store(image.data, image.mime_type),
        mime_type=image.mime_type,
        width=image.width,
        height=image.height,
        created_at=now(),
    )
