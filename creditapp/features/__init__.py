"""Features: credits for features of other programs, spent at once, or held and captured later.

A feature spends in its member's name, by an API key with the scope ``spend``, by an access token
that was made for it, or in this process. The verbs take the caller's session and never commit.
"""

from creditapp.features import example, grants, spending
from creditapp.features.access_tokens import (
    PREFIX,
    AccessToken,
    TokenContent,
    generate_access_token,
    read_token,
)
from creditapp.features.grants import Granted, OperatorGrant
from creditapp.features.spending import FeatureSpend, Spent
