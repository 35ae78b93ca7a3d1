"""Prints the tables VALUES and DIFFERENCES of discrete_gaussian.rs, in decimal arithmetic of 120 digits.

I_t(z) is summed from its power series (Abramowitz & Stegun 9.6.10); the differences are written out.
"""

from decimal import Decimal, getcontext
from functools import lru_cache

getcontext().prec = 120


@lru_cache(maxsize=None)
def analogue(t, sigma):
    """T(t; sigma) = exp(-sigma^2) I_t(sigma^2)."""
    z = sigma * sigma
    half, t = z / 2, abs(t)
    term = Decimal(1)
    for k in range(1, t + 1):
        term = term * half / k
    total, k = Decimal(0), 0
    while k <= z or term > total * Decimal(10) ** -110:
        total += term
        k += 1
        term = term * half * half / (k * (k + t))
    return total * (-z).exp()


def difference(n, t, sigma):
    """The n-th central difference of T at t."""
    if n >= 2:
        return difference(n - 2, t - 1, sigma) - 2 * difference(n - 2, t, sigma) + difference(n - 2, t + 1, sigma)
    if n == 1:
        return (analogue(t + 1, sigma) - analogue(t - 1, sigma)) / 2
    return analogue(t, sigma)


print("VALUES")
for sigma in map(Decimal, ["0.05", "0.5", "1.0", "3.0", "10.0", "20.0", "100.0"]):
    for t in sorted({0, 1, 5, int(3 * sigma), int(6 * sigma)}):
        print(f"    ({sigma}, {t}, {float(analogue(t, sigma))!r}),")
print("DIFFERENCES")
for sigma in map(Decimal, ["0.5", "2.0", "20.0", "50.0"]):
    for n in [1, 2, 5, 8, 10]:
        for t in sorted({1, 2, int(Decimal("1.5") * sigma)} - {0}):
            print(f"    ({sigma}, {n}, {t}, {float(sigma**n * difference(n, t, sigma))!r}),")
