"""Learning rates over a training, step by step, the same numbers for every framework; the formulas are PyTorch's."""

from math import cos, pi

from compresslab.config.training import Optimization

HALF = 0.5
RISE = 0.3
START_DIVISOR = 25.0
END_DIVISOR = 1e4


def learning_rate(recipe: Optimization, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of the update number ``step``, counted from 0 over the whole training.

    ``one-cycle`` rises for 30 % of the steps from lr / 25 to lr and falls to lr / 250000, both by cosines (Smith &
    Topin, 2019, in PyTorch's form); ``cosine`` falls from lr towards 0 (Loshchilov & Hutter, 2017, without restarts);
    ``step`` halves every ``step_epochs`` epochs.
    """
    steps, peak = recipe.epochs * steps_per_epoch, recipe.optimizer.lr
    if recipe.schedule == "one-cycle":
        return _one_cycle(step, steps, peak)
    if recipe.schedule == "cosine":
        return _between(peak, 0.0, step / steps)
    if recipe.schedule == "step":
        assert recipe.step_epochs is not None, "the configuration requires step_epochs"
        return peak * HALF ** (step // (recipe.step_epochs * steps_per_epoch))
    return peak


def _one_cycle(step: int, steps: int, peak: float) -> float:
    start, last = peak / START_DIVISOR, steps - 1
    top = RISE * steps - 1
    # A training of one to three steps has no rise: it starts at the peak.
    if step <= top:
        return _between(start, peak, step / top if top else 1.0)
    return _between(peak, start / END_DIVISOR, (step - top) / (last - top) if last > top else 0.0)


def _between(first: float, last: float, share: float) -> float:
    """Return the value at ``share`` (0 to 1) of half a cosine wave from ``first`` to ``last``."""
    return last + (first - last) / 2 * (1 + cos(pi * share))
