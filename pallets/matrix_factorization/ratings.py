"""The ratings of one account, and what they were at the last freezes.

An epoch freezes the set of all ratings at the end of a block and learns from it while new ratings come in. Copying the
set would cost as much as the set; instead each list remembers what changed since. A list is divided into zones by the
generations in which its entries were appended. A zone record (generation g, mark, old) says: at freeze g the list was
`entries[:mark]`, but for the items in `old`, whose values were those. A list that has not changed since freeze g needs
no record for it: it is as it was.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from runtime.scale import I16, U32, Codec, Field, PackedArray, Struct, Tuple, Vec
from runtime.values import value

ENTRY = np.dtype([("item", "<u4"), ("rating", "<i2")])
Entries = npt.NDArray[np.void]

_MAX_ENTRIES = 1 << 16
_MAX_ZONES = 4
_NO_ENTRIES: Entries = np.empty(0, ENTRY)


@dataclass(frozen=True, slots=True)
class Zone:
    """What a list was at the freeze of a generation: `entries[:mark]`, overlaid with `old`."""

    generation: int
    mark: int
    old: Entries


@value
class RatingList:
    """The ratings of one account now, and its zone records by ascending generation."""

    entries: Entries
    zones: tuple[Zone, ...]

    def at_freeze(self, generation: int) -> Entries:
        """Return the ratings as they were at a freeze: the active one or one after it."""
        zone = self._zone(generation)
        if zone is None:
            return self.entries
        kept = self.entries[: zone.mark]
        return np.concatenate((kept[~np.isin(kept["item"], zone.old["item"])], zone.old))

    def has_changed_since(self, generation: int) -> bool:
        """Tell whether the list may differ from what it was at a freeze."""
        return self._zone(generation) is not None

    @property
    def old_values(self) -> int:
        """Return how many values of earlier freezes are remembered."""
        return sum(zone.old.size for zone in self.zones)

    def may_differ_in_half(self, generation: int, further: int = 0) -> bool:
        """Tell whether, after so many further changes, half as many items may differ from a freeze as it had.

        A bound that costs nothing: `difference` tells exactly.
        """
        zone = self._zone(generation)
        if zone is None:
            return 2 * further >= self.entries.size
        return 2 * (self.entries.size - zone.mark + zone.old.size + further) >= zone.mark

    def difference(self, generation: int) -> tuple[int, int]:
        """Return in how many items the list differs from the one at a freeze, and how long that one was."""
        zone = self._zone(generation)
        if zone is None:
            return 0, self.entries.size
        if zone.old.size == 0:
            return self.entries.size - zone.mark, zone.mark
        old = zone.old[zone.old["item"].argsort()]
        items, known = self.entries["item"], old["item"]
        place = known.searchsorted(items)
        place[place == old.size] = 0
        touched = known[place] == items
        restored = int(np.count_nonzero(touched & (old["rating"][place] == self.entries["rating"])))
        appended = self.entries.size - zone.mark - int(np.count_nonzero(touched[zone.mark :]))
        frozen = zone.mark - int(np.count_nonzero(touched[: zone.mark])) + old.size
        return appended + old.size - restored, frozen

    def _zone(self, generation: int) -> Zone | None:
        """Return the first zone record that tells of this freeze."""
        for zone in self.zones:
            if zone.generation >= generation:
                return zone
        return None


ENTRIES: Codec[Entries] = PackedArray(Vec(Tuple(U32, I16), _MAX_ENTRIES), ENTRY)
RATING_LIST: Codec[RatingList] = Struct(
    RatingList,
    (
        Field("entries", ENTRIES, "Vec<(ItemIndex, Rating)>"),
        Field(
            "zones",
            Vec(
                Struct(
                    Zone,
                    (
                        Field("generation", U32, "u32"),
                        Field("mark", U32, "u32"),
                        Field("old", ENTRIES, "Vec<(ItemIndex, Rating)>"),
                    ),
                    path=("pallet_matrix_factorization", "Zone"),
                ),
                _MAX_ZONES,
            ),
            "Vec<Zone>",
        ),
    ),
    path=("pallet_matrix_factorization", "RatingList"),
)
NO_RATINGS = RatingList(_NO_ENTRIES, ())


class RatingListEditor:
    """Changes one list in the generation `latest` (freezes so far), while the model is that of freeze `active`.

    `drift` counts how many more items differ from the latest freeze than before the edit.
    """

    def __init__(self, ratings: RatingList, latest: int, active: int, room: int) -> None:
        """Make a working copy with room for so many new entries."""
        self._length = ratings.entries.size
        self._entries = np.empty(self._length + room, ENTRY)
        self._entries[: self._length] = ratings.entries
        self._items = self._entries["item"]
        self._ratings = self._entries["rating"]
        self._zones = list(ratings.zones)
        # What each zone is to remember beside its `old`: ratings by item. Arrays that grew with each would be copied.
        self._fresh: list[dict[int, int]] = [{} for _ in ratings.zones]
        self._latest = latest
        self._active = active
        # The item that was asked for last, and where it stands: who asks for an item goes on to change it.
        self._found: tuple[int, int | None] = (-1, None)
        self.drift = 0

    def __len__(self) -> int:
        """Return the number of ratings."""
        return self._length

    def get(self, item: int) -> int | None:
        """Return the rating of an item, if there is one."""
        position = self._find(item)
        return None if position is None else int(self._ratings[position])

    def rate(self, item: int, rating: int) -> None:
        """Set the rating of an item."""
        position = self._find(item)
        before = None if position is None else int(self._ratings[position])
        if before == rating:
            return
        self._open_zone()
        frozen = self._frozen(item, position, before)
        if position is None:
            self._items[self._length] = item
            self._ratings[self._length] = rating
            self._found = (item, self._length)
            self._length += 1
        else:
            self._remember(position)
            self._ratings[position] = rating
        self.drift += (rating != frozen) - (before != frozen)

    def retract(self, item: int) -> None:
        """Remove the rating of an item, which there must be; fill the hole from the end of its zone, outward."""
        position = self._find(item)
        assert position is not None, "only what is there can be retracted"
        self._open_zone()
        before = int(self._ratings[position])
        frozen = self._frozen(item, position, before)
        self._remember(position)
        self._found = (-1, None)
        hole = position
        for index, zone in enumerate(self._zones):
            if zone.mark > hole:
                self._entries[hole] = self._entries[zone.mark - 1]
                hole = zone.mark - 1
                self._zones[index] = Zone(zone.generation, hole, zone.old)
        self._length -= 1
        self._entries[hole] = self._entries[self._length]
        self.drift += (frozen is not None) - (before != frozen)

    def finish(self) -> RatingList:
        """Return the changed list. The editor is of no use afterwards."""
        entries = self._entries if self._entries.size == self._length else self._entries[: self._length].copy()
        return RatingList(entries, tuple(map(_with_old_values, self._zones, self._fresh)))

    def _find(self, item: int) -> int | None:
        """Return where an item stands."""
        if self._found[0] != item:
            places = (self._items[: self._length] == item).nonzero()[0]
            self._found = (item, int(places[0]) if places.size else None)
        return self._found[1]

    def _open_zone(self) -> None:
        """Begin the zone of the latest generation with the first change, and drop what nothing asks for any more."""
        if not self._zones or self._zones[-1].generation != self._latest:
            kept = [index for index, zone in enumerate(self._zones) if zone.generation >= self._active]
            self._zones = [*(self._zones[index] for index in kept), Zone(self._latest, self._length, _NO_ENTRIES)]
            self._fresh = [*(self._fresh[index] for index in kept), {}]

    def _frozen(self, item: int, position: int | None, before: int | None) -> int | None:
        """Return the rating of an item at the latest freeze."""
        zone, fresh = self._zones[-1], self._fresh[-1].get(item)
        if fresh is not None:
            return fresh
        if zone.old.size:
            old = zone.old["rating"][zone.old["item"] == item]
            if old.size:
                return int(old[0])
        return before if position is not None and position < zone.mark else None

    def _remember(self, position: int) -> None:
        """Record the old value of an entry in every zone that it was part of and that has none for it yet."""
        item, rating = int(self._items[position]), int(self._ratings[position])
        for zone, fresh in zip(self._zones, self._fresh, strict=True):
            if position < zone.mark and item not in fresh and not np.any(zone.old["item"] == item):
                fresh[item] = rating


def _with_old_values(zone: Zone, values: dict[int, int]) -> Zone:
    """Return a zone that remembers these values behind those that it has."""
    if not values:
        return zone
    return Zone(zone.generation, zone.mark, np.concatenate((zone.old, np.array(list(values.items()), ENTRY))))
