"""``python -m tools.samples``: draw the sample image of each model in the shipped catalogs.

The list of models shows ``static/img/samples/<model id>.webp``. The offline provider draws it,
because a vendor's images cost money and differ at each call.
"""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from creditapp.catalog import Model
from creditapp.catalog.load import load_catalog
from creditapp.generation.providers import ImageRequest, OfflineProvider, Work

FOLDER = Path(__file__).resolve().parent.parent / "static" / "img" / "samples"
CATALOGS = ("studio", "dollars", "agents")
SIDE = 128
BYTES_MAX = 6 * 1024

PROMPTS = {
    "nano-banana": "A fox in a meadow, morning",
    "flux-dev": "A lighthouse on a basalt cliff at first light",
    "lora-normal": "A vase and three lemons, soft window light",
    "lora-context": "A castle and a dragon at dusk",
    "gemini-flash": "A planet and its moons, in space",
    "nano-banana-pro": "Sailing boats in the harbour at sunset",
    "gpt-image": 'A shop sign that says "OPEN", warm bulbs at night',
}
USUAL_PROMPT = "Mountains behind a lake at dawn"
"""For a model that has no prompt above."""


def models() -> dict[str, Model]:
    """Return the image models of every shipped catalog by id."""
    return {model.id: model for name in CATALOGS for model in load_catalog(name).models}


def draw(model_id: str) -> bytes:
    """Return the sample of a model as WebP; the same at each run."""
    prompt = PROMPTS.get(model_id, USUAL_PROMPT)
    request = ImageRequest(
        prompt=prompt, provider_model=model_id, width=4 * SIDE, height=4 * SIDE, seed=5
    )
    [image] = OfflineProvider().make(request, Work())
    with Image.open(io.BytesIO(image.data)) as opened:
        small = opened.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.save(out, "WEBP", quality=78, method=6)
    return out.getvalue()


def main() -> None:
    """Write the samples, and delete those of models that left the catalogs."""
    FOLDER.mkdir(exist_ok=True)
    wanted = models()
    for model_id in wanted:
        data = draw(model_id)
        if len(data) > BYTES_MAX:
            raise SystemExit(f"{model_id}: {len(data)} bytes are more than {BYTES_MAX}")
        (FOLDER / f"{model_id}.webp").write_bytes(data)
    for path in FOLDER.glob("*.webp"):
        if path.stem not in wanted:
            path.unlink()


if __name__ == "__main__":
    main()
