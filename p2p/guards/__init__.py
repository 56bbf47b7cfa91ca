"""What libp2p 0.8.1 needs so that no peer can stop, starve or fill this node. Each guard has its regression test.

The version is pinned; when it changes, `tests/p2p/test_guards.py` says which of these are no longer needed. Those of
connections are in `connections` and in `p2p.muxer`, those of gossip in `gossip`; both keep libp2p's tasks apart by
`isolation`.

1. Exceptions: libp2p ends its service, and so the whole network, with any exception in a stream handler or in one of
   its tasks. `GuardedSwarm`, `GuardedPubsub` and `GuardedGossipSub` run every task isolated, `guard_streams` is the one
   place all inbound streams pass.
2. Inbound connections are served by `p2p.tcp`, so libp2p's handler, which keeps a task and a slot of each for ever, is
   not used.
3. Reads of gossip go through a buffer, not byte by byte.
4. Dials go to the address itself: libp2p would block a peer for a minute after each failed one.
5. Every write of a frame has a deadline and is never cut in the middle (`p2p.muxer`); reading is watched over by the
   keepalive of `p2p.requests`.
6. Scores and bans are ours (`p2p.peers`).
7. A message is validated once, however many peers pass it on at the same time; what one peer sends holds up neither
   others nor its own control traffic (`p2p.validation`); a forged copy does not stand in for the message.
8. The receive window of the multiplexer is enforced: libp2p only logs a peer that sends more than it may.
9. Two tasks never write to one gossip stream: replays and flushes that libp2p starts by itself would tear frames apart.
10. What a peer can make libp2p remember is bounded: topics of control messages, unsent messages, message statistics.
11. Gossip with a connected peer comes back: libp2p gives up for good when a stream fails to open in some ways, as on a
    connection that another one replaces, and forgets the subscriptions of a peer that will not repeat them.
12. A small read is not answered with a frame of its own that renews the window (`p2p.muxer`).
13. A message is not sent to who has brought it, also while its verdict was awaited.
"""
