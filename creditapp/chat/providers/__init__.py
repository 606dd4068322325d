"""Providers of chat and embeddings behind one protocol.

``ChatProviders`` finds the ``ChatRoute`` to a language model of the catalog. ``openai`` calls any
OpenAI-compatible endpoint, ``anthropic`` Anthropic's Messages API; ``offline`` is a demonstration
that needs no network.
"""

from creditapp.chat.providers.protocol import (
    ChatEvent,
    ChatMessage,
    ChatRequest,
    Embedded,
    Finished,
    FinishReason,
    ReportedUsage,
    Role,
    TextDelta,
)
from creditapp.chat.providers.registry import ChatProviders, ChatRoute
