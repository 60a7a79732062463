# SPDX-License-Identifier: Apache-2.0
"""The daemon in a storm of hostile SIP: it goes on, and ends with nothing lost and nothing left."""

import re
import signal
import time

from lib import netns
from lib.proxy import options_ping
from lib.recovery import EXTENSION
from lib.scenario import Broken, check, complete_call, equal, eventually, hang_up, scenario
from lib.storm import Storm
from lib.storm_tls import TlsStorm
from lib.tls import proxy_identity

SECONDS = 12
TLS_SECONDS = 4
SANITIZERS = {"ASAN_OPTIONS": "detect_leaks=1", "UBSAN_OPTIONS": "print_stacktrace=1"}
OPTIONS = {"sip-domains": "example.org", "relay-from": "127.0.0.0/8, 10.77.0.0/16",
           "registrar-open-to": "127.0.0.0/8, 10.77.0.0/16",
           "tcp-keep-alive-idle": 2, "tcp-keep-alive-interval": 1, "tcp-keep-alive-probes": 2,
           "tcp-unacked-timeout": 2, "tcp-reopen-delay": "300ms", "tcp-connect-timeout": 1,
           "tcp-message-timeout": 3, "timer-t1": "100ms", "timer-t2": "400ms",
           "timer-t4": "500ms", "timer-d": 2, "timer-c": 4, "fork-ring-time": 1,
           "drain-timeout": 60, "max-transactions": 20000}


def _storm(world, seed, **options):
    """With a binary that has the sanitizers these end the daemon at the first fault."""
    proxy = world.proxy({**OPTIONS, **options, "location": "sqlite:" + world.path("location.db")},
                        env=SANITIZERS)
    with world.net.proxy.inside():
        storm = Storm(("127.0.0.1", 5060), seed, domain="example.org", rate=300)
        try:
            counts = storm.run(SECONDS)
            storm.forget_all()
        finally:
            storm.close()
    check(counts.get("answered", 0) > 100, f"the storm reached nobody: {counts}")
    proxy.check_alive()
    ping = options_ping(world.net.caller, (netns.PROXY_NEAR_CALLER, 5060), "tcp", netns.CALLER, 5)
    equal(ping and ping.status, 200, "OPTIONS after the storm")
    # Calls that lead through the proxy again and again end one after the other.
    _end(proxy)


def _end(proxy):
    proxy.process.signal(signal.SIGTERM)
    if proxy.wait_exit(55) is None:
        left = proxy.control("transactions")
        raise Broken(f"it does not end: {str(left)[:300]}")
    status = proxy.stop()
    said = proxy.process.output()
    fault = re.search(r"(ERROR: \w+Sanitizer|runtime error:|SUMMARY: ).*", said)
    check(fault is None, f"the daemon: {fault and fault.group(0)}")
    equal(status, 0, "exit status after the storm")
    if "drained event=45005" not in said:
        raise Broken("transactions are left after the storm")
    check("ready event=45001" in said, "the start is not told")


@scenario(timeout=150)
def storm_with_recovery(world):
    _storm(world, 1, **{"sip-enable-tcp-keep-alive": "true"})


@scenario(timeout=150)
def storm_without_recovery(world):
    _storm(world, 2, **{"sip-enable-tcp-keep-alive": "false"})


@scenario(timeout=120)
def calls_in_a_storm_of_tls(world):
    """Hostile handshakes without end, certificates that change by reload: calls over TLS go on."""
    identities = [proxy_identity(world.authority, f"proxy{i}") for i in range(2)]
    options = {**OPTIONS, "tls-max-handshakes": 32, "tcp-max-connections-per-address": 1000}
    proxy = world.proxy({**options, **world.tls_options(identities[0])}, EXTENSION, env=SANITIZERS)
    wrong = [world.authority.issue("expired", expired=True),
             world.authority.issue("own", self_signed=True)]
    phone = world.registered_phone(transport="tls")
    caller = world.caller(transport="tls")
    storm = TlsStorm(world.net.caller, (netns.PROXY_NEAR_CALLER, 5061), netns.CALLER, 3, wrong)
    storm.start()
    calls, end = 0, time.monotonic() + TLS_SECONDS
    while time.monotonic() < end or calls < 3:
        hang_up(*complete_call(caller, "1001", phone))
        calls += 1
        proxy.options.update(world.tls_options(identities[calls % 2]))
        proxy.write()
        proxy.reload()
    counts = storm.finish()
    check(sum(counts.values()) > 50, f"there was no storm: {counts}")
    counters = proxy.counters()
    check(counters["tls_failed"] > 0, f"nobody was refused: {counters}")
    eventually(lambda: proxy.counters()["calls"] == 0, 5, "records of calls are left")
    _end(proxy)
