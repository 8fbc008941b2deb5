"""The tables of a report, by name: which rows and columns of a run's tables a reader sees, and in what words.

Every function takes what is known of a run and a language and returns a ``Sheet``, or None when there are no rows.
"""

from collections.abc import Callable

from compresslab.report.exhibits.claims import claims, leads
from compresslab.report.exhibits.compression import compression
from compresslab.report.exhibits.costs import costs, pruning, sizes, sparse_products
from compresslab.report.exhibits.experiment import architecture, counts, files, settings, variants
from compresslab.report.exhibits.hosts import gpu_states, host, hosts
from compresslab.report.exhibits.quality import (
    accuracy,
    activation_errors,
    by_class,
    comparisons,
    fine_tuning,
    layers,
    recall,
    sensitivity,
    training,
)
from compresslab.report.exhibits.segmentation import (
    class_iou,
    label_map,
    merit,
    networks,
    overlap_comparisons,
    pixels,
    quantization,
    recipes,
    search,
    segmentation,
)
from compresslab.report.exhibits.sheets import Sheet
from compresslab.report.exhibits.speed import audit, engines, frameworks, latency, same_engine, skipped, speed, start
from compresslab.report.exhibits.studies import architecture_costs, codec_shift, convolutions, training_steps

SHEETS: dict[str, Callable[..., Sheet | None]] = {
    function.__name__: function
    for function in (
        *(
            counts,
            files,
            variants,
            settings,
            architecture,
            costs,
            sizes,
            pruning,
            sparse_products,
            frameworks,
            engines,
            same_engine,
        ),
        *(accuracy, by_class, recall, comparisons, layers, sensitivity, activation_errors, training, fine_tuning),
        compression,
        *(latency, start, speed, audit, skipped, claims, leads, host, hosts, gpu_states),
        *(architecture_costs, convolutions, training_steps, codec_shift),
        *(
            pixels,
            label_map,
            networks,
            recipes,
            segmentation,
            class_iou,
            overlap_comparisons,
            quantization,
            merit,
            search,
        ),
    )
}
