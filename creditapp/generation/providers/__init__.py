"""Providers of images, audio and video behind one protocol.

``Providers`` finds the ``Route`` to an entry of the catalog. Each provider implements ``Provider``
and fails with a ``ProviderError``. ``offline`` needs no network, ``openai`` calls any
OpenAI-compatible endpoint, ``google`` Gemini's own, ``fal`` fal's queue.
"""

from creditapp.generation.providers.offline import OfflineProvider
from creditapp.generation.providers.protocol import (
    AccountEmpty,
    GenerationFailed,
    GenerationTimeout,
    ImageRequest,
    KeyRefused,
    LipsyncRequest,
    ProducedFile,
    PromptRejected,
    Provider,
    ProviderError,
    ProviderUnavailable,
    Request,
    SourceFile,
    SpeechRequest,
    UpscaleRequest,
    VideoRequest,
    Work,
)
from creditapp.generation.providers.registry import Providers, Route, ServedModel, Unavailable
