# SPDX-License-Identifier: Apache-2.0
"""Calls at a rate, over UDP, with an exact account: what state was each in when something broke,
and what became of it.

Callers and callees in one thread: an open-loop plan, so that calls are in setup, ringing and
established at every moment. A callee that gets the same INVITE by a second way (same Call-ID and
From tag, another branch) rings for both and answers the later one: the earlier one is what a server
that died had under way. Where the later one is taken back, the earlier one rings on."""

import contextlib
import heapq
import itertools
import selectors
import socket
import threading
import time
from collections import Counter

from .device import SDP, T1, T2
from .sip import Msg, SipError, Uri, response_to, token, uri_of

A_MOMENT = 0.3      # what it takes to break something


class Plan:
    """What all calls of a run have in common; times in seconds."""

    def __init__(self, rate=50, seconds=4.0, ring=0.6, hold=1.5, reinvite_every=4, cancel_every=0,
                 callee_ends_every=3, merged="answer", patience=15.0):
        self.rate, self.seconds, self.ring, self.hold = rate, seconds, ring, hold
        self.reinvite_every = reinvite_every    # of so many calls one has a re-INVITE in the middle
        self.cancel_every = cancel_every        # and one is given up while it rings; 0: none
        self.callee_ends_every = callee_ends_every  # and one is ended by its callee
        self.merged = merged                    # or "refuse": 482 (RFC 3261 8.2.2.2)
        self.patience = patience
        self.count = int(rate * seconds)


class Request:
    """A client transaction of a caller."""

    def __init__(self, call, msg):
        self.call, self.msg, self.data = call, msg, msg.bytes()
        self.method, self.branch = msg.method, msg.branch
        self.sent = time.monotonic()
        self.final, self.provisional, self.copies = None, False, 1


class Call:
    """One call as its caller sees it."""

    def __init__(self, number):
        self.number = number
        self.call_id, self.tag = f"c{number}-{token(6)}", token(4)
        self.state = "later"
        self.state_then = "later"       # when the fault happened
        self.fault = None               # why it did not go as planned
        self.to = self.target = ""
        self.route, self.cseq = [], 1
        self.invite = self.bye = self.reinvite = None
        self.answers = set()            # To tags of 2xx
        self.cancelled = False
        self.began = self.answered_at = 0.0
        # at the callee
        self.rung = 0                   # INVITEs that began a dialog
        self.confirmed = set()          # To tags whose ACK has come
        self.got_bye, self.left = 0, False
        self.legs = []
        self.servers = []               # who relayed its INVITEs, as X-Server says

    @property
    def over(self):
        return self.state == "over"


class Leg:
    """One INVITE at the callee."""

    def __init__(self, call, msg, peer):
        self.call, self.msg, self.peer, self.tag = call, msg, peer, token(4)
        self.last, self.final, self.acked, self.superseded = None, False, False, False
        self.status = 0


class Calls:
    """`user` is dialled at `proxy`; the callee listens at `callee`, the caller at `caller`."""

    def __init__(self, world, plan, proxy, caller, callee, user="1001", uri=None):
        self.world, self.plan, self.proxy, self.user = world, plan, proxy, user
        self.uri = uri or f"sip:{user}@{proxy[0]}"
        self.calls = [Call(i) for i in range(plan.count)]
        self.by_id = {c.call_id: c for c in self.calls}
        self.clients, self.legs, self.others, self.byes = {}, {}, {}, {}
        self.notes = Counter()
        self.fault = None
        self._timers, self._order = [], itertools.count()
        self._lock = threading.RLock()
        self._selector = selectors.DefaultSelector()
        self.caller, self.uac = caller, self._bind(caller, self._on_uac)
        self.callee, self.uas = callee, self._bind(callee, self._on_uas)
        self._stopping = False
        self._thread = None
        self.begun = self.marked = 0.0
        world._cleanup.callback(self.close)

    def _bind(self, address, func):
        with self.world.net.caller.inside():
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind(address)
        sock.setblocking(False)
        self._selector.register(sock, selectors.EVENT_READ, func)
        return sock

    # --- the run -------------------------------------------------------------------------

    def start(self):
        self.begun = time.monotonic() + 0.05
        for call in self.calls:
            self._at(self.begun + call.number / self.plan.rate, self._dial, call)
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()
        return self

    def wait_until(self, seconds):
        """Until so many seconds after the first call."""
        time.sleep(max(0.0, self.begun + seconds - time.monotonic()))

    def mark(self):
        """Now something breaks: what state is every call in? How many of each."""
        with self._lock:
            self.marked = time.monotonic()
            for call in self.calls:
                call.state_then = call.state
            return Counter(c.state_then for c in self.calls)

    def finish(self):
        """Wait until all calls are over."""
        limit = self.begun + self.plan.seconds + self.plan.ring + self.plan.hold
        limit += 3 * self.plan.patience
        while time.monotonic() < limit and (self.byes or not all(c.over for c in self.calls)):
            if self.fault:
                raise self.fault
            time.sleep(0.02)
        if self.fault:
            raise self.fault
        time.sleep(0.3)     # what comes twice comes now
        with self._lock:
            for call in self.calls:
                if not call.over:
                    self._end(call, f"still {call.state}")

    def close(self):
        self._stopping = True
        if self._thread:
            self._thread.join(5)
        for sock in (self.uac, self.uas):
            sock.close()
        self._selector.close()

    def account(self):
        """{state when it broke: Counter of what became of such calls}."""
        out = {}
        for call in self.calls:
            out.setdefault(call.state_then, Counter())[call.fault or "good"] += 1
        return out

    def doubled(self):
        """Calls that the callee has answered twice, each time to be confirmed; calls with answers
        of two dialogs at the caller; calls rung more than once though they were not in setup when
        it broke, or a moment later."""
        def in_setup(call):
            return (call.state_then in ("setup", "ringing")
                    or call.state_then == "later" and call.began < self.marked + A_MOMENT)
        confirmed = [c for c in self.calls if len(c.confirmed) > 1]
        answers = [c for c in self.calls if len(c.answers) > 1]
        rung = [c for c in self.calls if c.rung > 1 and not in_setup(c)]
        return {"confirmed": len(confirmed), "answers": len(answers), "rung": len(rung)}

    def details(self, most=5):
        """Text about the first calls that failed or were not ended."""
        bad = [c for c in self.calls if c.fault or c.confirmed and not c.got_bye][:most]
        return [f"{c.call_id}: then {c.state_then}, {c.fault or 'no BYE'}; provisional "
                f"{bool(c.invite and c.invite.provisional)}, rung {c.rung} by {c.servers}, legs "
                f"{[(leg.final, leg.acked, leg.superseded) for leg in c.legs]}, confirmed "
                f"{len(c.confirmed)} of {len(c.answers)}" for c in bad]

    def never_ended(self):
        """Calls that the callee has confirmed and that never got BYE."""
        return [c for c in self.calls if c.confirmed and not c.got_bye]

    def delays(self, states):
        """Seconds from the INVITE to its 200, of calls in these states when it broke, sorted."""
        return sorted(c.answered_at - c.began for c in self.calls
                      if c.answered_at and c.state_then in states)

    # --- the thread ----------------------------------------------------------------------

    def _at(self, when, func, *args):
        heapq.heappush(self._timers, (when, next(self._order), func, args))

    def _loop(self):
        try:
            while not self._stopping:
                wait = self._timers[0][0] - time.monotonic() if self._timers else 0.1
                for key, _ in self._selector.select(min(0.1, max(0.0, wait))):
                    self._read(key.fileobj, key.data)
                while self._timers and self._timers[0][0] <= time.monotonic():
                    _, _, func, args = heapq.heappop(self._timers)
                    with self._lock:
                        func(*args)
        except Exception as error:                               # noqa: BLE001
            self.fault = error
            raise

    def _read(self, sock, func):
        for _ in range(64):
            try:
                data, peer = sock.recvfrom(65536)
            except OSError:
                return
            with self._lock, contextlib.suppress(SipError):
                func(Msg.parse(data), peer)

    def _end(self, call, fault=None):
        call.state, call.fault = "over", fault

    # --- callers -------------------------------------------------------------------------

    def _build(self, call, method, uri, cseq, headers=(), body=b"", branch=None):
        msg = Msg(f"{method} {uri} SIP/2.0")
        msg.add("Via", f"SIP/2.0/UDP {self.caller[0]}:{self.caller[1]};"
                       f"branch={branch or 'z9hG4bK' + token()};rport")
        msg.add("Max-Forwards", 70)
        msg.add("From", f"<sip:caller@{self.caller[0]}>;tag={call.tag}")
        msg.add("To", call.to or f"<{self.uri}>").add("Call-ID", call.call_id)
        msg.add("CSeq", f"{cseq} {method}")
        for route in call.route:
            msg.add("Route", route)
        for name, value in headers:
            msg.add(name, value)
        msg.body = body
        return msg

    def _send(self, msg):
        with contextlib.suppress(OSError):
            self.uac.sendto(msg if isinstance(msg, bytes) else msg.bytes(), self.proxy)

    def _request(self, call, method, uri, cseq, **more):
        request = Request(call, self._build(call, method, uri, cseq, **more))
        self.clients[(request.branch, method)] = request
        self._send(request.data)
        self._at(request.sent + T1, self._again, request, T1)
        return request

    def _again(self, request, interval):
        now = time.monotonic()
        if request.final or request.call.over:
            return
        if now - request.sent > self.plan.patience:
            self._end(request.call, f"no answer to {request.method}")
            return
        if not (request.provisional and request.method == "INVITE"):
            request.copies += 1
            self._send(request.data)
        following = interval * 2 if request.method == "INVITE" else min(interval * 2, T2)
        following = min(following, 2.0)
        self._at(now + following, self._again, request, following)

    def _sdp(self):
        return {"headers": [("Contact", f"<sip:caller@{self.caller[0]}:{self.caller[1]}>"),
                            ("Content-Type", "application/sdp")],
                "body": SDP.format(self.caller[0]).encode()}

    def _dial(self, call):
        call.state, call.began = "setup", time.monotonic()
        call.invite = self._request(call, "INVITE", self.uri, 1, **self._sdp())

    def _on_uac(self, msg, _peer):
        if not msg.is_response:
            # A request to the caller: it answers, and that is all.
            self._on_request(msg)
            return
        request = self.clients.get((msg.branch, msg.cseq[1]))
        if request is None:
            self.notes["stray response"] += 1
        elif msg.status < 200:
            self._on_provisional(request, msg)
        elif request.method == "INVITE":
            self._on_invite_final(request, msg)
        elif request.final is None:
            request.final = msg
            self._on_final(request, msg)

    def _on_request(self, msg):
        """From the callee: it ends the call."""
        call = self.by_id.get(msg.call_id)
        known = call and msg.method == "BYE" and msg.tag("to") == call.tag
        with contextlib.suppress(OSError):
            self.uac.sendto(response_to(msg, 200 if known else 481).bytes(), self.proxy)
        if known and call.state != "over":
            self._end(call, None if call.left else "BYE that the callee has not sent")
        elif not known:
            self.notes[f"caller got {msg.method}"] += 1

    def _on_provisional(self, request, msg):
        request.provisional = True
        call = request.call
        if request is call.invite and msg.status > 100 and call.state == "setup":
            call.state = "ringing"
            every = self.plan.cancel_every
            if every and call.number % every == every - 1:
                self._cancel(call)

    def _cancel(self, call):
        call.cancelled = True
        msg = self._build(call, "CANCEL", self.uri, 1, branch=call.invite.branch)
        request = Request(call, msg)
        self.clients[(request.branch, "CANCEL")] = request
        self._send(request.data)
        self._at(request.sent + T1, self._again, request, T1)

    def _on_invite_final(self, request, msg):
        first, request.final = request.final is None, request.final or msg
        call = request.call
        if msg.status >= 300:
            self._ack_failure(request, msg)
            if first and not call.over:
                good = call.cancelled and msg.status == 487
                self._end(call, None if good else f"{msg.status} to {request.msg.cseq[0]} INVITE")
            return
        if request is call.invite:
            call.answers.add(msg.tag("to"))
        if first and request is call.invite:
            self._established(call, msg)
        self._ack(call, request, msg)
        if first and request is call.reinvite:
            self._at(time.monotonic() + self.plan.hold / 2, self._hang_up, call)

    def _established(self, call, msg):
        call.answered_at = time.monotonic()
        call.to, call.target = msg.get("to"), uri_of(msg.get("contact"))
        call.route = list(reversed(msg.all("record-route")))
        if not call.route or Uri(uri_of(call.route[0])).host != self.proxy[0]:
            self.notes["first Route does not name the proxy"] += 1
        call.cseq = 1
        if call.over:
            return
        call.state = "established"
        every = self.plan.reinvite_every
        if every and call.number % every == 0:
            self._at(call.answered_at + self.plan.hold / 2, self._change, call)
        else:
            self._at(call.answered_at + self.plan.hold, self._hang_up, call)

    def _ack_failure(self, request, response):
        old = request.msg
        ack = Msg(f"ACK {old.uri} SIP/2.0")
        ack.add("Via", old.get("via")).add("Max-Forwards", 70).add("From", old.get("from"))
        ack.add("To", response.get("to")).add("Call-ID", old.call_id)
        ack.add("CSeq", f"{old.cseq[0]} ACK")
        for route in old.all("route"):
            ack.add("Route", route)
        self._send(ack)

    def _ack(self, call, request, response):
        """Of every 2xx, by the route set of its own answer."""
        ack = self._build(call, "ACK", uri_of(response.get("contact")), request.msg.cseq[0])
        ack.headers = [(n, v) for n, v in ack.headers if n not in ("Route", "To")]
        ack.add("To", response.get("to"))
        routes = (call.route if request is not call.invite
                  else list(reversed(response.all("record-route"))))
        for route in routes:
            ack.add("Route", route)
        self._send(ack)

    def _change(self, call):
        if not call.over:
            call.cseq += 1
            call.reinvite = self._request(call, "INVITE", call.target, call.cseq, **self._sdp())

    def _hang_up(self, call):
        if call.over:
            return
        every = self.plan.callee_ends_every
        if every and call.number % every == 1 and not call.bye:
            self._callee_hangs_up(call)
            return
        call.cseq += 1
        call.state = "ending"
        call.bye = self._request(call, "BYE", call.target, call.cseq)

    def _on_final(self, request, msg):
        call = request.call
        if request is call.bye and not call.over:
            self._end(call, None if msg.status == 200 else f"{msg.status} to BYE")
        elif request.method == "CANCEL" and msg.status != 200:
            self.notes[f"{msg.status} to CANCEL"] += 1

    # --- callees -------------------------------------------------------------------------

    def _on_uas(self, msg, peer):
        if msg.is_response:
            if msg.status >= 200:
                self._on_bye_answered(msg)
            return
        call = self.by_id.get(msg.call_id)
        if msg.method == "ACK":
            self._on_ack(call, msg)
        elif msg.method == "CANCEL":
            self._on_cancel(msg, peer)
        elif msg.method == "INVITE" and not msg.tag("to"):
            self._on_invite(call, msg, peer)
        else:
            self._on_inside(call, msg, peer)

    def _reply(self, leg, status):
        lines = []
        if status < 300:
            lines = [("Contact", f"<sip:{self.user}@{self.callee[0]}:{self.callee[1]}>")]
        leg.last = response_to(leg.msg, status, to_tag=leg.tag, headers=lines).bytes()
        leg.final, leg.status = status >= 200, status
        self.uas.sendto(leg.last, leg.peer)

    def _on_invite(self, call, msg, peer):
        leg = self.legs.get(msg.key)
        if leg is not None:
            if leg.last:
                self.uas.sendto(leg.last, peer)
            return
        if call is None:
            self.notes["INVITE of no call"] += 1
            return
        leg = self.legs[msg.key] = Leg(call, msg, peer)
        call.rung += 1
        call.servers.append(msg.get("x-server"))
        going_on = any(not (old.final and old.status >= 300) for old in call.legs)
        if going_on and self.plan.merged == "refuse":
            self._reply(leg, 482)
            return
        answered = any(old.status == 200 for old in call.legs)
        for old in call.legs:
            old.superseded = True
        call.legs.append(leg)
        self._reply(leg, 180)
        self._at(time.monotonic() + (0.0 if answered else self.plan.ring), self._answer, leg)

    def _answer(self, leg):
        if leg.final or leg.superseded:
            return
        self._reply(leg, 200)
        self._at(time.monotonic() + T1, self._repeat, leg, T1, time.monotonic())

    def _repeat(self, leg, interval, since):
        """RFC 3261 13.3.1.4."""
        if leg.acked or leg.superseded or time.monotonic() - since > 64 * T1:
            return
        self.uas.sendto(leg.last, leg.peer)
        following = min(interval * 2, T2)
        self._at(time.monotonic() + following, self._repeat, leg, following, since)

    def _on_ack(self, call, msg):
        tag = msg.tag("to")
        for leg in call.legs if call else ():
            if leg.tag == tag and msg.cseq[0] == 1:
                leg.acked = True
                if not leg.msg.key == msg.key:      # of a 2xx: a transaction of its own
                    call.confirmed.add(tag)

    def _on_cancel(self, msg, peer):
        branch, sent_by, _ = msg.key
        leg = self.legs.get((branch, sent_by, "INVITE"))
        self.uas.sendto(response_to(msg, 200 if leg else 481, to_tag="c").bytes(), peer)
        if leg and not leg.final:
            self._reply(leg, 487)
            self._rings_on(leg.call)

    def _rings_on(self, call):
        """What came last is gone; whatever rang before it still rings, and is answered."""
        left = next((leg for leg in reversed(call.legs) if not leg.final), None)
        if left and left.superseded and not call.cancelled:
            left.superseded = False
            self._at(time.monotonic() + self.plan.ring, self._answer, left)

    def _callee_hangs_up(self, call):
        """BYE by the leg that was confirmed, and its own route set."""
        leg = next((leg for leg in call.legs if leg.tag in call.confirmed), None)
        if leg is None:
            # RFC 3261 15: no BYE before the ACK.
            if time.monotonic() > call.answered_at + self.plan.patience:
                self._end(call, "established, and the callee has no ACK")
            else:
                self._at(time.monotonic() + 0.1, self._hang_up, call)
            return
        call.state, call.left = "ending", True
        msg = Msg(f"BYE {uri_of(leg.msg.get('contact'))} SIP/2.0")
        msg.add("Via", f"SIP/2.0/UDP {self.callee[0]}:{self.callee[1]};branch=z9hG4bK{token()};rport")
        msg.add("Max-Forwards", 70).add("From", leg.msg.get("to") + f";tag={leg.tag}")
        msg.add("To", leg.msg.get("from")).add("Call-ID", call.call_id).add("CSeq", "1 BYE")
        for route in leg.msg.all("record-route"):
            msg.add("Route", route)
        self.byes[msg.branch] = call
        self._repeat_bye(call, msg.branch, msg.bytes(), leg.peer, T1, time.monotonic())

    def _repeat_bye(self, call, branch, data, peer, interval, since):
        if branch not in self.byes:
            return
        if time.monotonic() - since > self.plan.patience:
            self._end(call, "no answer to the callee's BYE")
            return
        self.uas.sendto(data, peer)
        self._at(time.monotonic() + interval, self._repeat_bye, call, branch, data, peer,
                 min(2 * interval, 2.0), since)

    def _on_bye_answered(self, msg):
        call = self.byes.pop(msg.branch, None)
        if call is None:    # it was repeated
            return
        call.got_bye += 1
        if msg.status != 200 or not call.over:
            self._end(call, f"{msg.status} to the callee's BYE")

    def _on_inside(self, call, msg, peer):
        known = self.others.get(msg.key)
        if known is None:
            mine = call and any(leg.tag == msg.tag("to") for leg in call.legs)
            lines = [("Contact", f"<sip:{self.user}@{self.callee[0]}:{self.callee[1]}>")]
            known = response_to(msg, 200 if mine else 481, headers=lines).bytes()
            self.others[msg.key] = known
            if mine and msg.method == "BYE":
                call.got_bye += 1
                if call.got_bye > 1:
                    self.notes["second BYE"] += 1
                self._rings_on(call)
        self.uas.sendto(known, peer)
