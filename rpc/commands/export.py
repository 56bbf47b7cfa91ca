"""The subcommand export-model: everything learned at one block, as a NumPy archive."""

import os
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import orjson
import typer
from rich.progress import track

from rpc.client import RpcClient
from rpc.commands.output import bars_hidden, block_text, print_line, progress_console
from rpc.commands.session import session
from rpc.failure import CommandError, Failing, expecting
from rpc.transactions import batch_results

PAGE = 500


def export_model(
    context: typer.Context, file: Annotated[Path, typer.Argument(help="The file to write, *.npz.")]
) -> None:
    """Write the items' posteriors, the hyperparameters and the digest at one block to FILE."""
    here = session(context)
    model = here.call("mf_model")
    with expecting("mf_model"):
        at = str(model["block"]["hash"])
        dimension = int(model["dimension"])
    details = list(_items(here.node, at, quiet=here.as_json))
    with expecting("mf_item"):
        arrays = _arrays(details, dimension) | _model_arrays(model)
    _write(file, arrays)
    if here.as_json:
        here.print({"file": str(file), "items": len(details), "digest": model["digest"], "block": model["block"]})
        return
    print_line(f"{file}: {len(details)} items, digest {model['digest']}, {block_text(model['block'])}")


def _items(node: RpcClient, at: str, *, quiet: bool) -> list[Any]:
    """What the model knows of each item, ascending."""
    page = node.call("mf_items", 0, PAGE, at)
    numbers: list[int] = []
    with expecting("mf_items"):
        total = int(page["total"])
        while page["items"]:
            numbers += [int(one["item"]) for one in page["items"]]
            if len(numbers) >= total:
                break
            page = node.call("mf_items", numbers[-1] + 1, PAGE, at)
    found: list[Any] = []
    pages = [numbers[start : start + PAGE] for start in range(0, len(numbers), PAGE)]
    target = progress_console(quiet=quiet)
    for part in track(pages, "reading items", console=target, transient=True, disable=bars_hidden(target)):
        found += batch_results(node, [("mf_item", [one, at]) for one in part])
    return found


def _arrays(details: list[Any], dimension: int) -> dict[str, Any]:
    """Shapes: N items, D dimensions; means and standard deviations on the internal scale [-1, 1]."""
    shape = (len(details), len(details[0]["features"]["mean"]) if details else dimension)
    features = {
        name: np.array([one["features"][name] for one in details], dtype=np.float64).reshape(shape)
        for name in ("mean", "std")
    }
    return {
        "items": np.array([int(one["item"]) for one in details], dtype=np.uint64),
        "titles": np.array([one["title"] for one in details], dtype=np.str_),
        "ratings": np.array([one["ratings"] for one in details], dtype=np.int64),
        "bias_mean": np.array([one["bias"]["mean"] for one in details], dtype=np.float64),
        "bias_std": np.array([one["bias"]["std"] for one in details], dtype=np.float64),
        "features_mean": features["mean"],
        "features_std": features["std"],
        **_posteriors(details, shape[1] + 1),
    }


def _posteriors(details: list[Any], width: int) -> dict[str, Any]:
    """Whole posteriors of [bias, features]. Shapes: mean (N, D + 1), covariance (N, D + 1, D + 1)."""
    rows, columns = np.triu_indices(width)
    scales = np.array([2.0 ** -int(one["raw"]["fractionalBits"]) for one in details])
    mean = np.array([one["raw"]["mean"] for one in details], np.float64).reshape(len(details), width)
    packed = np.array([one["raw"]["covariance"] for one in details], np.float64).reshape(len(details), rows.size)
    covariance = np.zeros((len(details), width, width))
    covariance[:, rows, columns] = covariance[:, columns, rows] = packed * scales[:, None]
    return {"mean": mean * scales[:, None], "covariance": covariance}


def _model_arrays(model: Any) -> dict[str, Any]:
    """What holds for the whole model; hyperparameters one array each, and the node's whole answer as JSON."""
    numeric = {
        f"hyper_{name}": np.asarray(value, dtype=np.float64)
        for name, value in model["hyperparameters"].items()
        if isinstance(value, int | float | list)
    }
    return numeric | {
        "block_hash": np.array(str(model["block"]["hash"])),
        "block_number": np.array(int(model["block"]["number"]), dtype=np.int64),
        "digest": np.array(str(model["digest"])),
        "model": np.array(orjson.dumps(model).decode()),
    }


def _write(path: Path, arrays: dict[str, Any]) -> None:
    """Write a whole file or none."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise CommandError(Failing.FILE_FAILED, f"{path} cannot be written: {error.strerror}") from error
