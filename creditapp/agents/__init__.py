"""Agents: programs that buy image credits by HTTP 402, and pay for images with a receipt.

A receipt is the owner of a wallet in the ledger; no balance is kept here.
"""

from creditapp.agents import checkout
from creditapp.agents.identity import Identity
from creditapp.agents.images import forget_ended
from creditapp.agents.payment import pay, sweep
from creditapp.agents.rails import Rails, rails_of
from creditapp.agents.reconciliation import reconcile
from creditapp.agents.requests import open_request
