"""What a visitor sees and does, in Chromium: every request is watched, in both languages, on a desk and on a phone."""

import io
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

import hostile_files
from compresslab.report.languages import language
from conftest import Served
from hostile_files import encoded
from made_up_run import COLOUR, GREY, NUMPY_LAB, shapes

PROJECT = Path(__file__).resolve().parents[2]
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
FINGER_PX = 44


def words(name: str, tag: str = "en", **values: object) -> str:
    return language(tag, PROJECT / "report")(name, **values)


@cache
def context_of(browser: Browser, locale: str, width: int) -> BrowserContext:
    """One per kind of visitor, so that Gradio's own files are fetched once."""
    size = PHONE if width == PHONE["width"] else DESK
    return browser.new_context(locale=locale, viewport=size, has_touch=size is PHONE)  # type: ignore[arg-type]


@pytest.fixture
def visit(browser: Browser, served: Served) -> Iterator[Callable[..., Page]]:
    """Open the page; afterwards, nothing may have asked another address, or complained in the console."""
    requested: list[str] = []
    complaints: list[str] = []
    pages = []
    told = len(served.log.read_text())

    def open_page(locale: str = "en-US", viewport: dict[str, int] = DESK) -> Page:
        page = context_of(browser, locale, viewport["width"]).new_page()
        pages.append(page)
        page.on("request", lambda request: requested.append(request.url))
        page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(served.url)
        expect(page.locator("#right-card .top b")).to_be_visible()
        return page

    yield open_page
    for page in pages:
        page.close()
    here = urlsplit(served.url).netloc
    abroad = {
        url for url in requested if urlsplit(url).scheme in ("http", "https", "ws") and urlsplit(url).netloc != here
    }
    assert requested
    assert not abroad
    assert not complaints
    assert served.log.read_text()[told:] == ""


def give(page: Page, content: bytes, name: str = "picture.png") -> None:
    page.set_input_files("#input input[type=file]", [{"name": name, "mimeType": "", "buffer": content}])


def choose(page: Page, box: str, option: str) -> None:
    page.locator(f"#{box} input").click()
    page.get_by_role("option", name=option, exact=True).click()


def top(page: Page, side: str) -> str:
    return page.locator(f"#{side}-card .top b").inner_text()


def test_a_page_opens_on_an_example_with_both_sides(visit: Callable[..., Page]) -> None:
    page = visit()
    assert page.locator("#left-card code").inner_text() == "onnx-fp32"
    assert page.locator("#right-card code").inner_text() == "onnx-int8"
    assert top(page, "left") == top(page, "right") == "red"
    expect(page.locator("#verdict")).to_contain_text("Both say red")
    expect(page.locator("#banner")).to_contain_text(words("demo.banner_embedded"))
    card = page.locator("#right-card")
    assert card.locator("ol li").count() == 3
    expect(card).to_contain_text("87.50")
    expect(card).to_contain_text("KiB")
    expect(card).to_contain_text(re.compile(r"median of \d+ calls"))


def test_an_uploaded_picture_is_answered_and_shown_as_the_network_sees_it(visit: Callable[..., Page]) -> None:
    page = visit()
    give(page, encoded(np.full((60, 90, 3), (20, 30, 220), np.uint8)))
    expect(page.locator("#verdict")).to_contain_text("blue")
    seen = page.locator("#seen")
    expect(seen).to_contain_text(words("demo.note_cropped"))
    expect(seen).to_contain_text("16 × 16")
    shown = page.locator("#seen img").get_attribute("src") or ""
    image = page.evaluate("async (src) => [...new Uint8Array(await (await fetch(src)).arrayBuffer())]", shown)
    assert np.asarray(Image.open(io.BytesIO(bytes(image)))).shape == (16, 16, 3)


def test_a_picture_is_pasted_and_dropped(visit: Callable[..., Page]) -> None:
    page = visit()
    page.evaluate(
        """async (colours) => {
            for (const [event, key, colour] of colours) {
                const canvas = Object.assign(document.createElement("canvas"), { width: 20, height: 20 });
                const pen = canvas.getContext("2d");
                pen.fillStyle = colour;
                pen.fillRect(0, 0, 20, 20);
                const blob = await new Promise((done) => canvas.toBlob(done));
                const carried = new DataTransfer();
                carried.items.add(new File([blob], "clipboard.png", { type: "image/png" }));
                window[event] = () => document.body.dispatchEvent(
                    event === "paste" ? new ClipboardEvent(event, { [key]: carried, bubbles: true })
                                      : new DragEvent(event, { [key]: carried, bubbles: true }));
            }
        }""",
        [["paste", "clipboardData", "blue"], ["drop", "dataTransfer", "lime"]],
    )
    page.evaluate("window.paste()")
    expect(page.locator("#verdict")).to_contain_text("blue")
    page.evaluate("window.drop()")
    expect(page.locator("#verdict")).to_contain_text("green")


def test_who_is_faster_than_the_networks_gets_the_answer_to_the_last_picture(visit: Callable[..., Page]) -> None:
    page = visit()
    for colour in [(220, 30, 20), (20, 200, 30)] * 3 + [(20, 30, 220)]:
        give(page, encoded(np.full((60, 90, 3), colour, np.uint8)))
    expect(page.locator("#verdict")).to_contain_text("blue")


def test_an_example_is_taken_by_a_click(visit: Callable[..., Page]) -> None:
    page = visit()
    page.locator("#examples button img").nth(2).click()
    expect(page.locator("#verdict")).to_contain_text("blue")
    expect(page.locator("#seen")).to_contain_text(words("demo.note_example", label="blue"))


def test_a_drawing_is_answered_by_another_lab(visit: Callable[..., Page]) -> None:
    page = visit()
    choose(page, "lab", NUMPY_LAB)
    expect(page.locator("#left-card code")).to_have_text("numpy-fp32")
    expect(page.locator("#right-card code")).to_have_text("numpy-int8-lut")
    page.get_by_role("tab", name=words("demo.draw")).click()
    frame = page.locator("#pad").bounding_box()
    assert frame
    page.mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] * 0.2)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] * 0.8, steps=8)
    page.mouse.up()
    page.locator("#recognize").click()
    expect(page.locator("#seen")).to_contain_text(words("demo.note_shrunk"))
    expect(page.locator("#verdict")).to_contain_text("bar")
    expect(page.locator("#seen")).not_to_contain_text(words("demo.note_inverted"))
    page.locator("#clear").click()
    blank = "document.getElementById('pad').getContext('2d').getImageData(0, 0, 560, 560).data.every((value) => !value)"
    assert page.evaluate(blank)


def test_ink_on_white_paper_is_inverted_for_a_dark_dataset(visit: Callable[..., Page]) -> None:
    page = visit()
    choose(page, "lab", NUMPY_LAB)
    expect(page.locator("#left-card code")).to_have_text("numpy-fp32")
    give(page, encoded(255 - shapes(GREY, 1, 9).images[1, :, :, 0]))
    expect(page.locator("#verdict")).to_contain_text("ring")
    expect(page.locator("#seen")).to_contain_text(words("demo.note_inverted"))


def test_another_variant_answers_the_same_picture(visit: Callable[..., Page]) -> None:
    page = visit()
    choose(page, "lab", NUMPY_LAB)
    give(page, encoded(shapes(GREY, 1, 9).images[2, :, :, 0]))
    expect(page.locator("#right-card .top b")).to_have_text("<cross>")
    choose(page, "right", "numpy-int8-dequant")
    expect(page.locator("#right-card code")).to_have_text("numpy-int8-dequant")
    assert top(page, "left") == top(page, "right") == "<cross>"
    assert page.locator("cross").count() == 0


@pytest.mark.parametrize(("locale", "tag"), [("zh-HK", "zh-TW"), ("de-DE", "en")])
def test_the_page_speaks_the_browsers_language_at_first(locale: str, tag: str, visit: Callable[..., Page]) -> None:
    page = visit(locale)
    expect(page.locator("#head h1")).to_have_text(words("demo.title", tag))
    expect(page.locator("html")).to_have_attribute("lang", tag)


def test_the_switch_changes_every_word_and_keeps_the_picture(visit: Callable[..., Page]) -> None:
    page = visit()
    give(page, encoded(np.full((30, 30, 3), (20, 220, 30), np.uint8)))
    expect(page.locator("#verdict")).to_contain_text("green")
    page.locator("#language input[value='zh-TW']").check()
    expect(page.locator("#verdict")).to_contain_text("兩者都判為")
    expect(page.locator("#seen")).to_contain_text(words("demo.note_shrunk", "zh-TW"))
    expect(page.locator("html")).to_have_attribute("lang", "zh-TW")
    # Gradio draws the tabs last.
    for way in ("demo.draw", "demo.picture"):
        expect(page.get_by_role("tab", name=words(way, "zh-TW"))).to_be_visible()
    text = page.locator("body").inner_text()
    names = r"onnx\S*|made-up-\w+|smoke|red|green|blue|English|PNG|JPEG|WebP|BMP|GIF|TIFF|MB|KiB|MiB|ms|p50|Lanczos"
    assert re.findall(r"[A-Za-z]{2,}", re.sub(names, "", text)) == []
    give(page, b"no picture")
    expect(page.locator("#verdict")).to_have_text(words("demo.refused_kind", "zh-TW"))


@pytest.mark.parametrize("tag", ["en", "zh-TW"])
def test_a_phone_scrolls_one_way_only_and_suits_a_finger(tag: str, visit: Callable[..., Page]) -> None:
    page = visit(tag, PHONE)
    for way in ("demo.draw", "demo.picture"):
        page.get_by_role("tab", name=words(way, tag)).click()
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    give(page, encoded(np.full((30, 30, 3), (20, 220, 30), np.uint8)))
    expect(page.locator("#verdict")).to_contain_text("green")
    expect(page.locator("#verdict")).to_be_in_viewport()
    outside = """() => [...document.querySelectorAll("main *")].filter((part) => {
        const frame = part.getBoundingClientRect();
        return frame.width > 0 && frame.height > 0 && getComputedStyle(part).visibility === "visible"
            && (frame.right > innerWidth + 1 || frame.left < -1) && !part.closest(".hide, .hidden, [aria-hidden=true]");
    }).map((part) => part.outerHTML.slice(0, 120))"""
    assert page.evaluate(outside) == []
    for button in ("#upload", "#language label", "button[role=tab]"):
        frame = page.locator(button).first.bounding_box()
        assert frame
        assert frame["height"] >= FINGER_PX, button


def test_wrong_files_are_answered_in_words_and_the_page_goes_on(visit: Callable[..., Page]) -> None:
    page = visit("zh-TW")
    for name in ("words.png", "empty.png", "half.png", "page.svg", "huge.png", "bomb.png"):
        content, answer = hostile_files.refused()[name]
        give(page, content, name)
        said = words(f"demo.{answer}", "zh-TW", megabytes=10, megapixels=25)
        expect(page.locator("#verdict")).to_have_text(said)
        expect(page.locator("#left-card .top")).to_be_hidden()
    give(page, encoded(shapes(COLOUR, 1, 3).images[2]))
    expect(page.locator("#verdict")).to_contain_text("blue")


def test_a_file_of_fifty_megabytes_is_refused_before_it_is_sent(visit: Callable[..., Page], tmp_path: Path) -> None:
    page = visit()
    (tmp_path / "long.png").write_bytes(bytes(50_000_000))
    page.set_input_files("#input input[type=file]", tmp_path / "long.png")
    expect(page.locator("#too-large")).to_have_text(words("demo.refused_bytes", megabytes=10))
    give(page, encoded(shapes(COLOUR, 1, 3).images[2]))
    expect(page.locator("#verdict")).to_contain_text("blue")
    expect(page.locator("#too-large")).to_have_count(0)
