"""Losses of segmentation in PyTorch: cross-entropy, Dice and Lovász-softmax, and their weighted sum.

All three look at the pixels that are not void, those of the whole batch together, as logits (P, C) and labels (P,).
Intersection over union is also counted over all images at once, and the classes of one image are few. Classes without
a pixel in the batch are left out of Dice and Lovász-softmax: all that could be learned of them is one more pixel that
is something else, which the cross-entropy says already.

A batch without such pixels has the loss 0, and gradients of 0. Void pixels never have another gradient.
"""

import torch
from torch.nn import functional

from compresslab.config.training import Loss
from compresslab.data.masks import VOID


def weighted(logits: torch.Tensor, masks: torch.Tensor, loss: Loss, smoothing: float = 0.0) -> torch.Tensor:
    """Return the sum of the losses that have a weight: a number, float32.

    ``logits`` (N, C, H, W) and int64 ``masks`` (N, H, W) with classes or ``VOID``; ``smoothing`` of the cross-entropy.
    """
    pixels, labels = known_pixels(logits.float(), masks)
    if not len(labels):
        return pixels.sum()
    parts = {
        "cross_entropy": lambda: functional.cross_entropy(pixels, labels, label_smoothing=smoothing),
        "dice": lambda: dice(pixels, labels),
        "lovasz": lambda: lovasz_softmax(pixels, labels),
    }
    return torch.stack([weight * parts[name]() for name, weight in loss.weights.items() if weight]).sum()


def known_pixels(logits: torch.Tensor, masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the logits (P, C) and labels (P,) of the pixels of ``masks`` that are not void."""
    labels = masks.flatten()
    chosen = (labels != VOID).nonzero()[:, 0]
    # The rows of a channels-last feature map lie as they are needed: nothing is copied before the choice.
    rows = logits.permute(0, 2, 3, 1).reshape(len(labels), -1)
    return rows.index_select(0, chosen), labels.index_select(0, chosen)


def dice(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return 1 minus the mean Dice coefficient of the classes that ``labels`` has, of logits (P, C) and labels (P,)."""
    # kornia is only imported where a loss is taken from it.
    from kornia.losses import dice_loss

    # As one image of one column: kornia would else take a mean over images.
    return dice_loss(logits.T[None, :, :, None], labels[None, :, None], average="macro", ignore_index=None)


def lovasz_softmax(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean Lovász extension of the Jaccard loss (Berman et al., CVPR 2018), of logits (P, C), labels (P,).

    The mean is over the classes that ``labels`` has, as in the authors' code. kornia has this loss, and the tests hold
    one against the other; but kornia sums in floating point, which a GPU refuses among deterministic algorithms, and
    sorts in six times the time.
    """
    present = labels.bincount(minlength=logits.shape[1]).nonzero()[:, 0]
    truth = labels == present[:, None]
    errors = (truth.float() - logits.softmax(1).T.index_select(0, present)).abs()
    slopes = torch.stack([_jaccard_slopes(*row) for row in zip(errors.detach(), truth, strict=True)])
    return (errors * slopes).sum(1).mean()


def _jaccard_slopes(errors: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return by how much each error (P,), from 0 upwards, counts: how much the Jaccard loss grows by its pixel.

    Pixels join the wrong ones by falling error; ``truth`` (P,) says which are of the class.
    """
    # As integers, floats from 0 upwards keep their order, and integers are sorted eight times as fast on the CPU.
    order = (-errors.float().view(torch.int32)).sort(stable=True).indices
    hits = truth.index_select(0, order).cumsum(0)
    left, places = hits[-1] - hits, torch.arange(1, len(order) + 1, device=order.device)
    # In float64: over a million pixels, neighbours differ by less than float32 tells from 1.
    jaccard = 1 - left.double() / (left + places)
    slopes = jaccard.diff(prepend=jaccard.new_zeros(1)).to(errors.dtype)
    return torch.empty_like(errors).scatter_(0, order, slopes)
