"""The order of variants: as the configuration lists them, so that parents come before their children."""

from collections.abc import Sequence

import pandas as pd


def in_order(rows: pd.DataFrame, variants: Sequence[str]) -> pd.DataFrame:
    """Sort rows as ``variants`` (``model/variant``) stand; unnamed ones follow, and equals keep their order.

    Tables without the columns model and variant come back as they are.
    """
    if not {"model", "variant"} <= set(rows.columns):
        return rows
    rank = {name: place for place, name in enumerate(variants)}
    places = (rows["model"] + "/" + rows["variant"]).map(rank).fillna(len(rank))
    return rows.iloc[places.argsort(kind="stable")].reset_index(drop=True)
