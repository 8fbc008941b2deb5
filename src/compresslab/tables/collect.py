"""Pieces of many jobs become the tables of a lab, and the labs' tables those of the run.

Tables are deterministic to the byte: columns in the schema's order, rows sorted, floats with ten significant
digits. What breaks a schema is refused before it is written.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from compresslab.artifacts import write_text
from compresslab.tables.schemas import TABLES, Table, column_kind, table

FLOAT_FORMAT = "%.10g"


def identified(frame: pd.DataFrame, variant_id: str, seed: int | None = None) -> pd.DataFrame:
    """A copy with the columns lab, model, variant (and seed) in front; ``variant_id`` is ``lab/model/variant``."""
    identity: dict[str, str | int] = dict(zip(("lab", "model", "variant"), variant_id.split("/"), strict=True))
    if seed is not None:
        identity["seed"] = seed
    return frame.drop(columns=list(identity), errors="ignore").assign(**identity)


def collect_lab(directory: Path, pieces: Mapping[str, Iterable[pd.DataFrame]]) -> None:
    """Write every table of a lab into ``directory``: the pieces put together, or the bare header where there is none.

    ``pieces`` maps a table's name to frames in its columns, in any order of rows. An unknown table or a value
    outside the schema is a ValueError that names table, column and value; then nothing is written.
    """
    frames = {name: assembled(table(name), list(parts)) for name, parts in pieces.items()}
    for name, known in TABLES.items():
        write_table(directory / f"{name}.csv", frames.get(name, known.empty()))


def merge_labs(directories: Sequence[Path], directory: Path) -> None:
    """Write the tables of all labs, each the rows of ``directories`` together, into ``directory``."""
    collect_lab(
        directory,
        {name: [read_table(lab / f"{name}.csv") for lab in directories] for name in TABLES},
    )


def assembled(known: Table, parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One valid, sorted frame from many; rows that the sort does not tell apart keep the order in which they came."""
    filled = [known.validated(part) for part in parts if len(part)]
    if not filled:
        return known.empty()
    together = pd.concat(filled, ignore_index=True).sort_values(list(known.sorted_by), kind="stable")
    return known.validated(together)


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """Write a table in its one form; the file's name says which it is."""
    valid = table(path.stem).validated(frame)
    numbers = valid.select_dtypes("float")
    # Adding zero turns -0.0 into 0.0: the sign of a zero is not a result.
    plain = valid.assign(**{str(name): numbers[name] + 0.0 for name in numbers})
    write_text(path, plain.to_csv(index=False, float_format=FLOAT_FORMAT, lineterminator="\n"))


def read_table(path: Path) -> pd.DataFrame:
    """Read a table written here, in the schema's dtypes; any other file is a ValueError that names it."""
    known = table(path.stem)
    try:
        return known.validated(read_piece(path, known.name))
    except ValueError as error:
        raise ValueError(f"{path}: {error}; delete it and run again") from error


def read_piece(path: Path, table_name: str) -> pd.DataFrame:
    """Read a CSV file that holds some columns of a table, in the schema's dtypes; words such as ``NA`` stay words.

    What is not such a file is a ValueError that names it.
    """
    known = table(table_name)
    try:
        words = pd.read_csv(path, dtype=str, keep_default_na=False)
        return words.apply(lambda column: _typed(known, column))
    except (ValueError, pd.errors.ParserError) as error:
        raise ValueError(f"{path} is not a piece of table {table_name} ({error}); delete it and run again") from error


def _typed(known: Table, words: pd.Series) -> pd.Series:
    kind = column_kind(known.name, str(words.name)) if words.name in known.columns else str
    if kind is str:
        return words
    if kind is bool:
        return words.map({"True": True, "False": False})
    return pd.to_numeric(words)
