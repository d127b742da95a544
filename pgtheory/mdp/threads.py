"""Sharing a compiled loop over a batch between threads.

Plain threads rather than Numba's parallel loops: OpenMP workers spin after a loop and fight BLAS for the
cores, and some of Numba's threading layers forbid use from several Python threads. Each batch element is
computed by one thread alone, so results do not depend on the number of threads.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

WORTH_A_THREAD = 100_000  # floating-point operations


def over_batch(kernel: Callable[..., None], size: int, work: float, *arguments: Any) -> None:
    """Call ``kernel(lo, hi, *arguments)`` so that the ranges cover 0..size.

    ``work`` estimates the floating-point operations of one element. The number of threads is Numba's
    (``NUMBA_NUM_THREADS``), fewer where there is too little to do.
    """
    import numba

    n = int(min(numba.get_num_threads(), size, max(1.0, size * work / WORTH_A_THREAD)))
    if n == 1:
        kernel(0, size, *arguments)
        return
    cuts = [size * i // n for i in range(n + 1)]
    parts = [_pool().submit(kernel, lo, hi, *arguments) for lo, hi in pairwise(cuts[1:])]
    kernel(cuts[0], cuts[1], *arguments)
    for part in parts:
        part.result()


@cache
def _pool() -> ThreadPoolExecutor:
    import numba

    return ThreadPoolExecutor(numba.get_num_threads(), thread_name_prefix="pgtheory")
