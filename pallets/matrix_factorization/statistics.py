"""Exact integer sums over lists of ratings.

Sums do not depend on the order of a list, on how the work is cut or on threads, and what was added can be
taken back without a trace. Lists come joined: the entries of list k are pointers[k] to pointers[k + 1] of
`index` (a line of the table that is summed) and `ratings` (units of 1/128, |r| <= 128). Layouts of lines:
`posterior`.

Bounds: table entries are below 2^31, so a visit adds less than 2^39 to B and b and 2^40 to s. A user's sums
stay below 2^55 up to 2^15 ratings, an item's up to 2^62 for 2^23 raters that are all clipped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pallets.matrix_factorization.fixed_point import FRACTION_BITS, I64, UNIT_BITS

MAX_USER_RATINGS = 2**15
MAX_ITEM_RATERS = 2**23

# How the work is cut. Any values give the same sums; these keep a block's sums in a core's second cache.
_BLOCK = 1_024
_NARROW = 64
_CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class RatingSet:
    """Ratings of U users, as joined lists.

    Shapes: pointers (U + 1,), items (M,) ids of 32 bits, ratings (M,) in units of 1/128. A list may have any
    order, but no item twice. A user's place in the set reaches no result.
    """

    pointers: I64
    items: I64
    ratings: I64


@dataclass(frozen=True, slots=True)
class _Block:
    """Lists summed side by side: one gather takes the next entry of each, longest lists first.

    lists (n,); index and ratings: the first entries of all, then the second ones, and so on, `widths` of
    them.
    """

    lists: I64
    index: I64
    ratings: I64
    widths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Arranged:
    """Joined lists in the order in which they are summed, for any table. Made by `arrange`.

    Where fewer than 64 lists of a block go on, their ends are left to `tail_*`, summed one list after the
    other.
    """

    squares: I64
    blocks: tuple[_Block, ...]
    tail_lists: I64
    tail_pointers: I64
    tail_index: I64
    tail_ratings: I64


def pointers_of(counts: I64) -> I64:
    """Where each list of so many entries begins, and the end. Shapes: (S,) -> (S + 1,)."""
    pointers = np.zeros(counts.shape[0] + 1, np.int64)
    np.cumsum(counts, out=pointers[1:])
    return pointers


def _spread(counts: I64) -> tuple[I64, I64]:
    """For so many entries in each group: the group of every entry, and its place in it."""
    groups = np.repeat(np.arange(counts.size), counts)
    return groups, np.arange(groups.size) - pointers_of(counts)[groups]


def arrange(index: I64, ratings: I64, pointers: I64) -> Arranged:
    """Prepare joined lists for summing. Costs less than one pass; empty lists sum to zero."""
    counts = np.diff(pointers)
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    blocks, tails, tail_counts, tail_entries = [], [], [], []
    for start in range(0, order.size, _BLOCK):
        lists = order[start : start + _BLOCK]
        lengths, first = counts[lists], pointers[lists]
        depth = int(lengths[_NARROW - 1]) if lists.size >= _NARROW else 0
        # Lengths descend: the lists longer than k are the first so many.
        widths = np.searchsorted(-lengths, -np.arange(depth), side="left")
        step, place = _spread(widths)
        entries = first[place] + step
        blocks.append(_Block(lists, index[entries], ratings[entries], tuple(widths.tolist())))
        left = np.maximum(lengths - depth, 0)
        owner, place = _spread(left)
        tails.append(lists)
        tail_counts.append(left)
        tail_entries.append(first[owner] + depth + place)
    tail_lists, tail_lengths = _joined(tails), _joined(tail_counts)
    entries = _joined(tail_entries)
    return Arranged(
        squares=_flat_sums(ratings * ratings, pointers),
        blocks=tuple(blocks),
        tail_lists=tail_lists[tail_lengths > 0],
        tail_pointers=pointers_of(tail_lengths[tail_lengths > 0]),
        tail_index=index[entries],
        tail_ratings=ratings[entries],
    )


def _joined(parts: list[I64]) -> I64:
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _flat_sums(values: I64, pointers: I64) -> I64:
    """Sums of a flat array over each list."""
    running = pointers_of(values)
    return running[pointers[1:]] - running[pointers[:-1]]


def list_sums(table: I64, lists: Arranged, weighted: int) -> tuple[I64, I64]:
    """Sums of table lines over each list, and of their first `weighted` columns times the rating.

    Shapes: table (N, W); result (S, W), (S, weighted).
    """
    count = lists.squares.size
    plain = np.zeros((count, table.shape[1]), np.int64)
    products = np.zeros((count, weighted), np.int64)
    for block in lists.blocks:
        block_plain = np.zeros((block.lists.size, table.shape[1]), np.int64)
        block_products = np.zeros((block.lists.size, weighted), np.int64)
        begin = 0
        for size in block.widths:
            end = begin + size
            lines = table.take(block.index[begin:end], axis=0)
            block_plain[:size] += lines
            block_products[:size] += lines[:, :weighted] * block.ratings[begin:end, None]
            begin = end
        plain[block.lists] = block_plain
        products[block.lists] = block_products
    _add_tails(table, lists, plain, products)
    return plain, products


def _add_tails(table: I64, lists: Arranged, plain: I64, products: I64) -> None:
    """Add the tails in chunks that cut through lists, so that a long list costs no more memory."""
    pointers = lists.tail_pointers
    weighted = products.shape[1]
    first = 0
    for begin in range(0, int(pointers[-1]), _CHUNK):
        end = min(begin + _CHUNK, int(pointers[-1]))
        last = int(np.searchsorted(pointers, end, side="left"))
        # No list here is empty: reduceat would give an empty one its neighbour's first line.
        starts = np.maximum(pointers[first:last], begin) - begin
        lines = table.take(lists.tail_index[begin:end], axis=0)
        targets = lists.tail_lists[first:last]
        plain[targets] += np.add.reduceat(lines, starts, axis=0)
        scaled = lines[:, :weighted] * lists.tail_ratings[begin:end, None]
        products[targets] += np.add.reduceat(scaled, starts, axis=0)
        first = last - 1 if pointers[last] > end else last


def user_statistics_of(rows: I64, lists: Arranged, width: int) -> I64:
    """What each list tells about its user. Shapes: rows (I, P + D + 1) of items; result (U, P + D + 1).

    At most MAX_USER_RATINGS entries a list.
    """
    packed = rows.shape[1] - width - 1
    plain, products = list_sums(rows, lists, width + 1)
    statistics = np.empty_like(plain)
    statistics[:, :packed] = plain[:, 1 : packed + 1]
    linear = statistics[:, packed : packed + width]
    linear[...] = products[:, 1:]
    linear[:, 0] -= plain[:, 0] << UNIT_BITS
    linear[:, 1:] -= plain[:, packed + 1 : packed + width] << UNIT_BITS
    squares = lists.squares << (FRACTION_BITS - UNIT_BITS)
    statistics[:, -1] = squares - 2 * products[:, 0] + (plain[:, -1] << UNIT_BITS)
    return statistics


def user_statistics(rows: I64, index: I64, ratings: I64, pointers: I64, width: int) -> I64:
    """The same for lists that are summed only once: `index` holds lines of `rows`."""
    return user_statistics_of(rows, arrange(index, ratings, pointers), width)


def item_statistics_of(contributions: I64, raters: Arranged, width: int) -> I64:
    """T: the sum of what its raters contribute to each item.

    Shapes: contributions (U, P + D); result (I, P + D). At most MAX_ITEM_RATERS entries a list.
    """
    packed = contributions.shape[1] - width
    statistics, products = list_sums(contributions, raters, width)
    linear = statistics[:, packed:]
    np.subtract(products, linear << UNIT_BITS, out=linear)
    return statistics


def item_changes(contributions: I64, raters: I64, items: I64, ratings: I64, width: int) -> tuple[I64, I64]:
    """What a set of visits adds to T: the ascending items (n,) that it touches, and their sums (n, P + D).

    Visit k: the rater in line raters[k] of `contributions` gives ratings[k] to item items[k]. What a rater no
    longer contributes enters as a line of negated contributions.
    """
    order = np.argsort(items)
    ordered = items[order]
    firsts = np.flatnonzero(np.diff(ordered, prepend=-1))
    pointers = np.append(firsts, ordered.size)
    lists = arrange(raters[order], ratings[order], pointers)
    return ordered[firsts], item_statistics_of(contributions, lists, width)


def exchange(before: I64, after: I64, old: RatingSet, new: RatingSet, width: int) -> tuple[I64, I64, I64]:
    """What T changes by when U users' contributions and lists change: as `item_changes`, and equal to it.

    Third: by how many the raters (n,) of these items change. Source: docs/inference.md, eq. 9.

    Shapes: before and after (U, P + D), zero lines for users without a rating. An entry that stays in its
    place of the list is visited once, with the difference, and not at all if the user contributes as before.
    """
    users = before.shape[0]
    changed = np.any(before != after, axis=1)
    owner, at_new, leaves, arrives = _compared(old, new)
    stays = at_new[changed[owner]]
    old_owner, new_owner = _owners(old), _owners(new)
    ids, sums = item_changes(
        np.concatenate((-before, after, after - before)),
        np.concatenate((old_owner[leaves], new_owner[arrives] + users, new_owner[stays] + 2 * users)),
        np.concatenate((old.items[leaves], new.items[arrives], new.items[stays])),
        np.concatenate((old.ratings[leaves], new.ratings[arrives], new.ratings[stays])),
        width,
    )
    come, gone = (
        np.bincount(np.searchsorted(ids, items), minlength=ids.size)
        for items in (new.items[arrives], old.items[leaves])
    )
    return ids, sums, come - gone


def differing_items(old: RatingSet, new: RatingSet) -> I64:
    """The items (n,), ascending, that some of U users rate in one of two sets only, or not the same in both."""
    _, _, leaves, arrives = _compared(old, new)
    owners = np.concatenate((_owners(old)[leaves], _owners(new)[arrives]))
    items = np.concatenate((old.items[leaves], new.items[arrives]))
    ratings = np.concatenate((old.ratings[leaves], new.ratings[arrives]))
    order = np.lexsort((ratings, items, owners))
    owners, items, ratings = owners[order], items[order], ratings[order]
    # What has only moved within its list is here twice.
    moved = (owners[1:] == owners[:-1]) & (items[1:] == items[:-1]) & (ratings[1:] == ratings[:-1])
    differs = np.ones(items.size, np.bool_)
    differs[1:] &= ~moved
    differs[:-1] &= ~moved
    return np.unique(items[differs])


def _owners(ratings: RatingSet) -> I64:
    """The user of each entry. Shape (M,)."""
    return _spread(np.diff(ratings.pointers))[0]


def _compared(old: RatingSet, new: RatingSet) -> tuple[I64, I64, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Compare two sets of the same U users, place by place.

    Shapes: of the entries that stay in their place of the list, the users (n,) and where they stand in the new set
    (n,); for each entry of the old set and of the new one, whether it is none of these (M,).
    """
    owner, place = _spread(np.minimum(np.diff(old.pointers), np.diff(new.pointers)))
    at_old, at_new = old.pointers[owner] + place, new.pointers[owner] + place
    same = (old.items[at_old] == new.items[at_new]) & (old.ratings[at_old] == new.ratings[at_new])
    leaves, arrives = np.ones(old.items.size, np.bool_), np.ones(new.items.size, np.bool_)
    leaves[at_old[same]] = arrives[at_new[same]] = False
    return owner[same], at_new[same], leaves, arrives
