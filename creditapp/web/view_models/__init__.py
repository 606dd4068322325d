"""View models: the arguments of components, typed; most hold the domain object that they show."""

from creditapp.http.problem_view import problem_view as problem
from creditapp.web.view_models.api_keys import ApiKeyView, api_key, api_key_form
from creditapp.web.view_models.chat import ChatMessageView, chat_messages, token_usage
from creditapp.web.view_models.choices import models, options, tabs
from creditapp.web.view_models.credit import (
    Balance,
    BalancePart,
    HistoryLine,
    Usage,
    UsageDay,
    balance,
    generation_of,
    history_line,
)
from creditapp.web.view_models.history import prompt_filters, sent_prompt
from creditapp.web.view_models.images import image_card
from creditapp.web.view_models.jobs import Job, blocks, job
from creditapp.web.view_models.payments import PaymentView, payment
from creditapp.web.view_models.pickers import pickers
from creditapp.web.view_models.plans import plan, plans, seats
from creditapp.web.view_models.price_panel import available_ids, price_panel
from creditapp.web.view_models.provider_keys import ProviderKeyView, provider_keys
from creditapp.web.view_models.receipts import ReceiptView, receipt
from creditapp.web.view_models.sources import SourcePicker, SourceTile, source_picker, source_tile
from creditapp.web.view_models.topups import Topup, topup
from creditapp.web.view_models.viewer import generation_settings, source_ids, source_image, viewed
from creditapp.web.view_models.webhooks import webhook_delivery, webhook_endpoint
