"""Finding peers in the local network by mDNS."""

import contextlib
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Final

import trio
from zeroconf import InterfaceChoice, ServiceBrowser, ServiceInfo, ServiceStateChange, Zeroconf

from p2p.addresses import Address, AddressError, parse_address
from p2p.network import PeerId

logger = logging.getLogger(__name__)

_SERVICE: Final = "_mfchain._udp.local."
_LOOKUP_MS: Final = 3_000
_MAX_FOUND: Final = 64


class LocalDiscovery:
    """mDNS: says where this node is, and hears of the others of its chain.

    zeroconf lives in a thread of its own; only names cross over to trio, through a bounded channel.
    """

    def __init__(self, genesis: bytes, peer: PeerId, addresses: Sequence[Address]) -> None:
        self._genesis = genesis.hex()
        self._peer = peer
        texts = [f"{address.without_peer()}/p2p/{peer}" for address in addresses if not address.is_loopback]
        hosts = [address for address in addresses if not address.is_loopback and address.kind in ("ip4", "ip6")]
        properties = {"genesis": self._genesis}
        properties.update({f"dnsaddr{number}": text for number, text in enumerate(texts[:4])})
        self._info = ServiceInfo(
            _SERVICE,
            f"{peer}.{_SERVICE}",
            port=hosts[0].port if hosts else 0,
            properties=properties,
            server=f"{peer[-20:].lower()}.local.",
            addresses=[_packed(address) for address in hosts],
        )
        self._has_addresses = bool(texts)

    async def run(self, found: Callable[[PeerId, Address], None]) -> None:
        """Announces and listens until cancelled; a machine without multicast is not an error."""
        names_in, names = trio.open_memory_channel[str](_MAX_FOUND)
        token = trio.lowlevel.current_trio_token()

        def deliver(name: str) -> None:
            # A full channel: the name comes again with its next announcement.
            with contextlib.suppress(trio.WouldBlock, trio.BrokenResourceError):
                names_in.send_nowait(name)

        def changed(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
            if state_change is not ServiceStateChange.Removed:
                with contextlib.suppress(trio.RunFinishedError):
                    token.run_sync_soon(deliver, name)

        def start() -> tuple[Zeroconf, ServiceBrowser]:
            zeroconf = Zeroconf(interfaces=InterfaceChoice.All)
            if self._has_addresses:
                zeroconf.register_service(self._info, allow_name_change=True)
            return zeroconf, ServiceBrowser(zeroconf, _SERVICE, handlers=[changed])

        try:
            zeroconf, browser = await trio.to_thread.run_sync(start)
        except Exception as error:
            logger.warning("no mDNS: %s", error)
            return
        try:
            async for name in names:
                await self._look_up(zeroconf, name, found)
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(_stop, zeroconf, browser)

    async def _look_up(self, zeroconf: Zeroconf, name: str, found: Callable[[PeerId, Address], None]) -> None:
        try:
            info = await trio.to_thread.run_sync(zeroconf.get_service_info, _SERVICE, name, _LOOKUP_MS)
        except Exception as error:
            logger.debug("mDNS look-up of %s failed: %s", name, error)
            return
        if info is None:
            return
        properties = {key: value for key, value in info.decoded_properties.items() if isinstance(value, str)}
        if properties.get("genesis") != self._genesis:
            return
        for key, text in sorted(properties.items()):
            if not key.startswith("dnsaddr"):
                continue
            try:
                address = parse_address(text)
            except AddressError as error:
                logger.debug("mDNS: %s", error)
                continue
            if address.peer_id is not None and address.peer_id != self._peer:
                found(address.peer_id, address.without_peer())


def _packed(address: Address) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if address.kind == "ip6" else socket.AF_INET, address.host)


def _stop(zeroconf: Zeroconf, browser: ServiceBrowser) -> None:
    try:
        browser.cancel()
        zeroconf.close()
    except Exception as error:
        logger.debug("mDNS did not end in order: %s", error)
