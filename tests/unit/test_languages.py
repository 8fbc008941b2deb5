"""Both languages are complete, say the same names, keep to the glossary and to one way of spacing."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compresslab.report.languages import LANGUAGES, MessageError, catalogue_path, language, read_catalogue
from compresslab.report.typography import THIN_SPACE, spaced
from compresslab.tables.schemas import KINDS, REASONS, VERDICTS

PROJECT = Path(__file__).parents[2]
REPORT = PROJECT / "report"
SOURCES = [
    path for room in ("report", "demo", "stages") for path in sorted((PROJECT / "src/compresslab" / room).rglob("*.py"))
]
CHINESE = sorted(REPORT.glob("narrative/**/*.zh-TW.md.j2")) + sorted(REPORT.glob("**/*.rst"))

# What mainland China writes, or another word than the one that the reports chose for the idea.
FORBIDDEN = re.findall(
    r"\S+",
    """
    修剪 後訓練 后训练 校準 校准 推理 預熱 预热 線程 线程 內存 内存 文件 語義 语义 數據 数据 置信區間 置信区间 複現 复现
    硬件 權衡 权衡 默認 默认 配置 程序 軟件 软件 網絡 网络 信息 激活函数 質量 算法 視頻 服務器 優化 支持
    """,
)


def messages(tag: str) -> dict[str, str]:
    return dict(language(tag, REPORT).messages)


def texts_of_sources() -> list[str]:
    tables = PROJECT / "src/compresslab/tables/schemas.py"
    measures = PROJECT.glob("src/compresslab/measure/*.py")
    return [path.read_text(encoding="utf-8") for path in [*SOURCES, tables, *measures, *REPORT.rglob("*.j2")]]


def named_in_sources() -> set[str]:
    call = re.compile(r"""\b(?:language|_language|t|words|text)\(\s*"([a-z_0-9.-]+[a-z_0-9])\"[,)]""")
    return {name for text in texts_of_sources() for name in call.findall(text) if "." in name}


def chinese_texts() -> dict[str, str]:
    texts = {str(path.relative_to(PROJECT)): path.read_text(encoding="utf-8") for path in CHINESE}
    return texts | {f"message {name}": text for name, text in messages("zh-TW").items()}


def test_catalogues_hold_the_same_names_and_every_name_has_a_text() -> None:
    english, chinese = messages("en"), messages("zh-TW")
    assert english.keys() == chinese.keys()
    assert all(text.strip() for text in (*english.values(), *chinese.values()))


@pytest.mark.parametrize("tag", LANGUAGES)
def test_no_entry_is_fuzzy_or_repeated(tag: str) -> None:
    catalogue = read_catalogue(tag, REPORT)
    assert not [message.id for message in catalogue if message.id and message.fuzzy]
    source = catalogue_path(tag, REPORT).read_text(encoding="utf-8")
    names = re.findall(r'^msgid "(.+)"$', source, re.MULTILINE)
    assert len(names) == len(set(names)) == len(messages(tag))


def test_both_languages_fill_in_the_same_values() -> None:
    english, chinese = messages("en"), messages("zh-TW")
    values = re.compile(r"\{(\w+)\}")
    assert {name: set(values.findall(text)) for name, text in english.items()} == {
        name: set(values.findall(text)) for name, text in chinese.items()
    }


def test_every_name_in_the_sources_is_in_the_catalogues() -> None:
    used = named_in_sources()
    assert len(used) > 40
    assert used <= set(messages("en"))


def test_every_message_is_used() -> None:
    # A name that is put together at run time (``column.`` + a column) shows its last part as a word in some source.
    words = {word for text in texts_of_sources() for word in re.findall(r"[\w-]+", text)}
    whole = named_in_sources()
    spare = {
        name
        for name in messages("en")
        if name not in whole and not set(re.findall(r"[\w-]+", name.split(".", 1)[1])) <= words
    }
    assert not spare


def test_every_verdict_and_reason_that_a_table_can_hold_has_words() -> None:
    known = messages("en")
    assert {f"verdict.{verdict}" for verdict in (*VERDICTS, "faster", "slower", "noise", "better", "worse")} <= set(
        known
    )
    assert {f"reason.{reason}" for reason in REASONS} <= set(known)
    assert KINDS


def test_an_unknown_message_and_an_unknown_language_say_what_to_do() -> None:
    with pytest.raises(MessageError, match="add it to report"):
        language("en", REPORT)("column.nonsense")
    with pytest.raises(ValueError, match="zh-TW, en"):
        language("fr", REPORT)


def test_words_from_outside_stay_when_no_catalogue_has_them() -> None:
    assert language("zh-TW", REPORT).known("reason.nobody-knows", "沒有GPU") == f"沒有{THIN_SPACE}GPU"


def test_forbidden_words_are_nowhere_in_chinese() -> None:
    found = [f"{place}: {word}" for place, text in chinese_texts().items() for word in FORBIDDEN if word in text]
    assert not found


def test_chinese_sentences_have_full_width_punctuation() -> None:
    half_width = re.compile(r"[\u4e00-\u9fff][,;:?!()]|[,;:?!](?=[\u4e00-\u9fff])")
    outside = re.compile(
        r"`[^`]*`|\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}|\$[^$]*\$|\[[^\]]*\]\([^)]*\)|^\.\. .*$", re.DOTALL | re.MULTILINE
    )
    found = {
        place: half_width.findall(outside.sub("", text))
        for place, text in chinese_texts().items()
        if not place.endswith(".rst")
    }
    assert not {place: matches for place, matches in found.items() if matches}


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("延遲2.09 ms的中位數", "延遲_2.09 ms_的中位數"),
        ("用 PyTorch 訓練", "用_PyTorch_訓練"),
        ("以`numpy`執行 **快 3.3 倍**，", "以_`numpy`_執行 **快_3.3_倍**，"),
        ("共**3**個", "共_**3**_個"),
        ("值 $x_q$ 為整數", "值_$x_q$_為整數"),
        ("（LUT）與表", "（LUT）與表"),
        ("訓練 （LUT） 與", "訓練（LUT）與"),
        ("# 第1章\n\n1. 「甲」", "# 第_1_章\n\n1. 「甲」"),
        ("[看3張](圖 a.png)", "[看_3_張](圖 a.png)"),
        ("```\n中a文\n```", "```\n中a文\n```"),
        ('![圖1：甲](a甲1.svg){#f alt="甲1"}', '![圖_1：甲](a甲1.svg){#f alt="甲1"}'),
        ("English only, 3 ms.", "English only, 3 ms."),
    ],
)
def test_thin_spaces_stand_between_chinese_and_latin_and_nowhere_else(typed: str, expected: str) -> None:
    assert spaced(typed) == expected.replace("_", THIN_SPACE).replace(f"x{THIN_SPACE}q", "x_q")


@given(st.text(alphabet="中文，。（）「」 aZ09%*`$_.\n|#-\u2009", max_size=60))
def test_spacing_twice_changes_nothing_more_and_loses_no_character(text: str) -> None:
    once = spaced(text)
    assert spaced(once) == once
    blank = str.maketrans("", "", " \u2009\t")
    assert once.translate(blank) == text.translate(blank)
