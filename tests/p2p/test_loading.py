"""Loading libp2p: what only its unused parts need stays out, and is there for whoever does use it."""

import subprocess
import sys

import pytest

LOAD = "import sys; from p2p.loading import Deferred, load; load(); load()\n"
FROM_LIBP2P = "from libp2p.security.tls.autotls import acme\n"


def printed(program: str) -> list[str]:
    ended = subprocess.run([sys.executable, "-c", LOAD + program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


@pytest.mark.full
def test_the_network_is_loaded_and_no_client_of_http() -> None:
    program = "print([name in sys.modules for name in ('p2p.host', 'libp2p', 'httpx', 'requests')])"
    assert printed(program) == ["[True, True, False, False]"]


@pytest.mark.full
def test_libp2p_has_the_real_module_when_it_uses_it() -> None:
    program = "print(type(acme.requests) is Deferred, acme.requests.codes.ok)\n"
    program += "import requests; print(acme.requests.Session is requests.Session)\n"
    program += "print(hasattr(Deferred('httpx'), '__file__'), 'httpx' in sys.modules)"
    assert printed(FROM_LIBP2P + program) == ["True 200", "True", "False False"]


@pytest.mark.full
def test_others_have_the_real_module_at_once() -> None:
    program = "import requests.sessions; print(type(requests) is Deferred, acme.requests.codes is requests.codes)\n"
    program += "print(requests.sessions.Session is requests.Session)"
    assert printed(FROM_LIBP2P + program) == ["False True", "True"]
