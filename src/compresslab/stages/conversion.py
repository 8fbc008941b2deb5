"""What the stages share that convert a fake-quantized network: how far the integers lie from it, in the card."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from compresslab.stages.card import variant_card, write_card
from compresslab.stages.command import Job, log

if TYPE_CHECKING:
    from compresslab.engines.contract import Engine

IMAGES_TO_COMPARE = 16


def compare_and_write_card(
    job: Job, open_simulated: "Callable[[Path, int], Engine]", open_integer: "Callable[[Path, int], Engine]"
) -> None:
    """Open both files again, so that what is compared is what was written, and write the card of the integer model."""
    from compresslab.data.prepared import calibration_images
    from compresslab.measure.logits import difference

    options = job.options
    images = calibration_images(options.data, IMAGES_TO_COMPARE).images
    simulated = open_simulated(options.parent, options.threads).predict(images)
    found = difference(simulated, open_integer(options.model, options.threads).predict(images))
    log.info("against the fake-quantized network: %s", found)
    card = variant_card(job, options.data, options.model, options.parent)
    write_card(options.card, {**card, "difference_from_fake_quantized": asdict(found)})
