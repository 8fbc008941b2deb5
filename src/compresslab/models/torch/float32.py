"""What float32 means in PyTorch on a GPU."""

import torch


def keep_float32() -> None:
    """Let every product of float32 numbers be one: process-wide, for all GPUs.

    By default cuDNN's convolutions round their factors to TF32, which keeps 11 of the 24 bits, on GPUs that have it.
    """
    # The newer names of these settings leave the older ones as they are, and PyTorch then refuses to read them.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
