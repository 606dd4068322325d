"""The most common passwords of ten characters and more, all in lower case.

Shorter ones are refused for their length. The list is made of the patterns that lead every
published count of leaked passwords: rows of keys, rows of digits, a word and a row of digits.
"""

from __future__ import annotations

_ROWS = """
    1234567890 0123456789 12345678910 123456789a a123456789 123456789q q123456789 1234567891
    12345678901 123456789123 1234512345 1231231234 123123123123 0987654321 9876543210 1122334455
    1029384756 147258369a 1qaz2wsx3edc 1q2w3e4r5t 1q2w3e4r5t6y q1w2e3r4t5 q1w2e3r4t5y6 qazwsxedcrfv
    qwertyuiop qwertyuiop123 qwertyuiop[] qwerty12345 qwerty123456 qwerty1234 qwertyqwerty
    asdfghjkl1 asdfghjkl; asdfghjkl123 asdfasdfasdf zxcvbnm123 zaq12wsxcde zaq1zaq1zaq1 1qazxsw23edc
    poiuytrewq abcdefghij abcdefghijk abcd123456 abc1234567 abc123456789 aa12345678 aa123456789
    a1b2c3d4e5 1a2b3c4d5e azertyuiop azerty12345 qwertzuiop
"""
_WORDS = """
    password passw0rd p@ssword p@ssw0rd pass iloveyou ilovegod princess sunshine
    football baseball basketball welcome admin administrator letmein dragon monkey
    superman batman michael jordan charlie ashley jessica shadow master freedom
    whatever trustno1 starwars pokemon computer internet samsung liverpool chelsea
    arsenal barcelona jesus jesuschrist godisgood blessed changeme default secret
    login test testing user guest root qwerty creditapp credits
""".split()
_ENDINGS = (
    "",
    *"1 12 123 1234 12345 123456 1234567 12345678 123456789 ! !! 1! 123! @123".split(),
    *(str(year) for year in range(2018, 2028)),
)

COMMON: frozenset[str] = frozenset(
    candidate
    for candidate in (
        *_ROWS.split(),
        *(word + ending for word in _WORDS for ending in _ENDINGS),
        *(word + word for word in _WORDS),
        *("correcthorsebatterystaple", "correct horse battery staple"),
    )
    if len(candidate) >= 10
)
