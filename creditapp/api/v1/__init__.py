"""OpenAI's shape: its SDKs work with this ``base_url`` and an API key of a member here.

Every route calls what the routes of ``/api`` call: the same prices, holds, budgets and limits.
"""

from __future__ import annotations

from flask import Blueprint

from creditapp.api.v1 import chat, embeddings, images, models, speech
from creditapp.http.openai_errors import PREFIX

v1 = Blueprint("v1", __name__, url_prefix=PREFIX)
for resource in (chat, embeddings, images, models, speech):
    v1.register_blueprint(resource.routes)
