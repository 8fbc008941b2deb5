"""The page itself: Gradio's components, what happens at each click, and the one function that programs may call.

Gradio hands files on without looking into them here: pictures come through an upload button, not through its image
component, which would decode them before :mod:`compresslab.demo.picture` has checked them.
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import numpy as np

from compresslab.demo import view
from compresslab.demo.classifier import Classifier
from compresslab.demo.picture import MOST_BYTES, MOST_PIXELS, PictureError, see
from compresslab.demo.results import Model, Run, Variant
from compresslab.report import languages

log = logging.getLogger("compresslab")

LIMITS = {"megabytes": MOST_BYTES // 1_000_000, "megapixels": MOST_PIXELS // 1_000_000}
ONE_AT_A_TIME: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "networks"}
"""Pictures are decoded and networks run one at a time, whoever asks: memory stays bounded and times honest."""
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "trigger_mode": "always_last"}
"""What the page asks for by itself. Who is faster than the networks gets the answer to the last thing chosen: Gradio
drops what comes while an answer is on its way, unless told otherwise."""
NAMES = {"繁體中文": "zh-TW", "English": "en"}
FOLDER = Path(__file__).parent
FONTS = ("system-ui", "PingFang TC", "Microsoft JhengHei", "Noto Sans CJK TC", "Noto Sans TC", "sans-serif")
FIXED_FONTS = ("ui-monospace", "Consolas", "Noto Sans Mono CJK TC", "monospace")


class Shown(NamedTuple):
    """What the page shows to the networks: an input (H, W, C), and what is said of it, as message and values."""

    image: np.ndarray
    notes: tuple[tuple[str, dict[str, str]], ...]


class Visit(NamedTuple):
    """What one visitor has chosen. It is kept here: a box on the page may still hold what was there before."""

    tag: str
    lab: str
    model: str
    names: tuple[str, str]
    shown: Shown | None = None


class Demo:
    """What the page does, over one run; ``sources`` holds the catalogues."""

    def __init__(self, run: Run, sources: Path) -> None:
        self.run = run
        self.classifier = Classifier()
        self.languages: dict[str, languages.Language] = {
            tag: languages.language(tag, sources) for tag in languages.LANGUAGES
        }

    def words(self, tag: str | None) -> languages.Language:
        """The catalogue of a language tag; English for any tag that the page does not speak."""
        return self.languages.get(tag or "en", self.languages["en"])

    def take(self, path: str | None, model: Model) -> Shown:
        """Turn an uploaded file into an input; raises PictureError."""
        if not path:
            raise PictureError("refused_nothing")
        if not model.takes_pictures:
            raise PictureError("only_examples")
        seen = see(Path(path), model.card.image_shape, model.background)
        return Shown(seen.image, tuple((note, {}) for note in seen.notes))

    def example(self, model: Model, place: int) -> Shown | None:
        """An example as an input; None where there is none."""
        if not 0 <= place < len(model.examples):
            return None
        chosen = model.examples[place]
        return Shown(chosen.image, (("note_example", {"label": chosen.label}),))

    def sides(self, model: Model, names: Sequence[str | None], image: np.ndarray) -> list[view.Side]:
        """Ask the variants of these names; one that the model lacks gives way to the one shown first."""
        chosen = [variant_of(model, name, place) for place, name in enumerate(names)]
        return [view.Side(variant, self.classifier.ask(variant, image)) for variant in chosen]

    def answer(self, model: Model, names: Sequence[str | None], shown: Shown | None, tag: str) -> list[str]:
        """Verdict, what the network sees, and both cards, as HTML."""
        words, classes = self.words(tag), list(model.card.classes)
        if shown is None:
            return [view.hint(words, "demo.nothing_yet"), "", view.blank(), view.blank()]
        try:
            first, second = self.sides(model, names, shown.image)
        except Exception as error:  # Whatever a runtime raises: the page goes on, the terminal has the cause.
            log.error("%s: %s", type(error).__name__, error)
            return [view.hint(words, "demo.failed"), "", view.blank(), view.blank()]
        notes = [words(f"demo.{name}", **values) for name, values in shown.notes]
        return [
            view.verdict(first, second, classes, words),
            view.seen(shown.image, notes, words),
            view.card(first, classes, words),
            view.card(second, classes, words, first),
        ]

    def classify(
        self, file: str | None, lab: str = "", model: str = "", first: str = "", second: str = "", language: str = "en"
    ) -> dict[str, Any]:
        """The page's answer for programs. Empty names stand for what the page shows first.

        Returns the input's notes, both sides and the verdict, or ``{"error": one sentence}`` for a refused file.
        """
        chosen, words = self.run.chosen(lab, model), self.words(language)
        try:
            shown = self.take(file, chosen)
        except PictureError as error:
            return {"error": view.refusal_text(error, words)}
        classes = list(chosen.card.classes)
        left, right = self.sides(chosen, (first, second), shown.image)
        return {
            "lab": chosen.lab,
            "model": chosen.name,
            "notes": [words(f"demo.{name}", **values) for name, values in shown.notes],
            "sides": [described(side, classes) for side in (left, right)],
            "agree": left.answer.answer == right.answer.answer,
            "confidence_difference_points": view.points_apart(left, right),
            "verdict": view.verdict_text(left, right, classes, words),
        }


def described(side: view.Side, classes: list[str]) -> dict[str, Any]:
    """One side in plain values."""
    answer, variant = side.answer, side.variant
    return {
        "variant": variant.name,
        "engine": variant.engine,
        "top": [{"class": classes[i], "probability": float(answer.probabilities[i])} for i in answer.top(view.TOP)],
        "p50_ms": answer.p50_ms,
        "file_bytes": variant.file_bytes,
        "accuracy_percent": variant.accuracy and variant.accuracy.percent,
    }


def variant_of(model: Model, name: str | None, place: int) -> Variant:
    """A model's variant by name, or the one shown first in that place."""
    return model.variants.get(name or "") or model.variants[model.pair[place]]


def preferred(header: str) -> str:
    """The page's language for a browser's ``Accept-Language``: the first one that the page speaks, else English."""
    tags = [part.partition(";")[0].strip().lower() for part in header.split(",")]
    spoken = (tag for tag in tags if tag.startswith(("zh", "en")))
    return "zh-TW" if next(spoken, "en").startswith("zh") else "en"


class Page:
    """The components by name, and the events between them."""

    def __init__(self, run: Run, sources: Path) -> None:
        self.demo = Demo(run, sources)
        # Uploads are deleted after an hour, and all of them when the page ends.
        self.blocks = gr.Blocks(title="compresslab", analytics_enabled=False, delete_cache=(600, 3600))
        with self.blocks:
            self._lay_out()
            self._connect()
            self._serve_programs()

    @property
    def theme(self) -> gr.themes.Base:
        """Typefaces that the reader's system has: a web font would be a request."""
        return gr.themes.Default(
            primary_hue="cyan", neutral_hue="slate", radius_size="lg", font=list(FONTS), font_mono=list(FIXED_FONTS)
        )

    @property
    def css(self) -> str:
        """The style sheet."""
        return (FOLDER / "page.css").read_text(encoding="utf-8")

    @property
    def script(self) -> str:
        """What the page's own script needs, its limit and its sentence in every language, and the script."""
        sentences = {tag: words("demo.refused_bytes", **LIMITS) for tag, words in self.demo.languages.items()}
        facts = json.dumps({"tooLarge": sentences, "mostBytes": MOST_BYTES}, ensure_ascii=False)
        script = (FOLDER / "page.js").read_text(encoding="utf-8")
        escaped = facts.replace("<", "\\u003c")
        return f"<script>window.compresslabDemoFacts = {escaped};\n{script}</script>"

    def _lay_out(self) -> None:
        run = self.demo.run
        model = run.chosen(None, None)
        self.visit = gr.State(Visit("en", model.lab, model.name, model.pair))
        with gr.Row(elem_id="masthead"):
            self.head = gr.HTML(elem_id="head")
            self.language = gr.Radio(
                list(NAMES.items()), value="en", show_label=False, container=False, elem_id="language", min_width=180
            )
        self.banner = gr.HTML(elem_id="banner")
        with gr.Row(elem_id="columns"):
            with gr.Column(scale=4, min_width=320, elem_id="input"):
                with gr.Row(elem_id="choice"):
                    self.lab = gr.Dropdown(run.labs, value=model.lab, filterable=False, min_width=140, elem_id="lab")
                    self.model = gr.Dropdown(
                        run.models_of(model.lab), value=model.name, filterable=False, min_width=140, elem_id="model"
                    )
                with gr.Tabs(elem_id="ways"):
                    with gr.Tab("Picture", id="picture") as self.picture_tab:
                        self.upload = gr.UploadButton(variant="primary", size="lg", elem_id="upload")
                        self.upload_help = gr.HTML(elem_id="upload-help", elem_classes="help")
                        self.gallery_title = gr.HTML(elem_classes="help")
                        self.gallery = gr.Gallery(
                            columns=5, allow_preview=False, show_label=False, elem_id="examples", buttons=[],
                            object_fit="contain", height="auto", interactive=False, format="png",
                        )  # fmt: skip
                    with gr.Tab("Draw", id="draw") as self.draw_tab:
                        self.pad = gr.HTML(view.pad(model.background), elem_id="pad-frame")
                        with gr.Row():
                            self.clear = gr.Button(size="lg", min_width=100, elem_id="clear")
                            self.recognize = gr.Button(size="lg", variant="primary", min_width=100, elem_id="recognize")
                        self.draw_help = gr.HTML(elem_classes="help")
                self.seen = gr.HTML(elem_id="seen")
            with gr.Column(scale=7, min_width=320, elem_id="output"):
                self.verdict = gr.HTML(elem_id="verdict")
                with gr.Row(elem_id="sides"):
                    self.variants, self.cards = zip(*map(self._lay_out_side, ("left", "right")), strict=True)

    def _lay_out_side(self, name: str) -> tuple[gr.Dropdown, gr.HTML]:
        with gr.Column(min_width=280):
            return gr.Dropdown([], filterable=False, elem_id=name), gr.HTML(elem_id=f"{name}-card")

    def _connect(self) -> None:
        answer = [self.visit, self.verdict, self.seen, *self.cards]
        of_model = [self.head, self.banner, self.lab, self.model, *self.variants, self.gallery, self.gallery_title,
                    self.pad, *answer]  # fmt: skip
        labels = [self.language, self.upload, self.upload_help, self.picture_tab, self.draw_tab, self.clear,
                  self.recognize, self.draw_help]  # fmt: skip
        every = ONE_AT_A_TIME | PRIVATE
        loaded = self.blocks.load(self._load, self.visit, [*labels, *of_model], **every)
        spoken = self.language.input(self._speak, [self.visit, self.language], [*labels, *of_model], **every)
        for event in (loaded, spoken):
            event.then(None, None, None, js="() => document.documentElement.lang = compresslabDemo.speaks()")
        self.lab.input(self._choose_lab, [self.visit, self.lab], of_model, **every)
        self.model.input(self._choose_model, [self.visit, self.model], of_model, **every)
        for vary, variant in zip((self._vary_first, self._vary_second), self.variants, strict=True):
            variant.input(vary, [self.visit, variant], answer, **every)
        uploaded = self.upload.upload(self._take, [self.visit, self.upload], answer, **every)
        selected = self.gallery.select(self._take_example, self.visit, answer, **every)
        for event in (uploaded, selected):
            event.then(None, None, None, js="() => compresslabDemo.show()")
        self.clear.click(None, None, None, js="() => compresslabDemo.clear()")
        self.recognize.click(None, None, None, js="() => compresslabDemo.recognize()")

    def _serve_programs(self) -> None:
        with gr.Row(visible=False):
            file = gr.File(label="file")
            names = [gr.Textbox(label=name, value="") for name in ("lab", "model", "first", "second")]
            language = gr.Textbox(label="language", value="en")
            said, ask = gr.JSON(label="answer"), gr.Button()
        ask.click(self.demo.classify, [file, *names, language], said, api_name="classify", **ONE_AT_A_TIME)

    def _load(self, visit: Visit, request: gr.Request) -> list[Any]:
        visit = visit._replace(tag=preferred(request.headers.get("accept-language", "")))
        return [*self._labels(visit.tag), *self._begun(visit)]

    def _speak(self, visit: Visit, tag: str) -> list[Any]:
        visit = visit._replace(tag=tag)
        return [*self._labels(tag), *self._of_model(visit)]

    def _choose_lab(self, visit: Visit, lab: str) -> list[Any]:
        return self._begun(visit._replace(lab=lab, model=""))

    def _choose_model(self, visit: Visit, model: str) -> list[Any]:
        return self._begun(visit._replace(model=model))

    def _vary_first(self, visit: Visit, name: str) -> list[Any]:
        return self._answered(visit._replace(names=(name, visit.names[1])))

    def _vary_second(self, visit: Visit, name: str) -> list[Any]:
        return self._answered(visit._replace(names=(visit.names[0], name)))

    def _take(self, visit: Visit, file: str | None) -> list[Any]:
        try:
            shown = self.demo.take(file, self._model_of(visit))
        except PictureError as error:
            refused = view.refusal(error, self.demo.words(visit.tag))
            return [visit._replace(shown=None), refused, "", view.blank(), view.blank()]
        return self._answered(visit._replace(shown=shown))

    def _take_example(self, visit: Visit, event: gr.SelectData) -> list[Any]:
        return self._answered(visit._replace(shown=self.demo.example(self._model_of(visit), int(event.index))))

    def _model_of(self, visit: Visit) -> Model:
        return self.demo.run.chosen(visit.lab, visit.model)

    def _answered(self, visit: Visit) -> list[Any]:
        return [visit, *self.demo.answer(self._model_of(visit), visit.names, visit.shown, visit.tag)]

    def _begun(self, visit: Visit) -> list[Any]:
        """A model as it is shown first: its pair, and its first example."""
        model = self._model_of(visit)
        return self._of_model(Visit(visit.tag, model.lab, model.name, model.pair, self.demo.example(model, 0)))

    def _labels(self, tag: str) -> list[Any]:
        words = self.demo.words(tag)
        return [
            gr.update(label=words("demo.language"), value=tag),
            gr.update(label=words("demo.choose")),
            words("demo.picture_help", **LIMITS),
            gr.update(label=words("demo.picture")),
            gr.update(label=words("demo.draw")),
            gr.update(value=words("demo.clear")),
            gr.update(value=words("demo.recognize")),
            words("demo.draw_help"),
        ]

    def _of_model(self, visit: Visit) -> list[Any]:
        words, run, model = self.demo.words(visit.tag), self.demo.run, self._model_of(visit)
        examples = [(enlarged(example.image), example.label) for example in model.examples]
        message = "demo.examples" if model.takes_pictures else "demo.only_examples"
        return [
            view.head(run, model, words),
            view.banner(run, model, words),
            gr.update(label=words("demo.lab"), value=model.lab),
            gr.update(label=words("demo.model"), choices=run.models_of(model.lab), value=model.name),
            gr.update(label=words("demo.left"), choices=list(model.variants), value=visit.names[0]),
            gr.update(label=words("demo.right"), choices=list(model.variants), value=visit.names[1]),
            gr.update(value=examples, visible=bool(examples)),
            words(message) if examples else words("demo.examples_missing"),
            view.pad(model.background),
            *self._answered(visit),
        ]


def enlarged(image: np.ndarray, factor: int = 3) -> np.ndarray:
    """An image (H, W, C) as (factor H, factor W, 3): every pixel becomes a square; of odd channels the first shows."""
    shown = image if image.shape[2] == 3 else image[:, :, :1].repeat(3, axis=2)
    return shown.repeat(factor, axis=0).repeat(factor, axis=1)
