"""Subcommands that only ask: status, items, predict, recommend, similar, me."""

from typing import Annotated, Any

import typer

from rpc.commands.output import block_text, number, print_facts, print_line, print_table, spread
from rpc.commands.session import session
from rpc.errors import RpcError
from rpc.failure import expecting
from rpc.service import RecommendOrder
from rpc.transactions import batch_results

LARGEST_ITEM = 2**64 - 1
PREDICTION_COLUMNS = ("item", "title", "mean", "std", "90% interval", "rated", "ratings")


def item_number(text: str) -> int:
    """Read the number of an item; people try its title, too."""
    if text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST_ITEM)) and int(text) <= LARGEST_ITEM:
        return int(text)
    raise typer.BadParameter(f"{text!r} is no item's number: `mfchain items` lists them")


Item = Annotated[int, typer.Argument(metavar="item", parser=item_number, help="The item's number.")]
Account = Annotated[
    str | None, typer.Option(help="Whom to ask about: an address or 0x and 64 digits; the signer without it.")
]


def status(context: typer.Context) -> None:
    """Show the node, its chain and its model."""
    here = session(context)
    names = ("system_chain", "system_chainType", "system_name", "system_version", "system_health")
    calls: list[tuple[str, list[object]]] = [(name, []) for name in names]
    calls += [("chain_getFinalizedHead", []), ("mf_model", [])]
    chain, kind, name, version, health, finalized_hash, model = batch_results(here.node, calls)
    finalized = here.call("chain_getHeader", finalized_hash)
    with expecting("status"):
        value = {
            "chain": chain,
            "chainType": kind,
            "node": {"name": name, "version": version},
            "health": health,
            "best": model["block"],
            "finalized": {"hash": finalized_hash, "number": int(finalized["number"], 16)},
            "model": model,
        }
        if here.as_json:
            here.print(value)
            return
        print_facts(
            {
                "chain": f"{chain} ({kind})",
                "node": f"{name} {version} at {here.settings.url}",
                "peers": f"{health['peers']}" + (", catching up" if health["isSyncing"] else ""),
                "best": block_text(model["block"]),
                "finalized": block_text({"hash": finalized_hash, "number": int(finalized["number"], 16)}),
                **_model_facts(model),
            }
        )


def _model_facts(model: Any) -> dict[str, str]:
    scale = model["scale"]
    state = "canonical" if model["canonical"] else f"{model['ratingsSinceEpoch']} ratings since the last epoch"
    return {
        "ratings": f"{model['ratings']} by {model['users']} users of {model['items']} items",
        "scale": f"{scale['min']} to {scale['max']}, step {scale['step']}",
        "model": f"{model['dimension']} dimensions, {state}",
        "digest": str(model["digest"]),
    }


def items(
    context: typer.Context,
    start: Annotated[int, typer.Option(min=0, max=LARGEST_ITEM, help="The first item's number.")] = 0,
    count: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
) -> None:
    """List items."""
    here = session(context)
    page = here.call("mf_items", start, count)
    if here.as_json:
        here.print(page)
        return
    with expecting("mf_items"):
        rows = [(one["item"], one["title"], one["ratings"], spread(one["bias"])) for one in page["items"]]
        total = page["total"]
    print_table(("item", "title", "ratings", "bias"), rows)
    print_line(f"{len(rows)} of {total} items")


def predict(
    context: typer.Context,
    item: Annotated[list[int], typer.Argument(metavar="item", parser=item_number, help="Items' numbers.")],
    account: Account = None,
) -> None:
    """Predict how the signer (or --account) would rate items."""
    here = session(context)
    who = here.account_hex(account)
    found = here.node.batch([("mf_predict", [who, one]) for one in item])
    for result in found:
        if isinstance(result, RpcError):
            raise result
    if here.as_json:
        here.print(found[0] if len(found) == 1 else found)
        return
    with expecting("mf_predict"):
        rows = [_prediction(one) for one in found]
        block = block_text(found[0]["block"])
    print_table(PREDICTION_COLUMNS, rows)
    print_line(f"at {block}")


def recommend(
    context: typer.Context,
    account: Account = None,
    count: Annotated[int, typer.Option(min=1, help="How many at most.")] = 10,
    order: Annotated[
        RecommendOrder, typer.Option(help="By the mean, or by it plus or minus one std.")
    ] = RecommendOrder.MEAN,
    include_rated: Annotated[bool, typer.Option("--include-rated", help="Also what was rated.")] = False,
    min_ratings: Annotated[int, typer.Option(min=0, help="Only items with this many ratings.")] = 0,
) -> None:
    """Recommend items to the signer (or --account)."""
    here = session(context)
    options = {"includeRated": include_rated, "minRatings": min_ratings, "order": order.value}
    found = here.call("mf_recommend", here.account_hex(account), count, options)
    if here.as_json:
        here.print(found)
        return
    with expecting("mf_recommend"):
        rows = [_prediction(one) for one in found]
    print_table(PREDICTION_COLUMNS, rows)
    if not rows:
        print_line("nothing to recommend: every item is rated already, or there is none")


def _prediction(one: Any) -> tuple[object, ...]:
    low, high = one["interval90"]
    return (
        one["item"],
        one["title"],
        number(one["mean"]),
        number(one["std"]),
        f"{number(low)} to {number(high)}",
        number(one["rated"]),
        one["itemRatings"],
    )


def similar(
    context: typer.Context,
    item: Item,
    count: Annotated[int, typer.Option(min=1, help="How many at most.")] = 10,
) -> None:
    """List the items most like one."""
    here = session(context)
    found = here.call("mf_similarItems", item, count)
    if here.as_json:
        here.print(found)
        return
    with expecting("mf_similarItems"):
        rows = [(one["item"], one["title"], number(one["similarity"])) for one in found]
    print_table(("item", "title", "similarity"), rows)


def me(context: typer.Context, account: Account = None) -> None:
    """Show the ratings of the signer (or --account) and what was learned from them."""
    here = session(context)
    user = here.call("mf_user", here.account_hex(account))
    if here.as_json:
        here.print(user)
        return
    with expecting("mf_user"):
        rows = [(one["item"], one["title"], one["rating"]) for one in user["ratings"]]
        facts = {
            "account": user["account"],
            "ratings": len(rows),
            "bias": spread(user["bias"]),
            "noise": number(user["noise"]),
            "at": block_text(user["block"]),
        }
    print_facts(facts)
    if rows:
        print_line("")
        print_table(("item", "title", "rating"), rows)
