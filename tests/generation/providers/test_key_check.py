"""A person's own key is checked by one request that costs nothing, and quoted nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from creditapp.credentials import VENDORS
from creditapp.generation.providers import Providers, key_check
from tests.fakes.fal_server import FakeFal
from tests.fakes.google_server import FakeGoogle
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.vendor_server import Call, Refused, VendorServer

WRONG_KEY = "sk-a-key-that-no-vendor-knows-0000"  # pragma: allowlist secret


class FakeAnthropic(VendorServer):
    """Answers ``GET /models`` with ``SyncPage[ModelInfo]`` of Anthropic's SDK."""

    KEY = "sk-ant-fake-0123456789abcdef"  # pragma: allowlist secret

    def is_paid(self, call: Call) -> bool:
        return False

    def stage(self, call: Call) -> str:
        return "models"

    def refusal(self, fault: str, call: Call) -> Refused:
        status = int(fault.removeprefix("http_"))
        return Refused(status, {"type": "error", "error": {"message": self.key}})

    def respond(self, call: Call, fault: str) -> object:
        assert (call.method, call.path) == ("GET", "/models?limit=1")
        assert call.headers["anthropic-version"] == "2023-06-01"
        if call.headers.get("x-api-key") != self.key:
            raise Refused(401, {"type": "error", "error": {"type": "authentication_error"}})
        model = {"type": "model", "id": "claude-haiku-4-5", "display_name": "Claude Haiku 4.5"}
        return {"data": [model], "has_more": False, "first_id": "a", "last_id": "a"}


Servers = Mapping[str, FakeOpenAI | VendorServer]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with (
        FakeOpenAI() as openai,
        FakeAnthropic() as anthropic,
        FakeGoogle() as google,
        FakeFal() as fal,
    ):
        yield {"openai": openai, "anthropic": anthropic, "google": google, "fal": fal}


@pytest.fixture
def providers(servers: Servers) -> Providers:
    names = dict(zip(VENDORS, ("OPENAI", "ANTHROPIC", "GEMINI", "FAL"), strict=True))
    values = {f"{names[vendor]}_BASE_URL": server.base_url for vendor, server in servers.items()}
    return Providers(values, offline=None)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_vendor_accepts_its_key_and_refuses_another(
    providers: Providers, servers: Servers, vendor: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert providers.check_key(vendor, servers[vendor].key) == "accepted"
    assert providers.check_key(vendor, WRONG_KEY) == "refused"
    assert servers[vendor].count == 0, "nothing was ordered"
    assert WRONG_KEY not in caplog.text


@pytest.mark.parametrize("vendor", ["anthropic", "google"])
@pytest.mark.parametrize("fault", ["http_500", "http_429", "reset", "redirect"])
def test_a_vendor_that_does_not_say_leaves_the_key_unchecked(
    providers: Providers, servers: Servers, vendor: str, fault: str
) -> None:
    server = servers[vendor]
    assert isinstance(server, VendorServer)
    server.fail(fault, at="models")
    assert providers.check_key(vendor, server.key) == "unknown"


def test_a_vendor_that_cannot_be_reached_leaves_the_key_unchecked() -> None:
    providers = Providers({"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}, offline=None)
    assert providers.check_key("openai", WRONG_KEY) == "unknown"


def test_every_vendor_whose_keys_people_bring_is_checked() -> None:
    assert set(key_check._CHECKS) == set(VENDORS)
