"""The payment sandbox: a small stand-in for Stripe, with pages, an API and signed webhooks.

It is state apart and an app of its own: it imports neither the SDK nor anything of CreditApp, so
that the shop talks to it exactly as it talks to Stripe. No money moves here, and a live key is
refused.

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

__all__ = ["Deliveries", "Server", "create_sandbox", "serve", "start_deliveries"]
