"""The look of the Word documents: pandoc's own reference document with our paper, typefaces, tables and banner."""

import re
import subprocess
import zipfile
from pathlib import Path

import pypandoc

_FONTS = '<w:rFonts w:ascii="Calibri" w:hAnsi="Calibri" w:cs="Calibri" w:eastAsia="Microsoft JhengHei"/>'
_BANNER = (
    '<w:style w:type="paragraph" w:customStyle="1" w:styleId="Banner"><w:name w:val="Banner"/>'
    '<w:basedOn w:val="BodyText"/><w:pPr>'
    '<w:pBdr><w:left w:val="single" w:sz="24" w:space="8" w:color="C8551B"/></w:pBdr>'
    '<w:shd w:val="clear" w:color="auto" w:fill="FDF0E6"/></w:pPr></w:style>'
)
_TABLE_TEXT = (
    '<w:style w:type="paragraph" w:customStyle="1" w:styleId="TableText"><w:name w:val="Table Text"/>'
    '<w:basedOn w:val="Compact"/><w:pPr><w:spacing w:before="20" w:after="20"/></w:pPr>'
    '<w:rPr><w:sz w:val="16"/><w:szCs w:val="16"/></w:rPr></w:style>'
)
_CAPTION = '<w:color w:val="5B6875"/><w:sz w:val="19"/><w:szCs w:val="19"/>'
_KEY_FIGURE = (
    '<w:style w:type="paragraph" w:customStyle="1" w:styleId="KeyFigure"><w:name w:val="Key Figure"/>'
    '<w:basedOn w:val="Compact"/><w:pPr><w:jc w:val="center"/></w:pPr>'
    '<w:rPr><w:color w:val="0B6E8F"/><w:sz w:val="36"/><w:szCs w:val="36"/></w:rPr></w:style>'
)
_TABLE = (
    '<w:tblBorders><w:top w:val="single" w:sz="8" w:color="1F2933"/>'
    '<w:bottom w:val="single" w:sz="8" w:color="1F2933"/>'
    '<w:insideH w:val="single" w:sz="2" w:color="DDE3E8"/></w:tblBorders>'
)
_A4 = (
    '<w:sectPr><w:pgSz w:w="11906" w:h="16838"/>'
    '<w:pgMar w:top="1304" w:right="1134" w:bottom="1304" w:left="1134" w:header="567" w:footer="567" w:gutter="0"/>'
    "</w:sectPr>"
)


def write_reference(path: Path) -> None:
    """Write the reference document that pandoc takes its styles from."""
    default = subprocess.run(
        [pypandoc.get_pandoc_path(), "--print-default-data-file", "reference.docx"], capture_output=True, check=True
    )
    path.write_bytes(default.stdout)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["word/styles.xml"] = _styles(members["word/styles.xml"].decode()).encode()
    members["word/document.xml"] = _on_a4(members["word/document.xml"].decode()).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)


def _styles(styles: str) -> str:
    styles = re.sub(r"<w:rFonts [^>]*Theme[^>]*/>", _FONTS, styles)
    styles = styles.replace('w:eastAsia="zh-CN"', 'w:eastAsia="zh-TW"')
    styles = _in_style(styles, "Caption", "<w:i />", _CAPTION)
    # Code takes the size of what stands around it: of the text, or of a table.
    styles = _in_style(styles, "VerbatimChar", '<w:sz w:val="22" />', "")
    defaults = re.compile(r'(<w:docDefaults>.*?)<w:sz w:val="24" />\s*<w:szCs w:val="24" />', re.DOTALL)
    styles = defaults.sub(r'\1<w:sz w:val="21" /><w:szCs w:val="21" />', styles)
    table = r'(<w:style w:type="table"[^>]*w:styleId="Table">.*?<w:tblPr>)'
    styles = re.sub(table, rf"\1{_TABLE}", styles, flags=re.DOTALL)
    return styles.replace("</w:styles>", f"{_BANNER}{_TABLE_TEXT}{_KEY_FIGURE}</w:styles>")


def _in_style(styles: str, name: str, old: str, new: str) -> str:
    """Replace ``old`` in the one style ``name``."""
    one = re.compile(rf'w:styleId="{name}"(?:(?!</w:style>).)*', re.DOTALL)
    return one.sub(lambda found: found.group().replace(old, new), styles)


def _on_a4(document: str) -> str:
    return re.sub(r"<w:sectPr\s*/>|<w:sectPr>.*?</w:sectPr>", _A4, document, flags=re.DOTALL)
