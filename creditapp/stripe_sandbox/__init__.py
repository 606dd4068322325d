"""Payment sandbox: a small replacement for Stripe with an API, pages and signed webhooks.

It is a separate app with its own database. It imports neither the SDK nor the rest of CreditApp, so
CreditApp talks to it exactly as it talks to Stripe. It moves no money and refuses live keys.

    sandbox = create_sandbox(Path("sandbox.sqlite"), public_url="http://127.0.0.1:8421",
                             webhook_url="http://127.0.0.1:8000/api/webhooks/stripe",
                             webhook_secret="whsec_…")
    deliveries = start_deliveries(sandbox)
    server = serve(sandbox, "127.0.0.1", 8421)      # a thread; server.stop(), deliveries.stop()
"""

from __future__ import annotations

from creditapp.stripe_sandbox.app import create_sandbox
from creditapp.stripe_sandbox.deliveries import Deliveries, start_deliveries
from creditapp.stripe_sandbox.server import Server, serve
