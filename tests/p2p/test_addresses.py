import pytest

from p2p.addresses import (
    Address,
    AddressError,
    check_peer_id,
    is_loopback,
    network_of,
    parse_address,
    peer_id_from_seed,
    tcp_address,
)

# What libp2p makes of the seed of 32 bytes "a".
PEER = "12D3KooWMbbPVGsZYh3ChQjue712NHHGNybRRXwnuSpezYjGbCDS"


def test_a_peer_id_comes_from_a_seed_and_is_recognized() -> None:
    assert peer_id_from_seed(b"a" * 32) == PEER
    assert check_peer_id(PEER) == PEER


@pytest.mark.parametrize(
    "text",
    ["/ip4/1.2.3.4/tcp/30333", "/ip6/2001:db8::1/tcp/1", "/dns/node.example.org/tcp/30333", "/dns4/localhost/tcp/0"],
)
@pytest.mark.parametrize("with_peer", [False, True])
def test_an_address_is_read_and_written(text: str, with_peer: bool) -> None:
    peer = peer_id_from_seed(b"b" * 32)
    whole = f"{text}/p2p/{peer}" if with_peer else text
    address = parse_address(whole)
    assert str(address) == whole
    assert address.peer_id == (peer if with_peer else None)
    assert str(address.without_peer()) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is no address such as /ip4/1.2.3.4/tcp/30333 or .../p2p/12D3KooW..."),
        (
            "/ip4/1.2.3.4/udp/1",
            "'/ip4/1.2.3.4/udp/1' is no address such as /ip4/1.2.3.4/tcp/30333 or .../p2p/12D3KooW...",
        ),
        ("/ip5/1.2.3.4/tcp/1", "'/ip5/1.2.3.4/tcp/1': 'ip5' is none of ip4, ip6, dns, dns4, dns6"),
        ("/ip4/1.2.3.4/tcp/70000", "'/ip4/1.2.3.4/tcp/70000': '70000' is no port"),
        ("/ip4/1.2.3.4/tcp/²", "'/ip4/1.2.3.4/tcp/²': '²' is no port"),
        ("/ip4/1.2.3/tcp/1", "'/ip4/1.2.3/tcp/1': '1.2.3' is no IP address"),
        ("/ip4/::1/tcp/1", "'/ip4/::1/tcp/1': '::1' is no ip4 address"),
        ("/dns/a b/tcp/1", "'/dns/a b/tcp/1': 'a b' is no host name"),
        ("/ip4/1.2.3.4/tcp/1/p2p/Qm0", "'Qm0' is no peer id such as 12D3KooW..."),
        ("/ip4/1.2.3.4/tcp/1/p2p/12D3KooW", "'12D3KooW' is no peer id such as 12D3KooW..."),
    ],
)
def test_what_is_wrong_with_an_address_is_said(text: str, message: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_address(text)
    assert str(caught.value) == message


def test_kinds_of_addresses() -> None:
    assert parse_address("/ip4/127.0.0.9/tcp/1").is_loopback
    assert parse_address("/dns/localhost/tcp/1").is_loopback
    assert not parse_address("/ip4/10.0.0.1/tcp/1").is_loopback
    assert parse_address("/ip6/::/tcp/1").is_wildcard
    assert not parse_address("/dns/a/tcp/1").is_wildcard
    assert tcp_address("::ffff:1.2.3.4", 5) == Address("ip4", "1.2.3.4", 5)
    assert tcp_address("fe80::1%eth0", 5) == Address("ip6", "fe80::1", 5)
    assert not is_loopback("example.org")
    assert network_of("1.2.3.4") == "1.2.3.4"
    assert network_of("2001:db8:1:2:ffff::1") == "2001:db8:1:2::/64"
