"""How far the logits of an exported network may lie from those of the network that it was."""


def largest_accepted(largest_logit: float, tolerance: float) -> float:
    """Return the largest difference between logits that ``tolerance`` accepts, in their unit.

    It is a share of the largest logit, since float32 rounds large numbers coarsely; or of 1, where all are smaller.
    """
    return tolerance * max(1.0, largest_logit)
