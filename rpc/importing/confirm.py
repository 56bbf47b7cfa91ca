"""Comparing ratings with the chain's: a nonce tells that a transaction is in, not that it succeeded."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from rpc.client import RpcClient
from rpc.failure import CommandError, Failing, expecting
from rpc.importing.ratings_file import RatingsFile
from rpc.transactions import batch_results
from runtime.crypto import KeyPair
from runtime.primitives import to_hex

# Answers with the ratings of many users are kept well below what a node sends in one message.
RATINGS_A_QUESTION: Final = 10_000
USERS_A_QUESTION: Final = 100


def confirm(
    node: RpcClient,
    file: RatingsFile,
    pairs: Sequence[KeyPair],
    chain_items: Sequence[int],
    on_progress: Callable[[int], None],
) -> None:
    """See that the chain has each user's last rating of each item; `chain_items` belong to the file's items.

    Raises:
        CommandError: some are not there; how many, and the first of them.
    """
    expected = _expected(file)
    missing: list[tuple[int, int]] = []
    for users in _questions(expected):
        answers = batch_results(node, [("mf_user", [to_hex(pairs[user].public)]) for user in users])
        for user, answer in zip(users, answers, strict=True):
            with expecting("mf_user"):
                known = {int(one["item"]): int(one["rating"]) for one in answer["ratings"]}
            ratings = expected[user].items()
            missing += [(user, item) for item, rating in ratings if known.get(chain_items[item]) != rating]
        on_progress(users.stop)
    if missing:
        user, item = file.users[missing[0][0]], file.items[missing[0][1]]
        message = (
            f"{len(missing)} of {sum(map(len, expected))} ratings are not on the chain although their "
            f"transactions are in blocks, the first of them user {user}, item {item}"
        )
        data = {"missing": len(missing), "user": user, "item": item}
        raise CommandError(Failing.RATINGS_MISSING, message, data)


def _expected(file: RatingsFile) -> list[dict[int, int]]:
    """By user (an index): {item (an index): the last rating}."""
    expected: list[dict[int, int]] = [{} for _ in file.users]
    columns = (file.user_index.tolist(), file.item_index.tolist(), file.rating.tolist())
    for user, item, rating in zip(*columns, strict=True):
        expected[user][item] = rating
    return expected


def _questions(expected: Sequence[dict[int, int]]) -> Iterator[range]:
    """Consecutive users whose ratings go into one answer."""
    start, ratings = 0, 0
    for user, own in enumerate(expected):
        if user > start and (ratings + len(own) > RATINGS_A_QUESTION or user - start >= USERS_A_QUESTION):
            yield range(start, user)
            start, ratings = user, 0
        ratings += len(own)
    yield range(start, len(expected))
