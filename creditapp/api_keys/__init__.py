"""API keys: what a program sends to act for a member, within scopes, models, a budget and an end.

Only a key's hash is stored; the key is shown once. The verbs take the caller's session and never
commit.
"""

from creditapp.api_keys.budgets import PERIODS, Period, bounds, budget_of
from creditapp.api_keys.keys import (
    KEYS_MAX,
    PREFIX,
    SCOPES,
    SEEN_EVERY,
    KeySettings,
    Scope,
    change_key,
    create_key,
    delete_keys,
    digest_of,
    find_key,
    list_keys,
    note_use,
    problems_of,
    revoke_key,
)
from creditapp.api_keys.models import ApiKey
from creditapp.api_keys.usage import spent_micro
