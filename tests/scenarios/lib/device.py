# SPDX-License-Identifier: Apache-2.0
"""A SIP device for tests: registers, answers, calls; counts transactions by branch as RFC 3261 17.2.3 does."""

import time

from .sip import (Msg, Uri, digest_answer, params_of, parse_challenge, response_to, token, uri_of)
from .transport import Endpoint

T1, T2 = 0.5, 4.0
SDP = ("v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\n"
       "m=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n")


class ClientTransaction:
    """A request we sent and the responses to it."""

    def __init__(self, device, request, conn):
        self.device, self.request, self.conn = device, request, conn
        self.branch, self.method = request.branch, request.method
        self.started = time.monotonic()
        self.responses = []  # (time, Msg, conn)
        self.call = None

    @property
    def final(self):
        for _, msg, _ in self.responses:
            if msg.status >= 200:
                return msg
        return None

    def statuses(self):
        return [msg.status for _, msg, _ in self.responses]

    def time_of(self, status):
        """Seconds from the request to this response, or None."""
        for when, msg, _ in self.responses:
            if msg.status == status:
                return when - self.started
        return None

    def wait_final(self, timeout=10.0):
        return self.device.wait(lambda: self.final, timeout)

    def wait_status(self, status, timeout=5.0):
        return self.device.wait(
            lambda: next((m for _, m, _ in self.responses if m.status == status), None), timeout)

    def wait_any(self, timeout=5.0):
        return self.device.wait(lambda: self.responses, timeout)

    def final_after(self):
        """Seconds from the request to its final response."""
        for when, msg, _ in self.responses:
            if msg.status >= 200:
                return when - self.started
        return None


class ServerTransaction:
    """A request we got: how many copies, on which connections, and what we answered last."""

    def __init__(self, request, conn):
        self.request, self.conn, self.conns = request, conn, [conn]
        self.copies, self.arrivals = 1, [time.monotonic()]
        self.last = None
        self.final_sent = False
        self.acks = 0
        self.call = None


class Call:
    """Our half of a dialog, as caller or callee."""

    def __init__(self, device, caller, invite):
        self.device, self.caller, self.invite = device, caller, invite
        self.call_id = invite.call_id
        self.cseq = invite.cseq[0] if caller else 1
        self.local_tag = invite.tag("from") if caller else token(4)
        self.remote_tag = "" if caller else invite.tag("from")
        self.local = invite.get("from") if caller else invite.get("to") + f";tag={self.local_tag}"
        self.remote = invite.get("to") if caller else invite.get("from")
        self.route, self.target = [], ""
        self.established = self.ended = False
        self.transaction = None      # the INVITE's, client or server
        self.requests = []           # requests inside the dialog that came to us
        self.acked = 0
        if not caller:
            self.route = invite.all("record-route")
            self.target = uri_of(invite.get("contact"))

    def learn(self, response):
        """RFC 3261 12.1.2: the dialog as the 2xx makes it."""
        self.remote_tag, self.remote = response.tag("to"), response.get("to")
        self.route = list(reversed(response.all("record-route")))
        self.target = uri_of(response.get("contact"))
        self.established = True

    def wait_established(self, timeout=10.0):
        return self.device.wait(lambda: self.established, timeout)

    def wait_acked(self, timeout=5.0):
        return self.device.wait(lambda: self.acked, timeout)

    def wait_ended(self, timeout=10.0):
        return self.device.wait(lambda: self.ended, timeout)

    def wait_request(self, method, timeout=5.0):
        return self.device.wait(
            lambda: next((m for m in self.requests if m.method == method), None), timeout)

    def request(self, method, body=b"", headers=(), conn=None):
        """Send a request inside the dialog, by its route set."""
        self.cseq += 1
        return self.device.in_dialog(self, method, self.cseq, body, headers, conn)

    def bye(self):
        self.ended = True
        return self.request("BYE")

    def reinvite(self):
        body = SDP.format(self.device.address).encode()
        return self.request("INVITE", body, [("Contact", self.device.contact()),
                                             ("Content-Type", "application/sdp")])

    def acknowledge(self):
        """The ACK of the 2xx that `hold_acks` kept back."""
        with self.device.cond:
            self.device.in_dialog(self, "ACK", self.invite.cseq[0])

    def cancel(self):
        """CANCEL of our own INVITE, on its connection."""
        return self.device.cancel(self.transaction)


class Device(Endpoint):
    """A phone: `script` says how an INVITE is answered, as a list of (delay, status)."""

    def __init__(self, namespace, address, user, proxy, port=5060, transport="tcp", password=None,
                 **sockets):
        self.user, self.proxy, self.transport = user, proxy, transport
        self.proxy_tls_port = 5061
        self.scheme = "sip"          # or "sips" (RFC 5630)
        self.password, self.auth_user = password, user
        self.domain = f"[{proxy[0]}]" if ":" in proxy[0] else proxy[0]
        self.script = [(0.0, 180), (0.05, 200)]
        self.answer_on = "latest"    # or "first": where a repeated request is answered
        self.silent = set()          # methods that get no response at all
        self.replies = {}            # method -> status, for requests other than INVITE
        self.clients, self.servers = {}, {}
        self.calls, self.order = [], []
        self.registered_by = None
        self.register_seq, self.register_call = 0, f"{token()}@{address}"
        self.nonce_count = 0
        self.retransmit_2xx = True
        self.hold_acks = False       # the ACK of a 2xx waits for Call.acknowledge
        super().__init__(namespace, address, port, name=f"{user}@{address}", **sockets)

    # --- identity ------------------------------------------------------------------------

    def aor(self, user=None):
        return f"{self.scheme}:{user or self.user}@{self.domain}"

    def port_of(self, transport):
        """Where we listen."""
        return self.tls_port if transport == "tls" else self.port

    def proxy_at(self, transport):
        """Where the proxy listens."""
        return (self.proxy[0], self.proxy_tls_port) if transport == "tls" else self.proxy

    def contact(self, transport=None, params=""):
        transport = transport or self.transport
        suffix = f";transport={transport}" if transport != "udp" and self.scheme == "sip" else ""
        return f"<{self.scheme}:{self.user}@{self.host}:{self.port_of(transport)}{suffix}>{params}"

    def via(self, transport):
        return (f"SIP/2.0/{transport.upper()} {self.host}:{self.port_of(transport)};"
                f"branch=z9hG4bK{token()};rport")

    # --- sending requests ----------------------------------------------------------------

    def build(self, method, uri, transport, sender, to, call_id, cseq, headers=(), body=b""):
        msg = Msg(f"{method} {uri} SIP/2.0")
        msg.add("Via", self.via(transport)).add("Max-Forwards", 70)
        msg.add("From", sender).add("To", to).add("Call-ID", call_id)
        msg.add("CSeq", f"{cseq} {method}")
        for name, value in headers:
            msg.add(name, value)
        msg.body = body
        return msg

    def start(self, conn, request, call=None):
        """Begin a client transaction; over UDP the request is repeated until answered."""
        txn = ClientTransaction(self, request, conn)
        txn.call = call     # known before the first response can arrive
        with self.cond:
            self.clients[(request.branch, request.method)] = txn
            self.send(conn, request)
            if conn.transport == "udp":
                self.after(T1, self._retransmit, txn, T1)
        return txn

    def _retransmit(self, txn, interval):
        done = txn.responses if txn.method == "INVITE" else txn.final
        if done or time.monotonic() - txn.started > 64 * T1:
            return
        self.send(txn.conn, txn.request)
        following = interval * 2 if txn.method == "INVITE" else min(interval * 2, T2)
        self.after(following, self._retransmit, txn, following)

    def path(self, transport=None, conn=None):
        transport = transport or self.transport
        return conn or self.path_to(transport, self.proxy_at(transport))

    def request(self, method, uri, conn=None, transport=None, headers=(), body=b"", to=None,
                sender=None, call_id=None, cseq=1):
        """A request outside any dialog."""
        conn = self.path(transport, conn)
        msg = self.build(method, uri, conn.transport,
                         sender or f"<{self.aor()}>;tag={token(4)}", to or f"<{uri}>",
                         call_id or f"{token()}@{self.address}", cseq, headers, body)
        return self.start(conn, msg)

    def register(self, conn=None, expires=300, contacts=None, headers=(), transport=None,
                 user=None, timeout=5.0, answer_challenge=True, credentials=None, call_id=None,
                 cseq=None):
        """Send REGISTER and return its final response (None: none came); answers one challenge."""
        conn = self.path(transport, conn)
        if cseq is None:
            self.register_seq += 1
            cseq = self.register_seq
        aor = self.aor(user)
        lines = [("Contact", c) for c in (contacts if contacts is not None
                                          else [self.contact(conn.transport)])]
        if expires is not None:
            lines.append(("Expires", expires))
        lines += list(headers)
        if credentials:
            lines.append(("Authorization", credentials))
        msg = self.build("REGISTER", f"{self.scheme}:{self.domain}", conn.transport,
                         f"<{aor}>;tag={token(4)}", f"<{aor}>", call_id or self.register_call,
                         cseq, lines)
        self.registered_by = conn
        final = self.start(conn, msg).wait_final(timeout)
        if final and final.status == 401 and self.password and answer_challenge and not credentials:
            return self.register(conn, expires, contacts, headers, transport, user, timeout, False,
                                 self.credentials(final, "REGISTER", msg.uri),
                                 call_id)
        return final

    def credentials(self, response, method, uri, algorithm=None, nc=None):
        """Authorization for the challenge in a 401 or 407; the first one offered unless named."""
        self.nonce_count = 1 if nc is None else nc
        challenges = [parse_challenge(v) for v in
                      response.all("www-authenticate") + response.all("proxy-authenticate")]
        for challenge in challenges:
            if algorithm is None or challenge.get("algorithm", "MD5").lower() == algorithm.lower():
                return digest_answer(challenge, method, uri, self.auth_user, self.password,
                                     self.nonce_count)
        raise AssertionError(f"no challenge with {algorithm} in {response.brief()}")

    def invite(self, user, conn=None, transport=None, headers=(), body=None, uri=None, cseq=1,
               call_id=None):
        """Place a call; ACKs are sent as responses come."""
        conn = self.path(transport, conn)
        uri = uri or self.aor(user)
        body = SDP.format(self.address).encode() if body is None else body
        lines = [("Contact", self.contact(conn.transport)),
                 ("Content-Type", "application/sdp"), *headers]
        msg = self.build("INVITE", uri, conn.transport, f"<{self.aor()}>;tag={token(4)}",
                         f"<{uri}>", call_id or f"{token()}@{self.address}", cseq, lines, body)
        with self.cond:
            call = Call(self, True, msg)
            self.calls.append(call)
            call.transaction = self.start(conn, msg, call)
        return call

    def cancel(self, txn):
        old = txn.request
        msg = Msg(f"CANCEL {old.uri} SIP/2.0")
        msg.add("Via", old.get("via")).add("Max-Forwards", 70)
        msg.add("From", old.get("from")).add("To", old.get("to")).add("Call-ID", old.call_id)
        msg.add("CSeq", f"{old.cseq[0]} CANCEL")
        for route in old.all("route"):
            msg.add("Route", route)
        return self.start(txn.conn, msg)

    def next_hop(self, call, conn):
        """(transport, address) of the first Route or the target (RFC 3261 12.2.1.1, loose)."""
        uri = Uri(uri_of(call.route[0]) if call.route else call.target)
        transport = "tls" if uri.scheme == "sips" else uri.transport or "udp"
        numeric = uri.host.replace(".", "").isdigit() or ":" in uri.host
        default = 5061 if transport == "tls" else 5060
        peer = (uri.host, uri.port or default) if numeric else self.proxy_at(transport)
        return conn or self.path_to(transport, peer)

    def in_dialog(self, call, method, cseq, body=b"", headers=(), conn=None):
        conn = self.next_hop(call, conn)
        lines = [("Route", r) for r in call.route] + list(headers)
        msg = self.build(method, call.target, conn.transport, call.local, call.remote,
                         call.call_id, cseq, lines, body)
        if method == "ACK":
            self.send(conn, msg)
            return None
        return self.start(conn, msg, call)

    # --- receiving -----------------------------------------------------------------------

    def on_message(self, conn, msg):
        if msg.is_response:
            self._on_response(conn, msg)
        elif msg.method == "ACK":
            self._on_ack(msg)
        else:
            self._on_request(conn, msg)

    def _on_response(self, conn, msg):
        txn = self.clients.get((msg.branch, msg.cseq[1]))
        if txn is None:
            self.notes.append((time.monotonic(), f"stray {msg.brief()} {msg.branch}"))
            return
        txn.responses.append((time.monotonic(), msg, conn))
        if txn.method != "INVITE" or msg.status < 200:
            return
        if msg.status >= 300:
            self._ack_failure(txn, msg)
        elif txn.call:
            if not txn.call.established:
                txn.call.learn(msg)
            if not self.hold_acks:
                self._ack_success(txn.call, txn.request, msg)

    def _ack_failure(self, txn, response):
        """RFC 3261 17.1.1.3: same branch, same connection."""
        old = txn.request
        ack = Msg(f"ACK {old.uri} SIP/2.0")
        ack.add("Via", old.get("via")).add("Max-Forwards", 70)
        ack.add("From", old.get("from")).add("To", response.get("to"))
        ack.add("Call-ID", old.call_id).add("CSeq", f"{old.cseq[0]} ACK")
        for route in old.all("route"):
            ack.add("Route", route)
        self.send(txn.conn, ack)

    def _ack_success(self, call, request, response):
        if request.tag("to"):
            # A re-INVITE changes the target, never the route set (RFC 3261 12.2.1.2).
            call.target = uri_of(response.get("contact")) or call.target
            self.in_dialog(call, "ACK", request.cseq[0])
            return
        # A second 2xx from another branch of a fork has a tag and a route set of its own.
        copy = Call(self, True, request)
        copy.learn(response)
        copy.local, copy.call_id = call.local, call.call_id
        self.in_dialog(copy, "ACK", request.cseq[0])

    def _on_ack(self, msg):
        for txn in self.order:
            if (txn.request.method == "INVITE" and txn.request.call_id == msg.call_id
                    and txn.request.cseq[0] == msg.cseq[0]):
                txn.acks += 1
                if txn.call:
                    txn.call.acked += 1

    def _on_request(self, conn, msg):
        txn = self.servers.get(msg.key)
        if txn is not None:
            txn.copies += 1
            txn.arrivals.append(time.monotonic())
            txn.conns.append(conn)
            if self.answer_on == "latest":
                txn.conn = conn
            if txn.last is not None:
                self.send(self._way_back(txn), txn.last)
            return
        txn = ServerTransaction(msg, conn)
        self.servers[msg.key] = txn
        self.order.append(txn)
        if msg.method in self.silent:
            return
        if msg.method == "INVITE":
            self._on_invite(txn)
        elif msg.method == "CANCEL":
            self._on_cancel(txn)
        else:
            self._on_other(txn)

    def _way_back(self, txn):
        """RFC 3261 18.2.2: the connection of the request while open, else a new one to the Via."""
        if not txn.conn.closed:
            return txn.conn
        via = txn.request.get("via")
        sent_by = Uri("sip:x@" + via.split(";")[0].split()[-1])
        host = params_of(via).get("received") or sent_by.host
        numeric = host.replace(".", "").isdigit() or ":" in host
        transport = txn.conn.transport
        default = 5061 if transport == "tls" else 5060
        peer = (host, sent_by.port or default) if numeric else self.proxy_at(transport)
        try:
            txn.conn = self.path_to(transport, peer)
        except OSError as error:
            self.notes.append((time.monotonic(), f"no way back to {peer}: {error}"))
        return txn.conn

    def find_call(self, msg):
        for call in self.calls:
            if call.call_id == msg.call_id and call.local_tag == msg.tag("to"):
                return call
        return None

    def _on_invite(self, txn):
        inside = self.find_call(txn.request)
        if inside:
            inside.requests.append(txn.request)
            txn.call = inside
            self.respond(txn, 200)
            return
        call = Call(self, False, txn.request)
        call.transaction, txn.call = txn, call
        self.calls.append(call)
        delay = 0.0
        for wait, status in self.script:
            delay += wait
            if delay == 0.0:
                self.respond(txn, status)
            else:
                self.after(delay, self.respond, txn, status)

    def respond(self, txn, status, headers=(), body=None):
        """Answer; nothing follows a final response."""
        with self.cond:
            if txn.final_sent:
                return
            lines, tag = list(headers), txn.call.local_tag if txn.call else token(4)
            is_invite = txn.request.method == "INVITE"
            if is_invite and 100 < status < 300:
                lines.append(("Contact", self.contact(txn.conn.transport)))
            if is_invite and status == 200:
                lines.append(("Content-Type", "application/sdp"))
                body = SDP.format(self.address).encode() if body is None else body
            msg = response_to(txn.request, status, to_tag=tag, headers=lines, body=body or b"")
            txn.last, txn.final_sent = msg, status >= 200
            if is_invite and 200 <= status < 300:
                txn.call.established = True
                if self.retransmit_2xx:
                    self.after(T1, self._repeat_2xx, txn, T1)
            elif is_invite and status >= 300 and txn.conn.transport == "udp":
                self.after(T1, self._repeat_2xx, txn, T1)
            self.send(self._way_back(txn), msg)
            self.cond.notify_all()

    def _repeat_2xx(self, txn, interval):
        """RFC 3261 13.3.1.4 (and Timer G for failures over UDP): until the ACK."""
        if txn.acks or time.monotonic() - txn.arrivals[0] > 64 * T1:
            return
        self.send(self._way_back(txn), txn.last)
        following = min(interval * 2, T2)
        self.after(following, self._repeat_2xx, txn, following)

    def _on_cancel(self, txn):
        branch, sent_by, _ = txn.request.key
        invite = self.servers.get((branch, sent_by, "INVITE"))
        self.respond(txn, 200 if invite else 481)
        if invite and not invite.final_sent:
            invite.call.ended = True
            self.respond(invite, 487)

    def _on_other(self, txn):
        call = self.find_call(txn.request)
        if call:
            call.requests.append(txn.request)
            if txn.request.method == "BYE":
                call.ended = True
        status = self.replies.get(txn.request.method)
        if status is None:
            # RFC 3261 12.2.2: of a dialog that we do not know.
            status = 481 if txn.request.tag("to") and not call else 200
        self.respond(txn, status)

    # --- counting ------------------------------------------------------------------------

    def transactions(self, method, since=0.0):
        """Server transactions of this method: each is one request, however many copies came."""
        with self.cond:
            return [t for t in self.order
                    if t.request.method == method and t.arrivals[0] >= since]

    def new_calls(self, since=0.0):
        """INVITE transactions outside any dialog."""
        return [t for t in self.transactions("INVITE", since) if not t.request.tag("to")]

    def wait_transaction(self, method, timeout=5.0, count=1, since=0.0):
        """The count-th server transaction of this method, or None."""
        return self.wait(lambda: (self.transactions(method, since)[count - 1:] or [None])[0],
                         timeout)

    def wait_call(self, timeout=5.0, count=1):
        """The count-th call that came to us, or None."""
        return self.wait(lambda: ([c for c in self.calls if not c.caller][count - 1:] or [None])[0],
                         timeout)
