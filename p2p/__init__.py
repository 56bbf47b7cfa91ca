"""Bytes between nodes: connections, gossip, requests, discovery, scores and bans."""
