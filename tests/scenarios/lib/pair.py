# SPDX-License-Identifier: Apache-2.0
"""A pair of Kamailios behind the proxy, calls through it, and the ways its active member can fail."""

import time

from . import netns
from .calls import Calls, Plan
from .kamailio import Kamailio, start_all
from .scenario import check, equal, eventually

A, B, BESIDE = netns.phone_address(0), netns.phone_address(1), netns.phone_address(2)
CALLERS, CALLEES = (netns.CALLER, 5070), ("10.77.8.3", 5080)
PROXY_HERE = (netns.PROXY_NEAR_CALLER, 5060)

# Quick, and still in the order of the shipped times.
OPTIONS = {"applications": "main", "serving-sipserver": "main", "oos-check": "1", "oos-force": "1",
           "sip-enable-tcp-keep-alive": "true", "tcp-keep-alive-idle": "1",
           "tcp-keep-alive-interval": "1", "tcp-keep-alive-probes": "1",
           "tcp-unacked-timeout": "1", "tcp-reopen-delay": "500ms", "tcp-connect-timeout": "1"}
DNS = {"1001": {"type": "extension", "contact": f"sip:1001@{CALLEES[0]}:{CALLEES[1]}"}}

FAULTS = ("kill", "stop", "drop", "drop_to", "drop_from", "role", "quiet", "resume")
ASLEEP = 2.5    # s, of a server that is stopped and goes on


class Pair:
    """A is active, B in reserve; both share every dialog."""

    def __init__(self, world, transport="udp", options=None, application=None, dns=None, start=True,
                 script="", think=60, takeover=0.0):
        self.world, self.transport, self.takeover = world, transport, takeover
        self.a = Kamailio(world, A, [B], transport, script=script, think=think)
        self.b = Kamailio(world, B, [A], transport, active=False, script=script, think=think)
        if start:
            start_all(self.a, self.b)
        self.proxy = world.proxy(
            {**OPTIONS, **(options or {})}, DNS if dns is None else dns,
            sections={"application main": {"primary": self.a.uri(transport),
                                           "backup": self.b.uri(transport),
                                           **(application or {})}})

    def calls(self, **plan):
        return Calls(self.world, Plan(**plan), PROXY_HERE, CALLERS, CALLEES)

    # --- faults of A, B takes over -------------------------------------------------------

    def break_active(self, fault):
        """A fails in this way. Whoever watches the pair makes B active, a moment later."""
        getattr(self, "_" + fault)()
        time.sleep(self.takeover)
        self.b.set("active", 1)
        if fault == "role":
            self.speak(self.b)
        elif fault == "resume":
            time.sleep(ASLEEP)
            self.a.thaw()

    def _kill(self):
        self.a.kill()

    def _stop(self):
        self.a.freeze()

    def _drop(self):
        self.world.firewall.vanish(A)

    def _drop_to(self):
        """What is sent to A is lost; what it says still comes."""
        self.world.firewall.lose_to(A)

    def _drop_from(self):
        self.world.firewall.lose_from(A)

    def _role(self):
        """A lives on, in reserve; B tells by a request of its own."""
        self.a.set("active", 0)

    def _quiet(self):
        """The same, and B says nothing until it is asked."""
        self.a.set("active", 0)

    def _resume(self):
        """A stops for a while, and goes on where it was, as if it were still active."""
        self.a.freeze()

    def speak(self, server, timeout=5.0):
        """The server sends a request through the proxy; the status of its final response."""
        device = self.world._device(self.world.net.phone, BESIDE, "9001", (server.address, 5060),
                                    {"transport": "udp", "port": 0, "tcp": False})
        final = device.request("MESSAGE", f"sip:1001@{netns.PROXY}").wait_final(timeout)
        device.close()
        return final.status if final else None

    # --- what the proxy says -------------------------------------------------------------

    def wait_event(self, number, timeout=8.0, since=0.0):
        """A log event by its stable number."""
        found = self.proxy.log_matches(rf"\bevent\W+{number}\b", timeout, since)
        check(found is not None, f"no event {number} in the log within {timeout:g} s")
        return found


class Outcome:
    """What came of one run with a fault in it."""

    def __init__(self, calls, states, pair, fault):
        self.calls, self.states, self.fault = calls, states, fault
        self.account, self.doubled = calls.account(), calls.doubled()
        self.lost = {state: {why: n for why, n in counts.items() if why != "good"}
                     for state, counts in self.account.items()}
        self.lost = {state: whys for state, whys in self.lost.items() if whys}
        self.notes, self.details = calls.notes, calls.details()
        self.slowest = max(calls.delays(("setup", "ringing")), default=0.0)
        self.ghosts = len(calls.never_ended())
        self.counters = pair.proxy.counters()

    def __str__(self):
        return (f"{self.fault}: then {dict(self.states)}, lost {self.lost or 'none'}, "
                f"doubled {self.doubled}, without BYE {self.ghosts}, slowest setup "
                f"{self.slowest:.2f} s, replayed {self.counters['requests_replayed']}, "
                f"notes {dict(self.notes)}; {self.details[:2]}")


def run_fault(pair, fault, at=2.0, **plan):
    """Calls at a rate; in the middle A fails in this way; the outcome."""
    calls = pair.calls(**plan).start()
    calls.wait_until(at)
    states = calls.mark()
    pair.break_active(fault)
    calls.finish()
    return Outcome(calls, states, pair, fault)


def demand(outcome):
    """No established call is lost, none in setup, and none comes twice."""
    for state in ("setup", "ringing", "established", "ending"):
        check(state not in outcome.lost, str(outcome))
    check(outcome.states["established"] >= 20 and outcome.states["ringing"] >= 5,
          f"too few calls when it broke: {dict(outcome.states)}")
    equal({"lost": outcome.lost, **outcome.doubled, "without BYE": outcome.ghosts},
          {"lost": {}, "confirmed": 0, "answers": 0, "rung": 0, "without BYE": 0}, str(outcome))
    check(outcome.counters["requests_replayed"] > 0, f"nothing was replayed: {outcome}")


def settle(pair, timeout=5.0):
    """The proxy has asked A and knows that it is active."""
    eventually(lambda: any(row["state"] == "up"
                           for row in pair.proxy.control("applications")["application"]), timeout,
               "the pair is not up", 0.05)
