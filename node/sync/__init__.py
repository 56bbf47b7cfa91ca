"""How a node keeps up with its peers: announcements, catching up, transactions, and the answers it gives them.

`handler.PeerHandler` is what the network calls. `messages` has what goes over the wire. Everything here runs in the
node's trio thread; what takes time goes to the executor, and what comes from a peer is bounded before it is decoded.
"""
