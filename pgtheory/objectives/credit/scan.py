"""Linear recurrences that run backwards in time, in logarithmically many steps."""

import torch


def backward_scan(x: torch.Tensor, carry: torch.Tensor) -> torch.Tensor:
    r"""Solve :math:`y_t=x_t+c_ty_{t+1}`, :math:`y_T=0`, along the first axis.

    By doubling: after step k every :math:`y_t` holds its first :math:`2^k` terms. The same sums as the loop over
    time, in another order, so equal up to rounding.

    Parameters
    ----------
    x, carry : tensor [T, ...]
        Terms and coefficients :math:`c_t`; whatever ``carry`` holds at the last step multiplies zero.

    Returns
    -------
    tensor [T, ...]
    """
    reach = 1
    while reach < len(x):
        x = torch.cat([x[:-reach] + carry[:-reach] * x[reach:], x[-reach:]])
        carry = torch.cat([carry[:-reach] * carry[reach:], torch.zeros_like(carry[-reach:])])
        reach *= 2
    return x
