"""`sparse-products`: from which sparsity on a sparse matrix product is smaller and faster than a dense one."""

from typing import ClassVar

from compresslab.config.study import StudyOfVariant


class Settings(StudyOfVariant):
    """How sparse the weights of a network must be before its products pay as sparse ones."""

    reads: ClassVar[tuple[str, ...]] = ("numpy",)
