"""What a prompt asks for: the scene, its light, the way it is drawn, and any words to letter."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass

from creditapp.generation.providers.offline_art.palettes import BY_MOOD


@dataclass(frozen=True, slots=True)
class Wishes:
    """A prompt, understood as far as a preview needs."""

    scene: str
    palette: str
    style: str
    words: tuple[str, ...]
    """The prompt's words in lower case and in the singular, in their order."""
    lettering: str
    """What is to be written in the picture, if anything."""
    title: str
    """The prompt in a few words, for the foot of a poster."""

    def has(self, *words: str) -> bool:
        """Whether the prompt names one of ``words``."""
        return any(word in self.words for word in words)


def _table(text: Mapping[str, str]) -> dict[str, str]:
    return {word: meaning for meaning, words in text.items() for word in words.split()}


# A subject outweighs its surroundings: a fox in a forest is a picture of a fox.
_SUBJECTS = _table(
    {
        "sign": "sign logo lettering typography wordmark label banner text says slogan quote",
        "portrait": "portrait woman man girl boy person face president king queen selfie headshot "
        "character princess prince lady gentleman child people warrior musician dancer",
        "animal": "cat kitten fox dog puppy wolf owl bear panda rabbit bunny lion tiger bird "
        "eagle hen parrot whale fish butterfly robot deer animal koala mouse penguin pet",
        "lighthouse": "lighthouse cliff basalt beacon",
        "interior": "room corner greenhouse interior library armchair chair sofa bedroom "
        "studio reading cafe conservatory desk",
        "still": "vase fruit coffee cup tea lemon apple pear bottle bowl mug cake food bread "
        "breakfast teapot plant cactuses candle",
        "castle": "castle dragon wizard fairy fantasy knight kingdom magic palace fortress unicorn "
        "witch sorcerer",
        "space": "space planet galaxy astronaut rocket cosmo mars nebula universe saturn comet "
        "orbit spaceship alien",
        "canyon": "canyon contour layered topographic cave papercut cutout strata",
        "abstract": "abstract geometric bauhau pattern composition circle shape "
        "kandinsky mondrian cubist texture wallpaper",
    }
)
_SETTINGS = _table(
    {
        "harbour": "harbour harbor port sail boat ship marina quay yacht fishing pier venice "
        "canal gondola regatta dock",
        "city": "city skyline street tower building downtown tokyo york pari london berlin "
        "cyberpunk urban skyscraper bridge town village rooftop metropolis manhattan",
        "mountain": "mountain alp peak summit lake valley hike fjord volcano glacier hill "
        "himalaya range fuji waterfall river balloon airship",
        "forest": "forest wood tree jungle pine path birch grove redwood woodland",
        "desert": "desert dune sand cactus camel oasis mesa sahara pyramid",
        "flowers": "flower garden meadow poppy rose tulip field bloom sunflower blossom "
        "wildflower daisy bouquet lavender spring butterflie bee",
        "sea": "sea ocean wave beach island surf underwater coast tsunami shore mermaid",
        "canyon": "paper",
        "space": "star moon sky",
    }
)
_TIMES = _table(
    {
        "dusk": "dusk sunset evening twilight golden low",
        "dawn": "dawn sunrise morning first early",
        "day": "day noon summer sunny bright afternoon daylight",
        "night": "night midnight northern aurora moon moonlit moonlight star neon dark cyberpunk "
        "lantern",
        "snow": "snow winter ice frozen christma arctic snowy polar",
        "autumn": "autumn fall october november",
        "mist": "mist fog foggy misty haze spring green",
        "storm": "storm rain thunder stormy rainy grey gray lightning",
    }
)
_MOODS = _table(
    {
        "heat": "desert heat hot dune sahara canyon",
        "ink": "ink minimal minimalist japanese zen monochrome calligraphy sumi black",
        "red": "red crimson scarlet warm fire lava",
        "blue": "blue azure cobalt navy",
        "purple": "purple violet magenta lavender dreamy",
        "pink": "pink pastel cherry blossom",
        "gold": "gold yellow honey amber",
        "pop": "pop cartoon comic playful colorful colourful vibrant memphi kid",
    }
)
_STYLES = _table(
    {
        "wash": "watercolour watercolor aquarelle painting painted oil brush impressionist",
        "paper": "papercut paper cutout layered origami diorama",
        "ink": "sketch drawing ink engraving lineart etching outline comic manga woodcut",
        "riso": "riso risograph halftone retro vintage poster zine",
        "glow": "neon glowing glow cyberpunk aurora luminous cinematic photo photograph bokeh "
        "photorealistic realistic exposure",
        "print": "flat screen silkscreen print vector",
    }
)
_MODEL_STYLES = (
    ("nano-banana-pro", "paper"),
    ("nano-banana", "riso"),
    ("flux", "print"),
    ("lora-context", "ink"),
    ("lora", "wash"),
    ("gemini", "glow"),
    ("gpt-image", "poster"),
)
_SCENES_FOR_ANYTHING = (
    "harbour", "city", "mountain", "forest", "desert", "flowers", "sea", "canyon", "abstract",
    "lighthouse", "space", "still", "castle",
)  # fmt: skip


def read_prompt(prompt: str, model: str, dice: random.Random) -> Wishes:
    """Understand a prompt; what it leaves open is thrown with ``dice``."""
    words = _words(prompt)
    lettering = _lettering(prompt, words)
    scene = _scene(words, lettering) or dice.choice(_SCENES_FOR_ANYTHING)
    return Wishes(
        scene, _palette(words, scene, dice), _style(words, model), words, lettering, _title(prompt)
    )


def _words(prompt: str) -> tuple[str, ...]:
    found = re.findall(r"[a-z]+", prompt.lower()[:4000])
    return tuple(
        word[:-1] if word.endswith("s") and len(word) > 3 and not word.endswith("ss") else word
        for word in found
    )


def _scene(words: tuple[str, ...], lettering: str) -> str | None:
    scores: dict[str, float] = {}
    for place, word in enumerate(words):
        for table, weight in ((_SUBJECTS, 3.0), (_SETTINGS, 2.0)):
            if word in table:
                # What comes first in a sentence is what it is about.
                score = weight + 1 / (1 + place)
                scores[table[word]] = scores.get(table[word], 0.0) + score
    if lettering:
        scores["sign"] = scores.get("sign", 0.0) + 4.0
    return max(scores, key=lambda scene: scores[scene]) if scores else None


def _palette(words: tuple[str, ...], scene: str, dice: random.Random) -> str:
    moods = [_TIMES[word] for word in words if word in _TIMES]
    if scene in ("interior", "still"):
        # The rain is outside.
        moods = [mood for mood in moods if mood != "storm"]
    moods += [_MOODS[word] for word in words if word in _MOODS]
    if moods:
        names = list(BY_MOOD[moods[0]])
        for mood in moods[1:]:
            names = [name for name in names if name in BY_MOOD[mood]] or names
        return dice.choice(names)
    usual = {
        "desert": ("desert", "ember", "dusk"),
        "flowers": ("meadow", "day", "rose", "peach"),
        "space": ("night", "indigo", "emerald"),
        "abstract": ("pop", "dusk", "peach", "meadow", "ember"),
        "animal": ("dusk", "peach", "autumn", "meadow", "emerald"),
        "portrait": ("peach", "dusk", "rose", "emerald", "autumn"),
        "interior": ("mist", "peach", "meadow", "emerald"),
        "still": ("peach", "rose", "meadow", "dusk"),
        "sign": ("pop", "dusk", "emerald", "peach", "ember"),
        "canyon": ("dusk", "ember", "desert", "indigo", "emerald"),
    }
    return dice.choice(usual.get(scene, ("dusk", "ember", "peach", "day", "rose", "night")))


def _style(words: tuple[str, ...], model: str) -> str:
    for word in words:
        if word in _STYLES:
            return _STYLES[word]
    name = model.lower()
    return next((style for part, style in _MODEL_STYLES if part in name), "print")


def _lettering(prompt: str, words: tuple[str, ...]) -> str:
    """Return the words in quotation marks, in capitals, or after "says"."""
    quoted = re.search(r"[\"“«]([^\"”»]{1,40})[\"”»]", prompt)
    if quoted:
        return quoted[1].strip()
    if not {"sign", "say", "text", "logo", "word", "lettering", "poster"} & set(words):
        return ""
    capitals = re.search(r"\b[A-Z0-9]{2,}(?:[ &!'][A-Z0-9]+)*\b", prompt)
    if capitals:
        return capitals[0]
    said = re.search(r"\b(?:says?|reads?|saying|word|text|called)\s+([\w' ]{1,24})", prompt)
    return said[1].strip() if said else ""


_SMALL_WORDS = frozenset("a an the of for with and in on at by to from like that is its".split())


def _title(prompt: str) -> str:
    kept: list[str] = []
    for word in re.findall(r"[A-Za-z0-9'-]+", prompt[:400]):
        if len(kept) >= 5 or sum(len(each) + 1 for each in kept) + len(word) > 30:
            break
        if kept or word.lower() not in _SMALL_WORDS:
            kept.append(word)
    while kept and kept[-1].lower() in _SMALL_WORDS:
        kept.pop()
    return " ".join(kept).upper() or "UNTITLED"
