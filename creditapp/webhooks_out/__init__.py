"""Webhooks to members' servers: signed events about credits, payments and generations.

Events are queued in the transaction of their cause, and sent at least once by jobs, in no promised
order, in the format of Standard Webhooks. ``docs/webhooks.md`` describes them.
"""

from creditapp.webhooks_out.endpoints import (
    DESCRIPTION_CHARACTERS_MAX,
    ENDPOINTS_MAX,
    OVERLAP,
    EndpointSettings,
    change_endpoint,
    create_endpoint,
    delete_all,
    delete_endpoint,
    find_endpoint,
    list_endpoints,
    reencrypt_secrets,
    rotate_secret,
    secrets_of,
)
from creditapp.webhooks_out.events import EVENTS
from creditapp.webhooks_out.log import (
    WAITING_MAX,
    attempts_of,
    find_delivery,
    is_full,
    list_deliveries,
    next_attempt_at,
    redeliver,
)
from creditapp.webhooks_out.log import sweep as sweep_log
from creditapp.webhooks_out.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from creditapp.webhooks_out.outgoing import queue, queue_test
from creditapp.webhooks_out.runs import deliver, sweep
