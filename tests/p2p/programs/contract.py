"""Tells the stories of the contract with real networks on loopback; prints how each ended.

A program of its own since libp2p leaves sockets to the garbage collector, which a test run takes for a defect.
"""

import json
import os
import sys
import traceback
from dataclasses import replace

import trio

from p2p.host import Libp2pNetwork
from tests.p2p import contract


class Loopback:
    """Networks that know those made before them."""

    def __init__(self) -> None:
        self._made: list[Libp2pNetwork] = []

    def network(self, name: str) -> Libp2pNetwork:
        addresses = [address for one in self._made for address in one.listen_addresses()]
        config = replace(contract.CONFIG, node_key=name.encode().ljust(32, b"."), bootnodes=tuple(addresses))
        self._made.append(Libp2pNetwork(config))
        return self._made[-1]


def main() -> None:
    for name in json.loads(sys.argv[1])["stories"]:
        result = "as agreed"
        try:
            trio.run(contract.tell, contract.STORIES[name], Loopback())
        except BaseException:
            result = traceback.format_exc()
        sys.stdout.write(json.dumps({"event": "told", "story": name, "result": result}) + "\n")
        sys.stdout.flush()
    os._exit(0)  # what libp2p has left to the garbage collector ends here


if __name__ == "__main__":
    main()
