"""Programs in words: three paraphrases of each, from a small closed vocabulary."""

from __future__ import annotations

from .programs import All, Extreme, Kind, Program, Related
from .solids import COLOURS, PATTERNS, SHAPES, SIZES

STYLES = 3
LONGEST = 20  # words

_SYNONYMS = {"ball": "sphere", "cube": "box", "object": "thing", "small": "little", "large": "big"}
_NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine"}
_RELATIONS = {
    "left": ("left of", "to the left of", "left of"),
    "right": ("right of", "to the right of", "right of"),
    "front": ("in front of", "closer than", "nearer than"),
    "behind": ("behind", "farther than", "in back of"),
}
_EXTREMES = {  # first and later ranks; {nth} is "second", ...; {x} the noun
    "leftmost": (
        ("the leftmost {x}", "first {x} from the left", "the {x} that is leftmost"),
        ("the {nth} {x} from the left", "{nth} {x} counted from the left", "the {x} that is {nth} from the left")),
    "rightmost": (
        ("the rightmost {x}", "first {x} from the right", "the {x} that is rightmost"),
        ("the {nth} {x} from the right", "{nth} {x} counted from the right", "the {x} that is {nth} from the right")),
    "nearest": (("the nearest {x}", "{x} closest to the camera", "the {x} that is nearest"),
                ("the {nth} nearest {x}", "{nth} {x} counted from the front", "the {x} that is {nth} nearest")),
    "farthest": (("the farthest {x}", "{x} farthest from the camera", "the {x} that is farthest"),
                 ("the {nth} farthest {x}", "{nth} {x} counted from the back", "the {x} that is {nth} farthest")),
    "largest": (("the largest {x}", "biggest {x}", "the {x} that is largest"),
                ("the {nth} largest {x}", "{nth} biggest {x}", "the {x} that is {nth} largest")),
    "smallest": (("the smallest {x}", "littlest {x}", "the {x} that is smallest"),
                 ("the {nth} smallest {x}", "{nth} littlest {x}", "the {x} that is {nth} smallest")),
}  # fmt: skip
_ORDINALS = {2: "second", 3: "third"}
_CAPTIONS = "a an and on photo table of"


def words(program: Program, style: int) -> str:
    """One of the three paraphrases (style 0, 1, 2): lower case, words separated by single spaces."""
    if isinstance(program, Kind):
        return _kind(program, style)
    if isinstance(program, Extreme):
        return _extreme(program, style)
    if isinstance(program, Related):
        return _related(program, style)
    return _plural(program, style)


def _kind(kind: Kind, style: int) -> str:
    """'the small blue cone' · 'little blue cone' · 'the cone that is small and blue', 'the only cone'."""
    if style < 2 or kind.lacks is not None:
        return ("" if style == 1 else "the ") + _noun(kind, style)
    adjectives = _adjectives(kind, style)
    if not adjectives:
        return f"the only {kind.shape or 'object'}"
    return f"the {kind.shape or 'object'} that is {' and '.join(adjectives)}"


def _adjectives(kind: Kind, style: int) -> list[str]:
    return [_say(word, style) for word in (kind.size, kind.pattern, kind.colour) if word is not None]


def _noun(kind: Kind, style: int, *, plural: bool = False) -> str:
    """'small striped blue cone', 'cones that are not blue'; no article."""
    head = _say(kind.shape or "object", style)
    if plural:
        head += "es" if head.endswith("x") else "s"
    phrase = " ".join([*_adjectives(kind, style), head])
    if kind.lacks is not None:
        link = ("that", "that", "which")[style] + (" are" if plural else " is")
        phrase += f" {link} not {_say(kind.lacks[1], style)}"
    return phrase


def _say(word: str, style: int) -> str:
    return _SYNONYMS.get(word, word) if style == 1 else word


def _extreme(program: Extreme, style: int) -> str:
    first, later = _EXTREMES[program.key]
    pattern = (first if program.rank == 1 else later)[style]
    return pattern.format(x=_noun(program.of, style), nth=_ORDINALS.get(program.rank, ""))


def _related(program: Related, style: int) -> str:
    """'the cone left of the cube' · 'cone to the left of the box' · 'the cone that is left of the cube'."""
    head = ("the {}", "{}", "the {} that is")[style].format(_noun(program.head, style))
    return f"{head} {_tail(program, style)}"


def _tail(program: Related, style: int) -> str:
    """'left of the cube', 'left of the cube that is behind the ball'."""
    said = _RELATIONS[program.relation][style]
    anchor = program.anchor
    if isinstance(anchor, Related):
        link = ("that", "that", "which")[style]
        return f"{said} the {_noun(anchor.head, style)} {link} is {_tail(anchor, style)}"
    if isinstance(anchor, Extreme):
        phrase = _extreme(anchor, style)
        return f"{said} {phrase if phrase.startswith('the ') else 'the ' + phrase}"
    return f"{said} the {_noun(anchor, style)}"


def _plural(program: All, style: int) -> str:
    """'both blue cones', 'all the blue cones' · 'every blue cone' · 'the two blue cones'."""
    of = program.of
    kind = of.head if isinstance(of, Related) else of
    tail = " " + _tail(of, style) if isinstance(of, Related) else ""
    if style == 1:
        return f"every {_noun(kind, style)}{tail}"
    lead = ("both" if program.count == 2 else "all the") if style == 0 else f"the {_NUMBERS[program.count]}"
    return f"{lead} {_noun(kind, style, plural=True)}{tail}"


def _vocabulary() -> tuple[str, ...]:
    nouns = [*SHAPES, "object", *(_SYNONYMS[word] for word in ("ball", "cube", "object"))]
    plurals = [noun + ("es" if noun.endswith("x") else "s") for noun in nouns]
    adjectives = [*COLOURS, *SIZES, *PATTERNS, "little", "big"]
    phrases = [phrase for group in _RELATIONS.values() for phrase in group]
    phrases += [
        phrase.replace("{x}", "").replace("{nth}", "") for two in _EXTREMES.values() for one in two for phrase in one
    ]
    small = ["the", "only", "that", "which", "is", "are", "not", "and", "both", "all", "every"]
    said = [*nouns, *plurals, *adjectives, *small, *_NUMBERS.values(), *_ORDINALS.values()]
    return tuple(sorted(set(said).union(*(phrase.split() for phrase in (*phrases, _CAPTIONS)))))


VOCABULARY = _vocabulary()
