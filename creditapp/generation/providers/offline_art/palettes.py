"""Palettes: each a time of day or a mood, mixed by hand so that any scene holds together in it."""

from __future__ import annotations

from dataclasses import dataclass

from creditapp.generation.providers.offline_art.canvas import Colour, mix


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours by their part in a picture, not by their name."""

    sky: tuple[Colour, ...]
    """From the top down to the horizon."""
    disc: Colour
    halo: Colour
    far: Colour
    mid: Colour
    near: Colour
    dark: Colour
    water: Colour
    ripple: Colour
    glow: Colour
    accent: Colour
    second: Colour
    pale: Colour
    night: bool = False

    @property
    def horizon(self) -> Colour:
        """The sky's colour where it meets the land."""
        return self.sky[-1]

    def land(self, share: float) -> Colour:
        """The land's colour at a distance: 0 is the farthest, 1 the nearest."""
        steps = (self.far, self.mid, self.near, self.dark)
        place = min(max(share, 0.0), 1.0) * (len(steps) - 1)
        index = min(int(place), len(steps) - 2)
        return mix(steps[index], steps[index + 1], place - index)

    @property
    def inks(self) -> tuple[Colour, ...]:
        """Its strong colours, for compositions without a landscape."""
        return (self.accent, self.second, self.glow, self.mid, self.water, self.dark, self.pale)


def _colour(text: str) -> Colour:
    return (int(text[0:2], 16), int(text[2:4], 16), int(text[4:6], 16))


def _palette(sky: str, rest: str, *, night: bool = False) -> Palette:
    disc, halo, far, mid, near, dark, water, ripple, glow, accent, second, pale = (
        _colour(text) for text in rest.split()
    )
    return Palette(
        tuple(_colour(text) for text in sky.split()),
        disc, halo, far, mid, near, dark, water, ripple, glow, accent, second, pale, night,
    )  # fmt: skip


# Sky from the top to the horizon; then disc, halo, far, mid, near, dark, water, ripple, glow,
# accent, second, pale.
PALETTES = {
    "dusk": _palette(
        "1f5561 3f766f 8a9a7b dcae78 ef9d63",
        "fdf1cf f8e1ab a65a47 6d3d3a 23343a 0f2a33 174a57 2f6f74 f7d58c e4573b d9a441 f6e7cb",
    ),
    "ember": _palette(
        "35203f 6f2c4b b5484f e57a52 f6b069",
        "fff0c9 fcd694 93404f 642d46 3a2038 1e1327 4a2441 84405a ffcf87 f2604c f0a04b fde9cf",
    ),
    "rose": _palette(
        "8fa9b8 b4bfc0 dccdc0 f1c4ad f6ae98",
        "fffaf0 fde6cf b09ca6 7c7b92 4c536f 293049 7f97a6 bcc6c4 ffe0a8 d9634f c98a72 fff4e6",
    ),
    "peach": _palette(
        "5d8c99 93ada4 cfc3a3 f3c391 f7a97c",
        "fffaea ffe3b5 b98f7e 8a6a6b 55515f 2c3446 4d7b88 93aeaa ffe0a0 e0583f 3f7f86 fff3df",
    ),
    "day": _palette(
        "5fa3b8 86bcc4 aed2cb d3e3cf efeed6",
        "fff8e0 f7eec0 95b9a8 5f9683 2f6a5d 143f3d 2f7f8f 74b5b5 fff0b5 e8633f f0b544 fbf5e3",
    ),
    "meadow": _palette(
        "7fb7be a5cbbf c9dcb9 e6e7b4 f6e9b0",
        "fffbe6 fbf0bd a9bf7a 6f9a5b 3d7350 1b4a3f 4a93a0 8fc0b8 fff0b0 e5553c f2b134 fdf6e0",
    ),
    "night": _palette(
        "0b1230 12204a 1c3464 2d4d7c 4a6b91",
        "f6f0d8 b9c4d0 2b426e 1d3157 122142 080f22 0e1c3b 35547f ffcf70 ea6a4b 6f9ac0 e9ead9",
        night=True,
    ),
    "emerald": _palette(
        "06211f 0b3230 134642 205d53 3d7d69",
        "f5f0cf a9c7a4 1f5a50 14453f 0c302d 051a19 08292a 2c6a60 ffd27a ff7a59 9cc28a eef0da",
        night=True,
    ),
    "indigo": _palette(
        "17133b 2b2160 4a357f 7a4f98 b8709d",
        "fff1dc f0b9b4 5a3f83 3d2d69 271f4d 120f2b 1f1b4b 6a4f93 ffce7d ff6f61 5fb0b7 f7e8ea",
        night=True,
    ),
    "snow": _palette(
        "7f9bb4 a0b8c9 c2d2da dfe6e5 f5e9de",
        "fffaf0 fbeedd bccbd6 8fa7ba 5b7891 24384d 7b98ad cfdbe1 ffd58f c8452f 6d8fa6 fbfcfb",
    ),
    "desert": _palette(
        "4b9aa3 8dbcae d5cf9f f0c98a f4b272",
        "fff4d4 fde0a4 dd9462 c26f47 98492f 58281f 3c7f86 86b3a6 ffdf9a d8432b 2f7f86 fbeccf",
    ),
    "autumn": _palette(
        "6f939b a4b2a2 d6c69b edc381 f1a962",
        "fff3d3 fbdca0 c08b52 a9572f 6f3122 33201d 4a7277 90a79c ffd88c d8432b e39a33 f9ecd2",
    ),
    "mist": _palette(
        "d9e5da c9dccf b8d1c3 c9dac6 e4e6d2",
        "fffbea f3efd4 a9c6b7 6c9d8b 32675a 12352f 7fa99d b9d2c4 fbe9b0 d9593d 4f8a7f f7f6ea",
    ),
    "storm": _palette(
        "26353f 3d4f59 5c6f76 86958f b9bca9",
        "f7efcf d8d2b0 61737a 44565f 2b3b45 141f27 2d4149 647a7e f4c95a e7a52f 8aa29f eceadb",
    ),
    "ink": _palette(
        "e9dfc9 ece3cf efe7d5 f2ebdb f5efe1",
        "c8392b d65c48 b9b1a2 88837a 4b4a48 1e1f21 cfc6b4 9b958a f2e4c0 c8392b 7d2a22 f8f3e8",
    ),
    "pop": _palette(
        "f4c7c3 f6d3c4 f8dfc6 fae9cb fcf1d6",
        "ffd23f ffe58a f08a7a d9564f 35478c 1b2450 2f6fb0 8fc1d9 ffd23f ef4b4b 1fa08d fff7e6",
    ),
}  # pragma: allowlist secret

BY_MOOD = {
    "dusk": ("dusk", "ember", "dusk"),
    "dawn": ("rose", "peach"),
    "day": ("day", "meadow", "day"),
    "night": ("night", "emerald", "night", "indigo"),
    "snow": ("snow",),
    "autumn": ("autumn",),
    "mist": ("mist", "rose"),
    "storm": ("storm",),
    "heat": ("desert", "ember"),
    "ink": ("ink",),
    "red": ("ember", "desert"),
    "blue": ("night", "day", "snow"),
    "green": ("emerald", "mist", "meadow"),
    "purple": ("indigo",),
    "pink": ("rose", "pop"),
    "gold": ("autumn", "peach", "dusk"),
    "pop": ("pop",),
}
