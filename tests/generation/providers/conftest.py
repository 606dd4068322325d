"""The fake OpenAI server, and the consumer of a provider's images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from creditapp.generation.providers import ProducedFile, Provider, ProviderError, Request, Work
from tests.fakes.openai_server import FakeOpenAI


@dataclass
class Outcome:
    """Images, progress and error of one request."""

    images: list[ProducedFile] = field(default_factory=list)
    progress: list[float] = field(default_factory=list)
    error: ProviderError | None = None


Generate = Callable[..., Outcome]


def generate(
    provider: Provider, request: Request, should_stop: Callable[[], bool] = lambda: False
) -> Outcome:
    """Run a request to its end as the worker does: yielded images stay, whatever follows."""
    outcome = Outcome()
    try:
        work = Work(progress=outcome.progress.append, should_stop=should_stop)
        for image in provider.make(request, work):
            outcome.images.append(image)
    except ProviderError as error:
        outcome.error = error
    return outcome


@pytest.fixture(autouse=True)
def _plain_previews() -> None:
    """Draw the scenes: these tests look at them."""


@pytest.fixture(scope="session")
def shared_server() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(compatible_models=frozenset({"flux-dev"})) as server:
        yield server


@pytest.fixture
def fake_openai(shared_server: FakeOpenAI) -> FakeOpenAI:
    shared_server.forget()
    return shared_server
