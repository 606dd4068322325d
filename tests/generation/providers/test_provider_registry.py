"""Routes: a model's own provider, a preview, or the name of the missing variable."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

import pytest

from creditapp.catalog import Catalog, Model, load_catalog
from creditapp.catalog.load import parse, preset_path
from creditapp.catalog.served import VENDORS
from creditapp.generation.providers import (
    ImageRequest,
    OfflineProvider,
    ProducedFile,
    Providers,
    ProviderUnavailable,
    Request,
    Route,
    Unavailable,
    Work,
)
from creditapp.generation.providers.registry import ADAPTERS
from tests.fakes.openai_server import FakeOpenAI
from tests.generation.providers.conftest import generate


def model_named(model_id: str = "gpt-image", **changes: object) -> Model:
    """Return an entry of the catalog that names its provider as told."""
    entry = load_catalog("studio").models[0]
    served: dict[str, object] = {
        "provider": "openai",
        "provider_model": "gpt-image-2.5-flare",
        "key_env": "OPENAI_API_KEY",
        "base_url_env": "OPENAI_BASE_URL",
        "base_url": None,
        "gateway": False,
        "native_n": True,
    }
    return entry.model_copy(update={"id": model_id, **served, **changes})


KEY = {"OPENAI_API_KEY": "sk-secret-7"}
GATEWAY = {"OPENAI_BASE_URL": "https://gateway.example/v1"}
FLUX = model_named("flux-dev", provider_model="flux.1-dev", gateway=True, native_n=False)


def route_of(providers: Providers, model: Model, own_key: str | None = None) -> Route:
    route = providers.find(model, own_key=own_key)
    assert isinstance(route, Route)
    return route


def missing_for(providers: Providers, model: Model, own_key: str | None = None) -> str:
    unavailable = providers.find(model, own_key=own_key)
    assert isinstance(unavailable, Unavailable)
    assert unavailable.reason
    return unavailable.variable


def test_a_model_with_its_key_is_served_by_its_vendor() -> None:
    providers = Providers(KEY, offline=OfflineProvider())
    route = route_of(providers, model_named())
    assert (route.name, route.model, route.repeatable) == ("openai", "gpt-image-2.5-flare", False)
    assert "api.openai.com" in repr(route.provider)
    assert not route.preview


def test_a_model_without_its_key_is_previewed_in_the_demo() -> None:
    providers = Providers({}, offline=OfflineProvider())
    route = route_of(providers, model_named())
    assert (route.name, route.model, route.repeatable) == ("offline", "gpt-image", True)
    assert route.preview


def test_a_model_without_its_key_is_unavailable_in_production() -> None:
    providers = Providers({"OPENAI_API_KEY": ""}, offline=None)
    assert missing_for(providers, model_named()) == "OPENAI_API_KEY"
    with pytest.raises(ProviderUnavailable) as caught:
        providers.require(model_named())
    assert (caught.value.permanent, caught.value.may_have_charged) == (True, False)
    assert caught.value.status == 503


def test_a_gateways_model_is_never_asked_of_openai_itself() -> None:
    assert missing_for(Providers(KEY, offline=None), FLUX) == "OPENAI_BASE_URL"
    assert route_of(Providers(KEY, offline=OfflineProvider()), FLUX).preview
    route = route_of(Providers(KEY | GATEWAY, offline=None), FLUX)
    assert "gateway.example" in repr(route.provider)
    named = model_named("flux", base_url="https://flux.example/v1", gateway=True)
    assert "flux.example" in repr(route_of(Providers(KEY, offline=None), named).provider)


def test_an_entry_names_its_own_variables() -> None:
    model = model_named("fal", key_env="FAL_KEY", base_url_env="FAL_URL", gateway=True)
    assert missing_for(Providers(KEY | GATEWAY, offline=None), model) == "FAL_KEY"
    values = KEY | GATEWAY | {"FAL_KEY": "k"}
    assert missing_for(Providers(values, offline=None), model) == "FAL_URL"
    values |= {"FAL_URL": "https://fal.example/v1"}
    assert "fal.example" in repr(route_of(Providers(values, offline=None), model).provider)


def test_a_users_own_key_never_gets_a_preview() -> None:
    providers = Providers({}, offline=OfflineProvider())
    assert route_of(providers, model_named(), own_key="sk-own").name == "openai"
    assert missing_for(providers, FLUX, own_key="sk-own") == "OPENAI_BASE_URL"


def test_the_offline_provider_serves_its_own_models_only_where_previews_are_on() -> None:
    model = model_named("sketch", provider="offline")
    assert route_of(Providers({}, offline=OfflineProvider()), model).name == "offline"
    assert missing_for(Providers(KEY, offline=None), model) == "CREDITAPP_ENV"


def test_the_adapters_and_the_vendors_of_the_catalog_are_the_same() -> None:
    assert set(ADAPTERS) < set(VENDORS), "the others are vendors of chat"
    for name, adapter in ADAPTERS.items():
        assert adapter(api_key="k", base_url=None, timeout_seconds=1).name == name


def test_an_entry_without_variables_has_those_of_its_vendor() -> None:
    catalog = load_catalog("studio")
    for model_id, variables in (
        ("nano-banana", ("GEMINI_API_KEY", "GEMINI_BASE_URL")),
        ("flux-dev", ("FAL_KEY", "FAL_BASE_URL")),
        ("gpt-image", ("OPENAI_API_KEY", "OPENAI_BASE_URL")),
    ):
        model = catalog.model(model_id)
        assert model is not None
        assert (model.key_env, model.base_url_env) == variables
        assert missing_for(Providers({}, offline=None), model) == variables[0]
        route = route_of(Providers({variables[0]: "k"}, offline=None), model)
        assert route.name == model.provider


def test_an_unknown_adapter_is_unavailable_and_not_a_crash() -> None:
    providers = Providers(KEY, offline=OfflineProvider())
    assert missing_for(providers, model_named(provider="sora")) == ""


def test_a_route_uses_the_vendors_name_and_one_call_each() -> None:
    asked: list[ImageRequest] = []

    class Recorder:
        name = "recorder"
        repeatable = False
        makes = frozenset({ImageRequest})

        def make(self, request: Request, work: Work) -> Iterator[ProducedFile]:
            assert isinstance(request, ImageRequest)
            asked.append(request)
            yield from ()

    route = Route(Recorder(), "flux.1-dev", preview=False, served=FLUX)
    generate(route, ImageRequest(prompt="a fox", provider_model="flux-dev", n=3))
    assert (asked[0].provider_model, asked[0].one_call_each) == ("flux.1-dev", True)


def test_no_key_shows_in_a_repr() -> None:
    providers = Providers(KEY, offline=None)
    route = route_of(providers, model_named())
    assert "sk-secret-7" not in f"{providers!r} {route!r} {route.provider!r}"


@pytest.mark.parametrize("preset", ["studio", "dollars", "agents"])
def test_every_openai_model_of_a_catalog_is_served_in_every_shape(preset: str) -> None:
    models = [model for model in load_catalog(preset).models if model.provider == "openai"]
    assert models
    with FakeOpenAI() as fake_openai:
        values = {"OPENAI_API_KEY": fake_openai.key, "OPENAI_BASE_URL": fake_openai.base_url}
        for model in models:
            for shape in model.shapes:
                request = ImageRequest(
                    prompt="a fox",
                    n=2,
                    width=shape.width,
                    height=shape.height,
                    quality=model.default_quality,
                )
                outcome = generate(Providers(values, offline=None).require(model), request)
                assert outcome.error is None, (model.id, shape)
                assert [(image.width, image.height) for image in outcome.images] == [
                    (shape.width, shape.height)
                ] * 2


PREFIXED = """
provider_model = "openai/gpt-image-2.5-flare"
parameters = { output_format = "png" }
gateway = true
"""


def catalog_with(old: str, new: str) -> Catalog:
    """Return the studio's catalog with one passage replaced."""
    text = preset_path("studio").read_text()
    assert text.count(old) == 1
    return parse(tomllib.loads(text.replace(old, new)), file="studio.toml")


@pytest.mark.parametrize("lenient", [False, True], ids=["strict gateway", "lenient gateway"])
def test_a_model_behind_a_gateways_prefix_gets_what_its_entry_says(lenient: bool) -> None:
    old = 'provider_model = "gpt-image-2.5-flare"\nnative_n = true\nsources_max = 16\n'
    old += 'takes_mask = true\nwrites_text = true\nparameters = { output_format = "png" }\n'
    model = catalog_with(old, PREFIXED).model("gpt-image")
    assert model is not None
    with FakeOpenAI(lenient=lenient) as gateway:
        values = {"OPENAI_API_KEY": gateway.key, "OPENAI_BASE_URL": gateway.base_url}
        route = Providers(values, offline=None).require(model)
        for quality in ("low", "high"):
            request = ImageRequest(
                prompt="a fox", provider_model=model.id, width=1536, height=1024, quality=quality
            )
            assert generate(route, request).error is None
        bodies = [call["body"] for call in gateway.calls]
    assert [body.pop("quality") for body in bodies] == ["low", "high"]
    assert (
        bodies
        == [
            {
                "prompt": "a fox",
                "model": "openai/gpt-image-2.5-flare",
                "size": "1536x1024",
                "output_format": "png",
            }
        ]
        * 2
    )


def test_a_quality_has_the_vendors_own_name() -> None:
    old = "prices = { low = 1, medium = 2, high = 8 }\n"
    model = catalog_with(old, old + 'qualities = { low = "standard", high = "hd" }\n').model(
        "gpt-image"
    )
    assert model is not None
    names = [model.provider_quality(name) for name in ("low", "medium", "high", None)]
    assert names == ["standard", "medium", "hd", "medium"]
    flat = load_catalog("studio").model("flux-dev")
    assert flat is not None
    assert flat.provider_quality("high") is None, "it is not priced by quality"
