"""``/api/webhook-endpoints``: for the member alone, never for a key, never for another member."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from sqlalchemy import select

from creditapp import webhooks_out
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.credentials import encryption
from creditapp.db import snapshot, transaction
from creditapp.services import get, provide
from creditapp.webhooks_out import ENDPOINTS_MAX, endpoints
from creditapp.webhooks_out.models import WebhookDelivery, WebhookEndpoint
from tests.api.contract import Program
from tests.app_factory import Person
from tests.webhooks_out.hooks import PATH, Hooks
from tests.webhooks_out.receiver import Receiver

BODY = {"url": "https://hooks.example.com/in", "events": ["credits.low"]}


@pytest.fixture
def api(alice: Person) -> Program:
    """Alice's program; each response is checked against the document."""
    return Program(alice)


def test_an_endpoint_is_created_changed_and_deleted(api: Program) -> None:
    made = api.call("POST", PATH, {**BODY, "description": "  Nightly   builder "})
    assert made.status_code == 201
    assert made.json["description"] == "Nightly builder"
    assert made.json["secret"].startswith("whsec_")
    path = f"{PATH}/{made.json['id']}"
    (listed,) = api.get(PATH)["items"]
    assert listed == {name: value for name, value in made.json.items() if name != "secret"}
    changed = api.call("PATCH", path, {"events": ["purchase.paid", "credits.spent"]}).json
    assert changed["events"] == ["credits.spent", "purchase.paid"]
    assert changed["url"] == BODY["url"], "what is left out stays"
    off = api.call("PATCH", path, {"enabled": False}).json
    assert (off["enabled"], off["disabledReason"]) == (False, "member")
    api.refused(409, "conflict", "POST", f"{path}/test")
    assert api.call("PATCH", path, {"enabled": True}).json["disabledAt"] is None
    assert api.call("DELETE", path).status_code == 204
    assert api.get(PATH)["items"] == []
    api.refused(404, "not_found", "DELETE", path)


def test_a_secret_is_shown_once_and_stored_encrypted_for_its_endpoint(
    app: Flask, api: Program
) -> None:
    first, second = (api.call("POST", PATH, BODY).json for _ in range(2))
    rotated = api.call("POST", f"{PATH}/{first['id']}/rotate").json
    assert len({first["secret"], second["secret"], rotated["secret"]}) == 3
    assert rotated["previousSecretUntil"] is not None
    with app.app_context(), snapshot() as session:
        rows = {row.id: row for row in session.scalars(select(WebhookEndpoint))}
        text = str(session.execute(select(WebhookEndpoint.__table__)).all())
        assert not any(made["secret"][6:] in text for made in (first, second, rotated))
        row, other = rows[first["id"]], rows[second["id"]]
        assert encryption.decrypt(row.encrypted_secret, row.user_id, row.id) == rotated["secret"]
        with pytest.raises(encryption.Undecryptable):
            encryption.decrypt(other.encrypted_secret, row.user_id, row.id)


def test_a_new_secret_key_reads_the_secrets_while_the_earlier_one_is_named(
    app: Flask, api: Program
) -> None:
    made = api.call("POST", PATH, BODY).json
    api.call("POST", f"{PATH}/{made['id']}/rotate")
    with app.app_context():
        settings = get(Settings)
        renamed = settings.model_copy(update={"secret_key": "another secret key, long enough too"})
        earlier = renamed.model_copy(update={"previous_secret_keys": (settings.secret_key,)})
        for current, counts in ((renamed, (0, 1)), (earlier, (1, 0)), (renamed, (1, 0))):
            provide(app, Settings, current)
            with transaction() as session:
                assert webhooks_out.reencrypt_secrets(session) == counts
        with snapshot() as session:
            row = session.get_one(WebhookEndpoint, made["id"])
        secrets = endpoints.secrets_of(row, now=now())
    assert secrets[1] == made["secret"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("url", "http://hooks.example.com/"), ("url", ""), ("url", "https://10.0.0.1/")),
        *(("url", None), ("url", 7), ("events", []), ("events", ["credits.stolen"])),
        *(("events", "credits.low"), ("description", "x" * 101), ("description", "a\nb")),
        ("enabled", "yes"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_stored(
    api: Program, field: str, value: object
) -> None:
    problem = api.refused(422, "validation_failed", "POST", PATH, {**BODY, field: value})
    assert problem["errors"][0]["field"].partition(".")[0] == field
    made = api.call("POST", PATH, BODY).json
    api.refused(422, "validation_failed", "PATCH", f"{PATH}/{made['id']}", {field: value})
    (listed,) = api.get(PATH)["items"]
    assert (listed["url"], listed["events"]) == (BODY["url"], BODY["events"])


def test_a_member_has_at_most_ten(api: Program) -> None:
    for _ in range(ENDPOINTS_MAX):
        assert api.call("POST", PATH, BODY).status_code == 201
    api.refused(409, "conflict", "POST", PATH, BODY)
    assert len(api.get(PATH)["items"]) == 10


def test_of_many_created_at_once_ten_are_kept(app: Flask, alice: Person, api: Program) -> None:
    for _ in range(ENDPOINTS_MAX - 2):
        api.call("POST", PATH, BODY)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: alice.call("POST", PATH, BODY).status_code, range(6)))
    assert sorted(answers) == [201, 201, 409, 409, 409, 409]
    assert len(api.get(PATH)["items"]) == ENDPOINTS_MAX


def test_a_key_reaches_none_of_it(app: Flask, alice: Person, api: Program) -> None:
    scopes = ["read", "generate", "spend", "purchase"]
    key = alice.call("POST", "/api/keys", {"name": "Builder", "scopes": scopes}).json["key"]
    made = api.call("POST", PATH, BODY).json
    client, headers = app.test_client(), {"Authorization": f"Bearer {key}"}
    for method, path in ROUTES:
        path = path.format(endpoint=made["id"], delivery="msg_" + "0" * 26)
        answer = client.open(path, method=method, json=BODY, headers=headers)
        assert (answer.status_code, answer.json["code"]) == (403, "forbidden"), path
    assert app.test_client().get(PATH).status_code == 401
    assert len(api.get(PATH)["items"]) == 1


ROUTES = [
    ("GET", PATH),
    ("POST", PATH),
    ("PATCH", PATH + "/{endpoint}"),
    ("DELETE", PATH + "/{endpoint}"),
    ("POST", PATH + "/{endpoint}/rotate"),
    ("POST", PATH + "/{endpoint}/test"),
    ("GET", PATH + "/{endpoint}/deliveries"),
    ("POST", PATH + "/{endpoint}/deliveries/{delivery}/redeliver"),
]


def test_another_members_endpoint_is_not_found(
    alice: Person, charlie: Person, api: Program
) -> None:
    made = api.call("POST", PATH, BODY).json
    sent = api.call("POST", f"{PATH}/{made['id']}/test").json["id"]
    stranger = Program(charlie)
    for method, path in ROUTES[2:]:
        path = path.format(endpoint=made["id"], delivery=sent)
        stranger.refused(404, "not_found", method, path, {} if method == "PATCH" else None)
    own = stranger.call("POST", PATH, BODY).json
    stranger.refused(404, "not_found", "POST", f"{PATH}/{own['id']}/deliveries/{sent}/redeliver")
    assert stranger.get(f"{PATH}/{own['id']}/deliveries")["items"] == []
    assert len(api.get(f"{PATH}/{made['id']}/deliveries")["items"]) == 1


def test_the_log_is_read_page_by_page(
    app: Flask, alice: Person, api: Program, hooks: Hooks, receiver: Receiver
) -> None:
    endpoint = hooks.endpoint(alice, receiver, "credits.low")
    path = f"{PATH}/{endpoint['id']}"
    for _ in range(5):
        api.call("POST", f"{path}/test")
        hooks.deliver()
    first = api.get(f"{path}/deliveries?limit=3")
    rest = api.get(f"{path}/deliveries?limit=3&cursor={first['nextCursor']}")
    ids = [item["id"] for item in (*first["items"], *rest["items"])]
    assert sorted(ids) == sorted(receiver.ids)
    assert ids == sorted(ids, reverse=True)
    assert rest["nextCursor"] is None
    api.refused(422, "validation_failed", "GET", f"{path}/deliveries?cursor=x")
    with app.app_context(), snapshot() as session:
        assert set(session.scalars(select(WebhookDelivery.event))) == {"webhook.test"}


def test_a_second_test_waits_for_the_first(api: Program) -> None:
    made = api.call("POST", PATH, BODY).json
    path = f"{PATH}/{made['id']}/test"
    answer = api.call("POST", path)
    assert (answer.status_code, answer.json["state"]) == (202, "pending")
    assert answer.json["attempts"] == []
    api.refused(409, "conflict", "POST", path)
