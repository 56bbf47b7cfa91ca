"""Guards around gossip: how it is read, judged, passed on and written, and what it remembers."""

from collections import Counter
from collections.abc import Callable, Collection
from typing import Any, Final

import trio
from google.protobuf.message import DecodeError
from libp2p.abc import IMuxedConn, INetStream
from libp2p.network.exceptions import SwarmException
from libp2p.network.stream.exceptions import StreamClosed, StreamError
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.pubsub.rpc_queue import RpcQueue
from libp2p.pubsub.utils import safe_bytes_from_hex
from libp2p.pubsub.validators import signature_validator

from p2p.budget import Budgets
from p2p.config import NetworkConfig
from p2p.faults import Faults
from p2p.guards.isolation import IsolatedManager, Report
from p2p.muxer import BufferedReader, direct
from p2p.network import Misbehaviour, PeerId, Verdict
from p2p.validation import Deliver, Validation

_QUEUE_SIZE: Final = 256
_MAX_IDS: Final = 1_000
_MAX_SUBSCRIPTIONS: Final = 16


def _is_signed(msg: rpc_pb2.Message) -> bool:
    """Whether the signature is good; a key that does not decode, at which libp2p raises, signs nothing."""
    try:
        return bool(signature_validator(msg))
    except Exception:
        return False


class GuardedPubsub(Pubsub):
    """Gossip that reads with a buffer, within a budget, and hands messages over itself."""

    def __init__(
        self,
        host: Any,
        router: "GuardedGossipSub",
        config: NetworkConfig,
        topics: Collection[str],
        *,
        faults: Faults,
        report: Report,
        budgets: Budgets,
        admitted: Callable[[PeerId], bool],
        deliver: Deliver,
    ) -> None:
        # What one RPC may hold: a message of the largest size and its envelope, or several small ones.
        super().__init__(
            host,
            router,
            strict_signing=True,
            allowed_topics=frozenset(topics),
            max_inbound_rpc_size=2 * config.max_gossip,
        )
        self._config = config
        self._mesh = router
        self._faults = faults
        self._report = report
        self._budgets = budgets
        self._admitted = admitted
        self._validation = Validation(deliver, config.max_verdicts, config.timing.verdict, faults)
        self._reading: Counter[ID] = Counter()
        """How many streams a peer writes to us on."""

    @property
    def manager(self) -> Any:
        """The isolated task manager."""
        return IsolatedManager(self._manager, "gossip", self._faults)

    async def continuously_read_stream(self, stream: INetStream) -> None:
        """Reads a peer's gossip until its stream ends or breaks a rule."""
        peer_id = stream.muxed_conn.peer_id
        peer = PeerId(str(peer_id))
        reader = BufferedReader(direct(stream))
        budget = self._budgets.of(peer)
        self._reading[peer_id] += 1
        try:
            while (raw := await reader.frame(self.max_inbound_rpc_size)) is not None:
                rpc = rpc_pb2.RPC()
                rpc.ParseFromString(raw)
                await self._handle_rpc(peer_id, peer, rpc)
                wait = budget.charge(len(raw), max(1, len(rpc.publish)))
                if wait > 0:
                    if budget.is_flood():
                        self._report(peer, Misbehaviour.FLOOD, "more gossip than its budget")
                    await trio.sleep(min(wait, 5.0))
        except StreamError:
            return  # the connection's end, or the peer's reset
        except (DecodeError, ValueError, UnicodeError) as error:
            self._faults.noted("undecodable gossip")
            self._report(peer, Misbehaviour.BAD_MESSAGE, f"gossip that does not decode: {error}"[:200])
            await stream.reset()
            self._handle_dead_peer(peer_id)
        finally:
            self._reading[peer_id] -= 1
            if not self._reading[peer_id]:
                del self._reading[peer_id]
                if peer_id not in self.peers:
                    self._forget_all_subscriptions(peer_id)

    def _forget_all_subscriptions(self, peer_id: ID) -> None:
        # A peer says once on each stream what it subscribes to: that holds for as long as it has one open.
        if peer_id not in self._reading:
            super()._forget_all_subscriptions(peer_id)

    async def _handle_rpc(self, peer_id: ID, peer: PeerId, rpc: rpc_pb2.RPC) -> None:
        if len(rpc.subscriptions) > _MAX_SUBSCRIPTIONS:
            self._report(peer, Misbehaviour.FLOOD, f"{len(rpc.subscriptions)} subscriptions at once")
        else:
            for subscription in rpc.subscriptions:
                self.handle_subscription(peer_id, subscription)
        if rpc.HasField("control"):
            self._bound_control(rpc.control)
            rpc.ClearField("senderRecord")
            await self.router.handle_rpc(rpc, peer_id)
        for message in rpc.publish:
            await self._take_message(peer_id, peer, message)

    async def _take_message(self, peer_id: ID, peer: PeerId, msg: rpc_pb2.Message) -> None:
        """Has a message validated beside everything else, as soon as its peer has a place for it."""
        if not self._admitted(peer) or self._is_known(msg, peer):
            return
        leave_place = await self._validation.take_place(peer)

        async def validate() -> None:
            try:
                if self._admitted(peer):
                    await self.push_msg(peer_id, msg)
            finally:
                leave_place()

        self.manager.run_task(validate)

    def _bound_control(self, control: rpc_pb2.ControlMessage) -> None:
        """Leaves what concerns our topics, a bounded number of message ids, and no addresses to dial."""
        topics = self.allowed_topics or frozenset()
        fields: tuple[Any, ...] = (control.graft, control.prune, control.ihave)
        for field in fields:
            kept = {entry.topicID: entry for entry in field if entry.topicID in topics}
            del field[:]
            field.extend(kept.values())
        for prune in control.prune:
            del prune.peers[:]
            prune.backoff = min(prune.backoff, 600)
        del control.iwant[1:]
        del control.idontwant[:]
        for ihave in control.ihave:
            del ihave.messageIDs[_MAX_IDS:]
        for iwant in control.iwant:
            del iwant.messageIDs[_MAX_IDS:]

    def _is_known(self, msg: rpc_pb2.Message, forwarder: PeerId) -> bool:
        message_id = self._msg_id_constructor(msg)
        return self._validation.brought(message_id, forwarder) or self.seen_messages.has(message_id)

    async def push_msg(self, msg_forwarder: ID, msg: rpc_pb2.Message) -> None:
        """Validates a message once, then passes it on."""
        forwarder = PeerId(str(msg_forwarder))
        own = msg_forwarder == self.my_id
        try:
            # A forged copy of a message is not remembered: it would stand in for the message.
            if self._is_known(msg, forwarder) or not (own or self._is_sound(forwarder, msg)):
                return
            with self._validation.in_flight(self._msg_id_constructor(msg), forwarder) as holders:
                accepted = own or await self._accepts(forwarder, msg)
                self._mark_msg_seen(msg)
            if accepted:
                self._pass_on(msg, holders)
        except Exception as error:
            self._faults.caught("gossip message", error, forwarder)
            self._report(forwarder, Misbehaviour.BAD_MESSAGE, f"a gossip message failed: {type(error).__name__}")

    def _pass_on(self, msg: rpc_pb2.Message, holders: Collection[PeerId]) -> None:
        """Sends a message to the mesh, but not to those who have brought it, nor to who made it."""
        mesh, origin = self._mesh, ID(msg.from_id)
        mesh.mcache.put(msg)
        rpc = rpc_pb2.RPC(publish=[msg])
        for peer_id in mesh.mesh.get(msg.topicIDs[0], ()):
            if peer_id != origin and peer_id in self.peers and str(peer_id) not in holders:
                mesh.send_rpc(peer_id, rpc)

    def _is_sound(self, forwarder: PeerId, msg: rpc_pb2.Message) -> bool:
        """Whether a message is one of ours to judge, within bounds, and by who it says."""
        topics = list(msg.topicIDs)
        if len(topics) != 1 or topics[0] not in (self.allowed_topics or ()):
            return False
        if len(msg.data) > self._config.max_gossip or len(msg.from_id) > 64 or len(msg.seqno) > 16:
            self._report(forwarder, Misbehaviour.BAD_MESSAGE, "a gossip message out of bounds")
            return False
        if msg.from_id == self.my_id.to_bytes():
            return False
        if not _is_signed(msg):
            self._report(forwarder, Misbehaviour.BAD_MESSAGE, "a gossip message with a wrong signature")
            return False
        return True

    async def _accepts(self, forwarder: PeerId, msg: rpc_pb2.Message) -> bool:
        verdict = await self._validation.verdict(msg.topicIDs[0], msg.data, forwarder)
        if verdict is Verdict.REJECT:
            self._report(forwarder, Misbehaviour.BAD_MESSAGE, f"a false message on {msg.topicIDs[0]}")
        return verdict is Verdict.ACCEPT

    async def handle_sending_messages(self, peer_id: ID, stream: INetStream, queue: RpcQueue) -> None:
        """The one writer of a peer's gossip stream."""
        queue._queue.max_size = _QUEUE_SIZE
        queue.max_message_size = self.max_inbound_rpc_size
        writable = direct(stream)
        try:
            while (rpc := await queue.pop()) is not None:
                if not await self.write_msg(writable, rpc):
                    return
        except Exception as error:
            self._faults.caught("gossip write", error, str(peer_id))
            self._handle_dead_peer(peer_id)

    async def _handle_new_peer(self, peer_id: ID) -> None:
        try:
            with trio.fail_after(self._config.timing.write):
                await super()._handle_new_peer(peer_id)
        except (SwarmException, StreamClosed):
            raise
        except Exception as error:
            # Of all others libp2p takes the first for the last word, though the peer may have another connection.
            self._faults.noted("gossip stream not opened")
            raise SwarmException(f"no gossip stream: {error!r}") from error

    async def _replay_recent_messages(self, peer_id: ID, topic: str) -> None:
        # A second writer on the stream; who connects asks for what it lacks.
        return

    def stream_lost(self, muxed_conn: IMuxedConn) -> None:
        """A connection has ended: if gossip went over it, open a stream on the other one, if there is one."""
        stream = self.peers.get(muxed_conn.peer_id)
        if stream is not None and stream.muxed_conn is muxed_conn:
            self._handle_dead_peer(muxed_conn.peer_id)


class GuardedGossipSub(GossipSub):
    """The mesh, with isolated tasks and bounded memory."""

    def __init__(self, *, faults: Faults, answers: Budgets, **options: Any) -> None:
        super().__init__(max_pending_messages_per_peer=1, **options)
        self._faults = faults
        self._answers = answers

    @property
    def manager(self) -> Any:
        """The isolated task manager."""
        return IsolatedManager(self._manager, "mesh", self._faults)

    async def heartbeat(self) -> None:
        """The mesh's upkeep, which goes on after an exception."""
        while True:
            try:
                await super().heartbeat()
            except Exception as error:
                self._faults.caught("mesh heartbeat", error)
                await trio.sleep(self.heartbeat_interval)

    async def flush_pending_messages(self, peer_id: ID) -> None:
        """Drops what waited for a peer's subscription: sending it would be a second writer on the stream."""
        self._pending_messages.pop(peer_id, None)

    async def handle_iwant(self, iwant_msg: rpc_pb2.ControlIWant, sender_peer_id: ID) -> None:
        """Sends a peer the messages that it asks for: each once, and no more than its budget of answers allows."""
        budget = self._answers.of(PeerId(str(sender_peer_id)))
        answer = rpc_pb2.RPC()
        for message_id in dict.fromkeys(map(safe_bytes_from_hex, iwant_msg.messageIDs)):
            message = None if message_id is None else self.mcache.get(message_id)
            if message is None:
                continue
            if budget.charge(0, messages=0) > 0:
                break
            budget.charge(len(message.data))
            answer.publish.append(message)
        if answer.publish:
            self.send_rpc(sender_peer_id, answer)
