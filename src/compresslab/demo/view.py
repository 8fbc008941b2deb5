"""The pieces of the page in one language: banner, verdict, what the network sees, and the card of each side.

Every piece is HTML that asks for nothing: images are part of it, and whatever comes from files is escaped.
"""

import base64
from dataclasses import dataclass
from html import escape
from io import BytesIO

import numpy as np
from PIL import Image

from compresslab.demo.classifier import Answer
from compresslab.demo.picture import PictureError
from compresslab.demo.results import Model, Run, Variant
from compresslab.report.languages import Language
from compresslab.report.numbers import MEBIBYTE, UNITS, decimals, significant
from compresslab.report.typography import UNIT_SPACE

NO_BREAK_HYPHEN = "\u2011"
TOP = 5
DECIMALS = 1
"""Of a confidence in percent. Differences are of what is shown, so that a reader who subtracts finds the same."""


@dataclass(frozen=True)
class Side:
    """A variant and what it answered."""

    variant: Variant
    answer: Answer


def percent(share: float) -> str:
    """A probability with one decimal: ``98.7 %``."""
    return decimals(DECIMALS)(share * 100) + UNIT_SPACE + "%"


def head(run: Run, model: Model, words: Language) -> str:
    """The title, and the run and dataset that the page is about."""
    about = words("demo.run", run=run.name, dataset=words.among(model.card.title))
    return f"<h1>{escape(words('demo.title'))}</h1><p>{escape(about)}</p>"


def banner(run: Run, model: Model, words: Language) -> str:
    """What keeps the answers from being results, or nothing: generated or substitute data, a scale below full."""
    card = model.card
    lines = [words("demo.banner_embedded")] if card.embedded else []
    lines += [words("demo.banner_substitute")] if card.substitute and not card.embedded else []
    lines += [words("demo.banner_smoke")] if run.scale == "smoke" else []
    lines += [words("demo.banner_quick")] if run.scale == "quick" else []
    said = ("" if words.is_chinese else " ").join(lines)
    return f"<div class='banner' role='note'>{escape(said)}</div>" if lines else ""


def refusal(error: PictureError, words: Language) -> str:
    """Why a picture was not taken, in one sentence."""
    return f"<p class='verdict refused' role='alert'>{escape(refusal_text(error, words))}</p>"


def refusal_text(error: PictureError, words: Language) -> str:
    """The sentence alone."""
    return words(f"demo.{error.name}", **error.values)


def hint(words: Language, name: str) -> str:
    """A sentence in the place of the verdict."""
    return f"<p class='verdict hint'>{escape(words(name))}</p>"


def verdict(first: Side, second: Side, classes: list[str], words: Language) -> str:
    """Whether both agree, and how far apart they are in the first one's answer."""
    agree = first.answer.answer == second.answer.answer
    # No line ends within a variant's name.
    said = verdict_text(first, second, classes, words).replace("-", NO_BREAK_HYPHEN)
    return f"<p class='verdict {'agree' if agree else 'differ'}' role='status'>{escape(said)}</p>"


def verdict_text(first: Side, second: Side, classes: list[str], words: Language) -> str:
    """The sentence alone."""
    shared = first.answer.answer
    sure = first.answer.probabilities[shared]
    points = round(second.answer.probabilities[shared] * 100, DECIMALS) - round(sure * 100, DECIMALS)
    values = {
        "first": first.variant.name,
        "second": second.variant.name,
        "answer": classes[shared],
        "points": decimals(DECIMALS)(abs(points)),
    }
    if shared != second.answer.answer:
        others = {"other": classes[second.answer.answer], "sure": percent(sure)}
        name = "demo.verdict_differ" if points <= 0 else "demo.verdict_differ_more"
        return words(name, **values, **others)
    if abs(points) < 10**-DECIMALS / 2:
        return words("demo.verdict_agree_same", answer=classes[shared])
    return words("demo.verdict_agree_less" if points < 0 else "demo.verdict_agree_more", **values)


def points_apart(first: Side, second: Side) -> float:
    """What the second one gives the first one's answer, minus what the first one gives it, in percentage points."""
    shared = first.answer.answer
    return float(second.answer.probabilities[shared] - first.answer.probabilities[shared]) * 100


def seen(image: np.ndarray, notes: list[str], words: Language) -> str:
    """The network's input, enlarged without smoothing, and what was done to the picture."""
    size = f"{image.shape[1]} × {image.shape[0]}"
    title = words("demo.seen")
    alt = escape(f"{title}, {size}")
    lines = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return (
        f"<figure class='seen'><img src='{data_address(image)}' alt='{alt}'>"
        f"<figcaption><b>{escape(title)}</b> <span>{size}</span><ul>{lines}</ul></figcaption></figure>"
    )


def card(side: Side, classes: list[str], words: Language, other: Side | None = None) -> str:
    """One side: the most probable classes as bars, time, size and accuracy; ``other`` is what its size is a part of."""
    answer, variant = side.answer, side.variant
    bars = "".join(_bar(classes[place], answer.probabilities[place]) for place in answer.top(TOP))
    unit = UNITS["bytes" if variant.file_bytes < MEBIBYTE else "large_bytes"]
    size = unit.full(variant.file_bytes)
    part = ""
    if other is not None and other.variant is not variant:
        ratio = significant(variant.file_bytes / other.variant.file_bytes * 100, 3) + UNIT_SPACE + "%"
        part = words("demo.size_ratio", ratio=ratio)
    facts = [
        (words("demo.time"), UNITS["ms"].full(answer.p50_ms), words("demo.time_detail", calls=answer.calls)),
        (words("demo.size"), size, part),
        (words("demo.accuracy"), *_accuracy(variant, words)),
    ]
    rows = "".join(_fact(*fact) for fact in facts)
    top = f"<b>{escape(classes[answer.answer])}</b><span>{percent(answer.probabilities[answer.answer])}</span>"
    return (
        f"<section class='side'><p class='name'><code>{escape(variant.name)}</code>"
        f"<span>{escape(variant.engine)}</span></p><p class='top'>{top}</p><ol>{bars}</ol><dl>{rows}</dl></section>"
    )


def blank() -> str:
    """A side that has nothing to say."""
    return "<section class='side empty'></section>"


def pad(background: str | None) -> str:
    """The canvas to draw on: of the dataset's background, black where there is none."""
    paper = "white" if background == "bright" else "black"
    return f"<canvas id='pad' class='{paper}' width='560' height='560' aria-label='pad'></canvas>"


def data_address(image: np.ndarray) -> str:
    """An image, uint8 (H, W, 1 or 3), as an address that holds it; of other channels, the first one is shown."""
    shown = image if image.shape[2] == 3 else image[:, :, 0]
    stream = BytesIO()
    Image.fromarray(shown).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def _bar(label: str, share: float) -> str:
    bar = f"<span class='bar'><i style='width:{share * 100:.2f}%'></i></span>"
    return f"<li><span class='label'>{escape(label)}</span>{bar}<span class='value'>{percent(share)}</span></li>"


def _fact(name: str, value: str, detail: str) -> str:
    small = f"<small>{escape(detail)}</small>" if detail else ""
    return f"<div><dt>{escape(name)}</dt><dd>{escape(value)}{small}</dd></div>"


def _accuracy(variant: Variant, words: Language) -> tuple[str, str]:
    if variant.accuracy is None:
        return "—", words("demo.accuracy_missing")
    unit, found = UNITS["percent"], variant.accuracy
    low, high = unit.digits(found.low_percent), unit.digits(found.high_percent)
    return unit.full(found.percent), words("demo.accuracy_detail", low=low, high=high, images=f"{found.images:,}")
