# SPDX-License-Identifier: Apache-2.0
"""What the scenarios of dead connections share: options, the ways a connection can have come about,
and a rig of proxy, phone and caller around it.

Bounds are those of the design (keep-alive D = idle + interval * probes; a second connection after
tcp-reopen-delay), with SLACK for a busy machine.
"""

import time
from typing import NamedTuple

from . import netns
from .scenario import check, complete_call, equal, eventually, hang_up

SLACK = 2.0
EXTENSION = {"1001": {"type": "extension"}, "1002": {"type": "extension"},
             "2001": {"type": "extension"}}
# Keep-alive finds an idle connection after D = 2 s.
QUICK = {"sip-enable-tcp-keep-alive": "true", "tcp-keep-alive-idle": "1",
         "tcp-keep-alive-interval": "1", "tcp-keep-alive-probes": "1"}
D_QUICK = 2.0
# Keep-alive would need a minute: what happens sooner is the work of the other rules.
SLOW = {"sip-enable-tcp-keep-alive": "true", "tcp-keep-alive-idle": "30",
        "tcp-keep-alive-interval": "10", "tcp-keep-alive-probes": "3",
        "tcp-unacked-timeout": "5", "tcp-reopen-delay": "1", "tcp-connect-timeout": "3"}
# The same where the shipped times are not the subject.
REOPEN_DELAY, CONNECT_TIMEOUT = 0.3, 1.0
BRISK = dict(SLOW, **{"tcp-reopen-delay": "300ms", "tcp-connect-timeout": "1"})
# Only what is said (RST, FIN, an alert) can be seen: suspicion would come too late for the scenario.
SAID = dict(SLOW, **{"tcp-reopen-delay": "20", "tcp-unacked-timeout": "30"})


class Way(NamedTuple):
    """How the connection to the phone came about."""

    transport: str
    opened_by: str      # "phone" (it registered) or "us" (its DN has a fixed contact)

    def __str__(self):
        return f"over_{self.transport}_opened_by_{self.opened_by}"


TCP, TCP_OURS = Way("tcp", "phone"), Way("tcp", "us")
TLS, TLS_OURS = Way("tls", "phone"), Way("tls", "us")
ALL = (TCP, TCP_OURS, TLS, TLS_OURS)
CROSS = (TCP, TLS_OURS)     # where one of each says enough


def default_port(transport):
    return 5061 if transport == "tls" else 5060


def uri_of_phone(transport, user="1001", address=netns.PHONE):
    return f"sip:{user}@{address}:{default_port(transport)};transport={transport}"


def with_tls(world, transport, options):
    """The options, with what a proxy needs for TLS where the way asks for it."""
    return {**world.tls_options(), **options} if transport == "tls" else dict(options)


class Rig:
    """Proxy, a phone with one connection to it, and a caller whose connection never dies."""

    def __init__(self, world, way=TCP, options=None, dns=None, user="1001", **phone):
        self.world, self.way, self.transport = world, way, way.transport
        options = with_tls(world, way.transport, BRISK if options is None else options)
        sections = {name: dict(settings) for name, settings in (dns or EXTENSION).items()}
        self.user = user
        if way.opened_by == "us":
            sections[user]["contact"] = uri_of_phone(way.transport, user)
            # It listens before anything can be sent to it.
            self.phone = world.phone(user, transport=way.transport, **phone)
        self.proxy = world.proxy(options, sections)
        if way.opened_by == "us":
            self.caller = world.caller(transport="tcp")
            hang_up(*complete_call(self.caller, user, self.phone))
            self.conn = self.phone.accepted()[0]
        else:
            self.phone = world.registered_phone(user, transport=way.transport, **phone)
            self.caller = world.caller(transport="tcp")
            self.conn = self.phone.registered_by
        self.mark()

    def mark(self):
        """What is counted by `fresh` and `one_call` begins now."""
        self.since, self.before = time.monotonic(), len(self.phone.accepted())

    def fresh(self):
        """Connections that the proxy has opened to the phone since the mark."""
        return self.phone.accepted()[self.before:]

    def only_one_fresh(self):
        equal(len(self.fresh()), 1, "connections opened to the phone anew")

    def new_calls(self):
        return self.phone.new_calls(self.since)

    def one_call(self):
        """Exactly one new call, whatever the number of copies (RFC 3261 17.2.3)."""
        equal(len(self.new_calls()), 1, "INVITE transactions at the phone")
        equal(sum(1 for c in self.phone.calls if not c.caller
                  and c.transaction.arrivals[0] >= self.since), 1, "calls at the phone")

    def incoming(self):
        """The phone's call that came since the mark."""
        return self.new_calls()[-1].call

    # --- what happens to the connection --------------------------------------------------

    def forget(self):
        """The firewall forgets every connection of the phone and says nothing. What was sent before
        has been acknowledged, so that only what comes afterwards is lost."""
        self.settle()
        self.world.firewall.forget(*[c.pair for c in self.phone.connections if not c.closed])
        for conn in self.phone.connections:
            conn.given_up = True

    def settle(self):
        """Neither side's TCP waits for an acknowledgement of the other."""
        for conn in self.phone.connections:
            if not conn.closed and not conn.given_up:
                settled(self.world, conn)

    def reboot(self):
        """The phone has lost its connections and does not say so before it is spoken to."""
        self.settle()
        self.world.firewall.drop_all()
        self.phone.forget_everything()
        self.world.firewall.heal()

    def reachable_no_more(self):
        """Connections forgotten, and new ones refused by the phone's kernel."""
        self.forget()
        self.phone.stop_listening()

    # --- steps ---------------------------------------------------------------------------

    def ring(self):
        """A call that rings and is not answered; (caller's call, INVITE at the phone)."""
        self.phone.script = [(0.0, 180)]
        call = self.caller.invite(self.user)
        check(call.transaction.wait_status(180), "no 180")
        check(self.phone.wait(self.new_calls, 5), "the phone does not ring")
        return call, self.new_calls()[-1]

    def complete_call(self, **more):
        return complete_call(self.caller, self.user, self.phone, **more)

    def established(self, call, timeout=5.0):
        """The call that was placed is up at both ends; the phone's half of it."""
        check(call.wait_established(timeout), f"not established: {call.transaction.statuses()}")
        incoming = self.incoming()
        check(incoming.wait_acked(5), "no ACK at the phone")
        return incoming


def _proxy_socket(world, conn):
    """The line of `ss` about the proxy's end: Recv-Q, Send-Q, addresses; empty when it is gone."""
    (phone, port), (_, own_port) = conn.pair
    return world.net.proxy.run("ss", "-Htn", "state", "established", "dst", f"{phone}:{port}",
                               "sport", "=", f":{own_port}").split()


def settled(world, conn):
    """Wait until neither side's TCP waits for an acknowledgement of the other."""
    def quiet():
        found = _proxy_socket(world, conn)
        return conn.unacked() == 0 and (not found or found[1] == "0")
    eventually(quiet, 5, "bytes stay unacknowledged on a connection that lives")


def proxy_end_gone(world, conn):
    """True once the proxy's namespace has no established socket for this connection."""
    return not _proxy_socket(world, conn)


def wait_idle_death(world, conn, limit=2 * D_QUICK + SLACK):
    """Wait until the proxy has dropped the connection."""
    eventually(lambda: proxy_end_gone(world, conn), limit,
               "the proxy still holds the connection that the firewall forgot")

