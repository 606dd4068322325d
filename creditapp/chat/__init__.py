"""Chat with language models, paid by the token, and what else is: agent, summarize, embeddings.

``start`` begins a turn and returns it to tail; ``embed`` makes vectors; ``request_stop`` ends an
answer early. Each owns its transactions or says that the caller does.
"""

from creditapp.chat.embeddings import EmbeddingResult, embed
from creditapp.chat.live import LiveTurn, TurnResult, TurnUnsettled
from creditapp.chat.models import UsageRecord
from creditapp.chat.orders import ChatOrder
from creditapp.chat.providers import ChatMessage, ChatProviders, Role
from creditapp.chat.queries import list_usage, request_stop
from creditapp.chat.slots import ChatSlots
from creditapp.chat.turns import start
