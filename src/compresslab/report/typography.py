"""Thin spaces between Chinese and Latin, everywhere the same, so that authors need not think of them.

After W3C's Requirements for Chinese Text Layout: a quarter-em space or less between a Chinese
character and a Latin letter, digit or formula, and none beside full-width punctuation.
"""

import re

THIN_SPACE = "\u2009"
UNIT_SPACE = "\u202f"
"""Narrow no-break space: between a number and its unit, where no line may end."""

HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
FULL_WIDTH = r"\u3000-\u303f\uff01-\uff65"

# Stand-ins from the private use area. What may not be touched becomes a number between two of them: an atom, which
# counts as Latin, or a neutral piece, which does not. Emphasis marks become openers and closers.
_ATOM, _NEUTRAL, _OPENER, _CLOSER = "\ue010", "\ue011", "\ue020", "\ue021"

_BLOCKS = re.compile(
    r"""
      ^(?P<fence>`{3,}|~{3,}).*?^(?P=fence)[ \t]*$   # code block
    | ^:::.*?$                                       # fenced division
    | \$\$.*?\$\$                                    # display formula
    | \]\([^)\n]*\)(?:\{[^}\n]*\})?                  # link target and attributes
    | \{[.\#][^}\n]*\}                               # attributes
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
_ATOMS = re.compile(r"`[^`\n]+`|\$(?![\s$])[^$\n]*?(?<!\s)\$(?!\d)|<[^>\s][^>\n]*>")
_EMPHASIS = re.compile(r"(\*{1,3})(?=[^\s*])([^\n]*?[^\s*])\1(?!\*)")
_STAND_IN = re.compile(f"([{_ATOM}{_NEUTRAL}])(\\d+)\\1")

_BEFORE = rf"A-Za-z0-9\u00b0\u00c0-\u024f\u0370-\u03ff%{_ATOM}"
_AFTER = rf"A-Za-z0-9\u00c0-\u024f\u0370-\u03ff+\u2212±@#{_ATOM}"
_JOINT = rf"({_CLOSER}*)[ \t]*({_OPENER}*)"
_GAP = rf"({_CLOSER}*)[ \t{THIN_SPACE}]+({_OPENER}*)"
_RULES = (
    (re.compile(rf"(?<=[{HAN}]){_JOINT}(?=[{_AFTER}])"), rf"\1{THIN_SPACE}\2"),
    (re.compile(rf"(?<=[{_BEFORE}]){_JOINT}(?=[{HAN}])"), rf"\1{THIN_SPACE}\2"),
    (re.compile(rf"(?<=[{_BEFORE}{HAN}]){_GAP}(?=[{FULL_WIDTH}])"), r"\1\2"),
    (re.compile(rf"(?<=[{FULL_WIDTH}]){_GAP}(?=[{_AFTER}{HAN}])"), r"\1\2"),
)


def spaced(text: str) -> str:
    """Return ``text`` with a thin space wherever Chinese meets Latin letters, digits, signs, code or formulas.

    Works on plain labels and on Markdown; applying it twice changes nothing more. Blanks that an author typed at
    such a place become the thin space. Code, formulas, link targets and attributes stay as they are.
    """
    kept: list[str] = []

    def hide(stand_in: str, match: re.Match[str]) -> str:
        kept.append(match.group())
        return f"{stand_in}{len(kept) - 1}{stand_in}"

    text = _BLOCKS.sub(lambda match: hide(_NEUTRAL, match), text)
    text = _ATOMS.sub(lambda match: hide(_ATOM, match), text)
    text = _EMPHASIS.sub(_mark_emphasis, text)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    text = text.replace(_OPENER, "*").replace(_CLOSER, "*")
    while _STAND_IN.search(text):
        text = _STAND_IN.sub(lambda match: kept[int(match.group(2))], text)
    return text


def _mark_emphasis(match: re.Match[str]) -> str:
    marks = len(match.group(1))
    return _OPENER * marks + match.group(2) + _CLOSER * marks
