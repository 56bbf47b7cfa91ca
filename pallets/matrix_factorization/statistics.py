"""Exact integer sums over lists of ratings.

Sums do not depend on the order of a list, on chunks or on threads, and what was added can be subtracted without a trace.
Lists are in compressed form: the entries of segment k are pointers[k] to pointers[k + 1] of `index` (line of the table)
and `ratings` (units of 1/128, |r| <= 128). Layouts of lines: `posterior`.

Bounds: table entries are below 2^31, so one visit adds less than 2^39 + 2^38 to a Q27 sum. A user's sums stay below 2^55
up to 2^15 ratings; an item's below 2^62 up to 2^23 raters that are all clipped.
"""

from __future__ import annotations

import numpy as np

from pallets.matrix_factorization.fixed_point import FRACTION_BITS, I64, UNIT_BITS, UNITS

MAX_USER_RATINGS = 2**15
MAX_ITEM_RATERS = 2**23

_CHUNK = 2_000
"""Visits gathered at a time: they fit a core's second cache. Any value gives the same sums."""


def pointers_of(counts: I64) -> I64:
    """Where each segment of so many entries begins, and the end. Shapes: (S,) -> (S + 1,)."""
    pointers = np.zeros(counts.shape[0] + 1, np.int64)
    np.cumsum(counts, out=pointers[1:])
    return pointers


def gather_sums(table: I64, index: I64, ratings: I64, pointers: I64, weighted: int) -> tuple[I64, I64]:
    """Sums of table lines over each segment, and of the first `weighted` columns times the rating.

    Shapes: table (N, W), index (M,), ratings (M,), pointers (S + 1,); result (S, W), (S, weighted). An empty segment
    sums to zero. Chunks cut through segments, so a long list costs no more memory than a short one.
    """
    segments = pointers.shape[0] - 1
    plain = np.zeros((segments, table.shape[1]), np.int64)
    products = np.zeros((segments, weighted), np.int64)
    # reduceat gives an empty segment its neighbour's first line, so empty ones are left out.
    filled = np.flatnonzero(pointers[1:] > pointers[:-1])
    if filled.size == 0:
        return plain, products
    bounds = np.append(pointers[filled], pointers[-1])
    first = 0
    for begin in range(int(bounds[0]), int(bounds[-1]), _CHUNK):
        end = min(begin + _CHUNK, int(bounds[-1]))
        last = int(np.searchsorted(bounds, end, side="left"))
        starts = np.maximum(bounds[first:last], begin) - begin
        lines = np.take(table, index[begin:end], axis=0)
        target = filled[first:last]
        plain[target] += np.add.reduceat(lines, starts, axis=0)
        scaled = lines[:, :weighted] * ratings[begin:end, None]
        products[target] += np.add.reduceat(scaled, starts, axis=0)
        first = last - 1 if bounds[last] > end else last
    return plain, products


def user_statistics(rows: I64, index: I64, ratings: I64, pointers: I64, width: int) -> I64:
    """What each user's list tells about the user. Shapes: rows (I, P + D + 1) of items; result (U, P + D + 1).

    At most MAX_USER_RATINGS entries a segment.
    """
    packed = rows.shape[1] - width - 1
    plain, products = gather_sums(rows, index, ratings, pointers, width + 1)
    statistics = np.empty_like(plain)
    statistics[:, :packed] = plain[:, 1 : packed + 1]
    linear = statistics[:, packed : packed + width]
    linear[...] = products[:, 1:]
    linear[:, 0] -= plain[:, 0] << UNIT_BITS
    linear[:, 1:] -= plain[:, packed + 1 : packed + width] << UNIT_BITS
    squares = segment_sums(ratings * ratings, pointers) << (FRACTION_BITS - UNIT_BITS)
    statistics[:, -1] = squares - 2 * products[:, 0] + (plain[:, -1] << UNIT_BITS)
    return statistics


def segment_sums(values: I64, pointers: I64) -> I64:
    """Sums of a flat array over each segment."""
    running = np.zeros(values.shape[0] + 1, np.int64)
    np.cumsum(values, out=running[1:])
    return running[pointers[1:]] - running[pointers[:-1]]


def item_statistics(contributions: I64, raters: I64, ratings: I64, pointers: I64, width: int) -> I64:
    """T: the sum of what its raters contribute to each item. Shapes: contributions (U, P + D); result (I, P + D).

    At most MAX_ITEM_RATERS entries a segment.
    """
    packed = contributions.shape[1] - width
    statistics, products = gather_sums(contributions, raters, ratings, pointers, width)
    statistics[:, packed:] *= -UNITS
    statistics[:, packed:] += products
    return statistics


def item_changes(
    contributions: I64, raters: I64, items: I64, ratings: I64, width: int
) -> tuple[I64, I64]:
    """Sums for the items that a set of visits touches: the ascending items (n,), and what to add to their T (n, P + D).

    Visit k is the rater in line raters[k] of `contributions` rating line items[k] of T. What a rater no longer contributes
    enters as a line of negated contributions.
    """
    order = np.argsort(items)
    ordered = items[order]
    firsts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if ordered.size else order
    pointers = np.append(firsts, ordered.size)
    sums = item_statistics(contributions, raters[order], ratings[order], pointers, width)
    return ordered[firsts], sums


