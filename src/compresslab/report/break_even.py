"""From which sparsity on something pays."""

import pandas as pd


def lasting(points: pd.DataFrame, holds: pd.Series) -> float | None:
    """The sparsity from which on something ``holds`` at every one that was tried; None when not at the highest."""
    ordered = points.assign(holds=holds).sort_values("sparsity_percent", ascending=False)
    kept = ordered[ordered["holds"].cummin()]
    return None if kept.empty else float(kept["sparsity_percent"].min())


def faster(points: pd.DataFrame) -> float | None:
    """Where the whole interval of the sparse product's time lies below the dense one's."""
    return lasting(points, points["sparse_to_dense_ratio_high"] < 1)


def smaller(points: pd.DataFrame) -> float | None:
    """Where the sparse weights take fewer bytes than the dense ones."""
    return lasting(points, points["sparse_bytes"] < points["dense_bytes"])
