"""Registering a file's items, and finding which items of the chain they are.

The chain numbers items by itself, and titles need not be unique. So items are told apart by who registered
them: the import has an account of its own for that. A file's items of one title, ascending, are the chain's
items of that title by this account, ascending. That holds however often an import was interrupted, and for a
second file with the same titles, which registers nothing twice.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rpc.client import RpcClient
from rpc.failure import CommandError, Failing, expecting
from rpc.importing.link import Link
from rpc.importing.sender import Bounds, Lane, Sender, Work, stored_nonces
from rpc.transactions import batch_results, register_item
from runtime.crypto import KeyPair
from runtime.keys import parse_account

PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Found:
    """The file's items on the chain, {file id: chain id}, and the registrar's nonce in the same state."""

    mapping: Mapping[int, int]
    nonce: int


def find_items(node: RpcClient, registrar: KeyPair, titles: Mapping[int, str]) -> Found:
    """Look through the best block's items for the file's; `titles` by the file's ids.

    Items and nonce are of one block, so that a registration is either in both or in neither.
    """
    at = str(node.call("chain_getBlockHash"))
    (nonce,) = stored_nonces(node, [registrar], at)
    wanted = set(titles.values())
    candidates: list[tuple[int, str]] = []
    start = 0
    while nonce:
        page = node.call("mf_items", start, PAGE, at)
        with expecting("mf_items"):
            listed = [(int(one["item"]), str(one["title"])) for one in page["items"]]
            total = int(page["total"])
        if not listed:
            break
        candidates += [one for one in listed if one[1] in wanted]
        start = listed[-1][0] + 1
        if start >= total:
            break
    return Found(_match(titles, _registered_by(node, registrar, candidates)), nonce)


def _registered_by(node: RpcClient, registrar: KeyPair, candidates: Sequence[tuple[int, str]]) -> dict[str, list[int]]:
    """The candidates that this account registered: chain ids by title, ascending."""
    own: dict[str, list[int]] = defaultdict(list)
    for start in range(0, len(candidates), PAGE):
        part = candidates[start : start + PAGE]
        details = batch_results(node, [("mf_item", [item]) for item, _ in part])
        with expecting("mf_item"):
            for (item, title), detail in zip(part, details, strict=True):
                by = detail["registrar"]
                if by is not None and parse_account(by) == registrar.public:
                    own[title].append(item)
    return own


def _match(titles: Mapping[int, str], own: Mapping[str, Sequence[int]]) -> dict[int, int]:
    used: dict[str, int] = defaultdict(int)
    mapping: dict[int, int] = {}
    for file_item in sorted(titles):
        title = titles[file_item]
        place = used[title]
        used[title] += 1
        if place < len(own.get(title, ())):
            mapping[file_item] = own[title][place]
    return mapping


def ensure_items(
    link: Link,
    registrar: KeyPair,
    titles: Mapping[int, str],
    on_progress: Callable[[int], None],
    bounds: Bounds | None = None,
) -> dict[int, int]:
    """Register what is missing, in numeric order of the file's ids; the whole mapping {file id: chain id}.

    Raises:
        CommandError: the chain takes no more items.
    """
    found = find_items(link.node, registrar, titles)
    on_progress(len(found.mapping))
    while missing := [item for item in sorted(titles) if item not in found.mapping]:
        already = len(found.mapping)
        lane = Lane(registrar, found.nonce, range(len(missing)))
        calls = [register_item(titles[item]) for item in missing]
        ones = [1] * len(missing)
        work = Work([lane], [0] * len(missing), ones, [0] * len(missing), calls.__getitem__)
        report = _offset(on_progress, already)
        Sender(link, work, bounds or Bounds(), on_progress=report).run()
        found = find_items(link.node, registrar, titles)
        if len(found.mapping) == already:
            title = titles[missing[0]]
            message = f"the chain did not register {len(missing)} items, the first of them {title!r}"
            raise CommandError(Failing.ITEMS_REFUSED, message, {"item": missing[0], "title": title})
        on_progress(len(found.mapping))
    return dict(found.mapping)


def _offset(report: Callable[[int], None], by: int) -> Callable[[int], None]:
    return lambda count: report(count + by)
