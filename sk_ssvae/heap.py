"""Memory that one step frees and the next one takes."""

import torch

__all__ = ["keep_freed_memory"]

BLOCK = 31 * 2**20
"""Bytes; glibc takes no notice of blocks of 32 MiB and more."""


def keep_freed_memory() -> None:
    """Let the C library keep what a step frees, instead of asking for it anew.

    glibc returns memory at the top of its heap to the system as soon as there is a
    little of it, and then every step of training pays for fresh pages. How much is
    little depends on the largest block that was freed before (``M_TRIM_THRESHOLD`` in
    mallopt(3), which is dynamic), so one large block, of which no page is ever touched,
    is taken and freed. Other C libraries lose a few microseconds.
    """
    torch.empty(BLOCK, dtype=torch.uint8, device="cpu")
