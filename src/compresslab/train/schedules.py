"""Learning rates over a training, step by step; the formulas are PyTorch's own."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR, StepLR

from compresslab.config.training import Recipe

HALF = 0.5


def make_schedule(optimizer: Optimizer, recipe: Recipe, steps_per_epoch: int) -> LRScheduler:
    """Return the recipe's schedule, to be stepped after every batch.

    ``one-cycle`` rises for 30 % of the steps from lr / 25 to lr and falls to lr / 250000, both by cosines (Smith &
    Topin, 2019, in PyTorch's form), with the momentum of the recipe throughout; ``cosine`` falls from lr to 0;
    ``step`` halves every ``step_epochs`` epochs.
    """
    steps = recipe.epochs * steps_per_epoch
    if recipe.schedule == "one-cycle":
        return OneCycleLR(optimizer, max_lr=recipe.optimizer.lr, total_steps=steps, cycle_momentum=False)
    if recipe.schedule == "cosine":
        return CosineAnnealingLR(optimizer, T_max=steps)
    if recipe.schedule == "step":
        assert recipe.step_epochs is not None, "the configuration requires step_epochs"
        return StepLR(optimizer, step_size=recipe.step_epochs * steps_per_epoch, gamma=HALF)
    return ConstantLR(optimizer, factor=1.0)
