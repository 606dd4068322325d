"""Image providers behind one protocol.

``Providers`` finds the ``Route`` to a model of the catalog. Each provider implements ``Provider``
and fails with a ``ProviderError``. ``offline`` draws without a network, ``openai`` calls any
OpenAI-compatible endpoint.
"""

from creditapp.generation.providers.offline import OfflineProvider
from creditapp.generation.providers.protocol import (
    GenerationFailed,
    GenerationTimeout,
    ImageRequest,
    ProducedImage,
    Progress,
    PromptRejected,
    Provider,
    ProviderError,
    ProviderUnavailable,
    ShouldStop,
    SourceImage,
)
from creditapp.generation.providers.registry import Providers, Route, ServedModel, Unavailable
