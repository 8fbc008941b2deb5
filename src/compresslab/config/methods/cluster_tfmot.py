"""`cluster-tfmot`: let the weights of a TensorFlow network share few values and train it on."""

from typing import ClassVar, Literal

from pydantic import Field

from compresslab.config.method import Method
from compresslab.config.training import KNOWN_IN_TENSORFLOW, FineTuning, Known


class Parameters(FineTuning, Method):
    """Cluster weights with the TensorFlow Model Optimization Toolkit."""

    artifact: ClassVar[str] = "model.safetensors"
    makes: ClassVar[str] = "tensorflow"
    reads: ClassVar[tuple[str, ...]] = ("tensorflow",)
    known: ClassVar[Known] = KNOWN_IN_TENSORFLOW

    method: Literal["cluster-tfmot"] = Field("cluster-tfmot", description="Share weights within layers.")
    clusters: int = Field(16, ge=2, le=256, description="Distinct weights per layer, at most.")
    centroids: Literal["linear", "kmeans_plus_plus"] = Field(
        "kmeans_plus_plus", description="First values: evenly spread, or chosen by k-means++."
    )

    @property
    def engine(self) -> str:
        """TensorFlow, traced to a graph."""
        return "tf-graph"
