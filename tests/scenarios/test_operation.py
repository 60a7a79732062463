# SPDX-License-Identifier: Apache-2.0
"""What an operator relies on: options take effect when they say so, signals, systemd, the log."""

import contextlib
import fcntl
import json
import os
import re
import select
import signal
import socket
import subprocess
import threading
import time

from lib import netns
from lib.proxy import options_ping
from lib.scenario import check, complete_call, equal, eventually, hang_up, scenario
from lib.sip import Msg
from test_daemon import PROXY, _exchange, _read_all, _request, _status, _tcp, _udp

ETH_P_ALL, PACKET_OUTGOING, F_SETPIPE_SZ = 3, 4, 1031


def _reload(proxy, **options):
    """The running proxy with these options changed."""
    mark = time.monotonic()
    proxy.options.update({name.replace("_", "-"): value for name, value in options.items()})
    proxy.write()
    proxy.reload()
    check(proxy.log_matches(r"configuration reloaded\W+event\W+45002", 5, mark), "not reloaded")


def _ask(world, uri, **change):
    """Final status of OPTIONS to `uri` over UDP."""
    return _status(_exchange(world, _request("OPTIONS", uri, "UDP", **change)))


def _answers(world):
    final = options_ping(world.net.caller, PROXY, "udp", netns.CALLER, 0.5)
    return final and final.status == 200


# --- options -------------------------------------------------------------------------------------


class _Marks:
    """TOS bytes and traffic classes of what the proxy sends to the caller's side."""

    def __init__(self, world):
        with world.net.caller.inside():
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self.sock.settimeout(0.1)
        self.seen, self.stopping = {}, False
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        while not self.stopping:
            try:
                data, where = self.sock.recvfrom(65536)
            except TimeoutError:
                continue
            if where[2] == PACKET_OUTGOING:
                continue
            if data[0] >> 4 == 4 and data[9] in (6, 17):
                self._note(4, data[9], data[1])
            elif data[0] >> 4 == 6 and data[6] in (6, 17):
                self._note(6, data[6], (data[0] & 15) << 4 | data[1] >> 4)

    def _note(self, version, protocol, mark):
        self.seen.setdefault((version, "tcp" if protocol == 6 else "udp"), set()).add(mark)

    def stop(self):
        self.stopping = True
        self.thread.join(2)
        self.sock.close()
        return self.seen


@scenario()
def every_packet_carries_the_tos_byte(world):
    marks = _Marks(world)
    world.proxy({"sip-ip-tos": "184"})
    phone = world.registered_phone(transport="tcp")
    call, incoming = complete_call(world.caller(transport="tcp"), "1001", phone)
    hang_up(call, incoming)
    target = (netns.PROXY6_NEAR_CALLER, 5060)
    for transport in ("udp", "tcp"):
        check(options_ping(world.net.caller, PROXY, transport, netns.CALLER, 3), transport)
        check(options_ping(world.net.caller, target, transport, netns.CALLER6, 3), transport)
    world.caller("x", port=5090, transport="tcp")
    opened = phone.invite("x", uri=f"sip:x@{netns.CALLER}:5090;transport=tcp")
    check(opened.wait_established(5), "no call over a connection that the proxy opened")
    seen = marks.stop()
    equal(seen, dict.fromkeys([(4, "tcp"), (4, "udp"), (6, "tcp"), (6, "udp")], {184}), "marks")


@scenario()
def keep_alive_timing_follows_a_reload(world):
    """Accepted and opened connections have it; those that stood before are left alone. Each time the
    log says how soon a dead connection is noticed."""
    proxy = world.proxy({"tcp-keep-alive-idle": "33", "tcp-keep-alive-interval": "7",
                         "tcp-keep-alive-probes": "3"})

    def connection():
        sock = _tcp(world)
        sock.sendall(_request())
        check(sock.recv(4000), "no answer")
        return sock

    def timer(port):
        lines = world.net.proxy.run("ss", "-Htno", "state", "established").splitlines()
        return "".join(line for line in lines if line.split()[3].endswith(f":{port}"))

    before = connection()
    mark = time.monotonic()
    _reload(proxy, sip_enable_tcp_keep_alive="true")
    check(proxy.logged("noticed in time after_s=54 ", mark), "54 s are not said")
    after = connection()
    phone = world.registered_phone(transport="tcp")
    world.caller("x", port=5090, transport="tcp")
    call = phone.invite("x", uri=f"sip:x@{netns.CALLER}:5090;transport=tcp")
    check(call.wait_established(5), "no call over a connection that the proxy opened")
    for port in (after.getsockname()[1], 5090):
        eventually(lambda: re.search(r"keepalive,(3[0-3]|2\d)", timer(port)), 5,
                   f"no keep-alive timer of 33 s at port {port}")
    check("keepalive" not in timer(before.getsockname()[1]), "an old connection was changed")
    mark = time.monotonic()
    _reload(proxy, tcp_keep_alive_idle="77")
    check(proxy.logged("noticed late: .* after_s=98 ", mark), "98 s are not said")
    later = connection()
    eventually(lambda: re.search(r"keepalive,1min1\d", timer(later.getsockname()[1])), 5,
               "no keep-alive timer of 77 s")
    mark = time.monotonic()
    _reload(proxy, sip_enable_tcp_keep_alive="false")
    check(proxy.logged("dead connections are not looked for", mark), "it is not said")
    check("keepalive" not in timer(connection().getsockname()[1]), "still on")


def _served(world, count):
    """How many of so many connections are served."""
    socks, answered = [], 0
    for _ in range(count):
        with contextlib.suppress(OSError):
            socks.append(_tcp(world))
    for sock in socks:
        with contextlib.suppress(OSError):
            sock.settimeout(1.0)
            sock.sendall(_request())
            answered += sock.recv(65536).startswith(b"SIP/2.0 200")
    for sock in socks:
        sock.close()
    # Closed by the proxy as well, not only by the peer.
    eventually(lambda: not re.search("ESTAB|CLOSE-WAIT", world.net.proxy.run("ss", "-Htn")), 5,
               "connections stay")
    return answered


@scenario()
def maximum_of_connections_is_exact(world):
    proxy = world.proxy({"tcp-max-connections": "10"})
    equal([_served(world, 20) for _ in range(3)], [10, 10, 10], "connections served")
    _reload(proxy, tcp_max_connections="15")
    equal(_served(world, 20), 15, "connections served after a reload")
    _reload(proxy, tcp_max_connections="100", tcp_max_connections_per_address="5")
    equal(_served(world, 20), 5, "connections served for one address")


@scenario()
def policy_follows_a_reload(world):
    """sip-domains, proxy-require, relay-from, registrar-open-to."""
    proxy = world.proxy({"relay-from": "127.0.0.0/8"})
    phone = world.registered_phone(transport="tcp")
    here = f"sip:1001@{netns.PROXY_NEAR_CALLER}"
    equal(_ask(world, "sip:1001@example.test"), 403, "a domain of others")
    _reload(proxy, sip_domains=f"example.test, {netns.PROXY_NEAR_CALLER}")
    equal(_ask(world, "sip:1001@EXAMPLE.test"), 200, "a domain of ours")
    equal(_ask(world, "sip:nobody@example.test"), 404, "nobody in it")
    equal(_ask(world, here, extra=[("Proxy-Require", "foo")]), 420, "Proxy-Require")
    _reload(proxy, proxy_require="foo, bar")
    equal(_ask(world, here, extra=[("Proxy-Require", "foo")]), 200, "Proxy-Require: foo")
    equal(_ask(world, here, extra=[("Proxy-Require", "baz")]), 420, "Proxy-Require: baz")
    other = world.phone("x", 1, transport="udp")
    equal(_ask(world, f"sip:x@{other.address}:5060"), 403, "relay")
    _reload(proxy, relay_from="any")
    equal(_ask(world, f"sip:x@{other.address}:5060"), 200, "relay from any")
    _reload(proxy, registrar_open_to="127.0.0.1")
    equal(phone.register().status, 403, "REGISTER")


@scenario()
def calls_follow_a_reload(world):
    """resolve-host, fork, timer-c."""
    proxy = world.proxy({"resolve-host": "false"}, {"1001": {"type": "extension"}})
    phone = world.registered_phone(transport="tcp")
    caller = world.caller(transport="tcp")
    call, incoming = complete_call(caller, "1001", phone)
    check(f" {socket.gethostname()}:" in incoming.invite.get("via"), incoming.invite.get("via"))
    hang_up(call, incoming)
    _reload(proxy, resolve_host="true", fork="sequential", fork_ring_time="1")
    second = world.phone("1001", 1, transport="tcp")
    equal(second.register().status, 200, "REGISTER of the second phone")
    phone.script = second.script = [(0.0, 180)]

    def rings(since):
        """When each phone got its INVITE."""
        return sorted(t.arrivals[0] for t in phone.new_calls(since) + second.new_calls(since))

    mark = time.monotonic()
    call = caller.invite("1001")
    eventually(lambda: len(rings(mark)) == 1, 3, "no phone rings")
    via = (phone.new_calls(mark) + second.new_calls(mark))[0].request.get("via")
    check(f" {netns.PROXY}:" in via, f"no address in {via}")
    eventually(lambda: len(rings(mark)) == 2, 5, "the second phone does not ring")
    call.cancel()
    # One after the other the second would ring only when Timer C has ended the first.
    _reload(proxy, fork="parallel", fork_ring_time="30", timer_c="2")
    mark = time.monotonic()
    call = caller.invite("1001")
    first, last = eventually(lambda: len(rings(mark)) == 2 and rings(mark), 5, "two phones do not ring")
    check(last - first < 1.5, f"they do not ring together: {last - first:.2f} s apart")
    final = call.transaction.wait_final(8)
    check(final and final.status in (408, 487), f"Timer C of 2 s: {final and final.status}")


@scenario()
def limits_follow_a_reload(world):
    proxy = world.proxy()
    here = f"sip:{netns.PROXY_NEAR_CALLER}"
    long = [("Subject", "x" * 3000)]
    equal(_ask(world, here, extra=long), 200, "3000 bytes of header")
    _reload(proxy, sip_max_header_size="1024", sip_max_body_size="100", sip_max_headers="16",
            tcp_message_timeout="1")
    equal(_ask(world, here, extra=long), 513, "3000 bytes of header")
    equal(_ask(world, here, body=b"y" * 200), 513, "200 bytes of body")
    check(_ask(world, here, extra=[("X", "1")] * 20) in (400, 513), "27 headers")
    with contextlib.closing(_tcp(world)) as sock:
        sock.sendall(b"OPTIONS sip:x SIP/2.0\r\nVia")
        check(_read_all(sock) is not None, "a message begun and never ended is waited for")


@scenario()
def what_needs_a_restart_stays_as_it_runs(world):
    proxy = world.proxy()
    phone = world.registered_phone(transport="tcp")
    mark = time.monotonic()
    _reload(proxy, sip_port="5070", location="sqlite:/nowhere/x", sip_ip_tos="3", workers="3",
            sip_address="127.0.0.1")
    for name in ("sip-port = 5070", "location", "sip-ip-tos", "workers", "sip-address"):
        check(proxy.logged(f"{name}.* needs a restart", mark), f"nothing said about {name}")
    name = f"sip:{socket.gethostname()}:5060"
    equal(_ask(world, name), 200, "our own name with the port on which we run")
    call, incoming = complete_call(world.caller(transport="tcp"), "1001", phone)
    hang_up(call, incoming)
    mark = time.monotonic()
    _reload(proxy, timer_c="99")
    check(proxy.logged("sip-port = 5070 needs a restart; 5060 stays", mark), "told only once")


# --- signals and systemd -------------------------------------------------------------------------


def _ringing(world, **options):
    proxy = world.proxy(options)
    phone = world.registered_phone(transport="tcp")
    phone.script = [(0.0, 180)]
    call = world.caller(transport="tcp").invite("1001")
    check(call.transaction.wait_status(180), "no 180")
    return proxy, phone, call


def _sigterm(proxy):
    proxy.may_end = True
    proxy.process.signal(signal.SIGTERM)
    check(proxy.log_matches("draining event=45004", 3), "SIGTERM is not noticed")


def _takes_connections(world):
    with world.net.caller.inside():
        sock = socket.socket()
    with contextlib.closing(sock):
        sock.settimeout(2)
        return sock.connect_ex(PROXY) == 0


@scenario()
def drain_takes_no_new_calls(world):
    proxy, phone, call = _ringing(world, drain_timeout="10")
    _sigterm(proxy)
    # Each worker takes part at its next turn, and then closes its listeners.
    eventually(lambda: not _takes_connections(world), 5, "connections are still taken")
    late = world.caller("2009", port=5070, transport="udp").invite("1001")
    final = late.transaction.wait_final(5)
    equal(final and final.status, 503, "a new call")
    check(final.get("retry-after"), "no Retry-After")
    phone.respond(call.transaction and phone.new_calls()[0], 200)
    check(call.wait_established(5), "the call under way was cut")
    equal(proxy.wait_exit(12), 0, "exit status")


def _is_told(call):
    """The caller does not wait for a proxy that is gone."""
    final = call.transaction.wait_final(5)
    equal(final and final.status, 503, "the call that was not answered")
    check(final.get("retry-after"), "no Retry-After")


@scenario()
def second_sigterm_ends_at_once(world):
    proxy, _, call = _ringing(world, drain_timeout="60")
    _sigterm(proxy)
    check(proxy.wait_exit(0.5) is None, "it did not wait for the call")
    proxy.process.signal(signal.SIGTERM)
    _is_told(call)
    equal(proxy.wait_exit(5), 0, "exit status")
    check(proxy.logged("event=45006 .*second time"), "the log does not say why")


@scenario()
def drain_is_bounded(world):
    proxy, phone, call = _ringing(world, drain_timeout="1")
    _sigterm(proxy)
    _is_told(call)
    equal(proxy.wait_exit(8), 0, "exit status")
    equal(len(phone.transactions("CANCEL")), 1, "the phone goes on ringing: CANCELs")


def _order_without_end(path, lines, answers, ending):
    """A client of the control socket that sends its next orders before the last are answered."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as client, \
            contextlib.suppress(OSError):
        client.connect(path)
        client.setblocking(False)
        while not ending.is_set():
            readable, writable, _ = select.select([client], [client], [], 0.1)
            if writable:
                with contextlib.suppress(BlockingIOError):
                    client.send(lines)
            if readable:
                data = client.recv(65536)
                answers.append(data.count(b".ok"))
                if not data:
                    break


@scenario(workers=2)
def orders_without_end_keep_nothing_from_the_main_thread(world):
    """Signals reach it though there is always one more order."""
    proxy = world.proxy({"drain-timeout": "0"})
    path = proxy.options["control-socket"]
    answers, ending = [], threading.Event()
    clients = [threading.Thread(target=_order_without_end, args=(path, lines * 20, answers, ending))
               for lines in (b"set timer-c 99\nset timer-c\n", b"reload\n") * 4]
    try:
        for client in clients:
            client.start()
        eventually(lambda: sum(answers) > 50, 10, "no order is carried out")
        proxy.process.signal(signal.SIGTERM)
        equal(proxy.wait_exit(10), 0, "exit status")
    finally:
        ending.set()
        for client in clients:
            client.join()


@scenario()
def reload_without_a_file_to_read(world):
    proxy = world.proxy()
    os.rename(proxy.conf, proxy.conf + ".away")
    mark = time.monotonic()
    proxy.reload()
    check(proxy.log_matches("reload failed", 4, mark), "not said")
    check(_answers(world), "no answer after it")
    os.rename(proxy.conf + ".away", proxy.conf)
    for _ in range(50):
        proxy.reload()
    check(_answers(world), "no answer after 50 reloads")


@scenario()
def systemd_is_told(world):
    """READY at start; RELOADING with a time not before the signal's, then READY; STOPPING."""
    proxy = world.proxy()
    told = proxy.notify
    sent = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    proxy.reload()
    check(told.wait("RELOADING=1", 5, proxy.process.running), f"told {told.messages}")
    text = next(m for m in told.messages if "RELOADING" in m)
    stamp = int(re.search(r"MONOTONIC_USEC=(\d+)", text).group(1))
    check(stamp >= sent, f"{stamp} is before the signal at {sent}: systemd passes over it")
    at = told.messages.index(text)

    def ready_again():
        told.wait("no such word", 0.05, proxy.process.running)
        return any("READY=1" in m for m in told.messages[at + 1:])
    eventually(ready_again, 5, "no READY after the reload")
    proxy.may_end = True
    proxy.process.signal(signal.SIGTERM)
    check(told.wait("STOPPING=1", 5, lambda: True), f"told {told.messages}")


@scenario()
def service_manager_that_reads_nothing_stops_nothing(world):
    """Its queue is full after some reloads: signals are served all the same."""
    proxy = world.proxy(dns={"1001": {"type": "extension"}})
    for _ in range(8):
        mark = time.monotonic()
        proxy.reload()
        check(proxy.log_matches("configuration reloaded", 5, mark), "not reloaded")
    proxy.process.signal(signal.SIGUSR1)
    check(proxy.log_matches(r"\bdirectory\b"), "SIGUSR1 is not served")
    equal(proxy.stop(5), 0, "exit status")


# --- the log -------------------------------------------------------------------------------------


@scenario()
def json_log_of_a_hostile_network_and_a_broken_file(world):
    name = '10"0\\1\t\x01\u00ff'
    proxy = world.proxy({"log-format": "json", "log-level": "debug"},
                        {name: {"contact": "sip:x@10.77.1.99;transport=tcp"}, "1001": {}})
    here = netns.PROXY_NEAR_CALLER
    for junk in (b"\x00" * 100, b'INVITE "\x01\xff\\ sip:x SIP/2.0\r\nVia: "\xfe\r\n\r\n',
                 os.urandom(1000),
                 b'OPTIONS sip:\x80"\\@x SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK"\x1b[31m\\\r\n'
                 b'CSeq: 1 OPTIONS\r\nCall-ID: "\xc3\x28\\\r\nFrom: "\xed\xa0\x80" <sip:a@b>;tag=1'
                 b'\r\nTo: <sip:"\\@b>\r\n\r\n'):
        for connect in (_udp, _tcp):
            with contextlib.closing(connect(world)) as sock:
                sock.sendall(junk)
    for user in ("%22%5C%00%0a", "a%ff", "x'y"):
        change = {"replace": {"To": f"<sip:{user}@{here}>"},
                  "extra": [("Contact", '"\u00ff\\" <sip:"@1.2.3.4>')]}
        _exchange(world, _request("REGISTER", f"sip:{here}", "UDP", **change))
        _exchange(world, _request("INVITE", f"sip:{user}@{here}", "UDP"))
    proxy.write('[sipproxy]\nlog-format = json\nfork = "\\\u00ff\x01\nfoo\n')
    proxy.reload()
    check(proxy.log_matches("reload failed", 5), "the broken file was taken")
    _reload(proxy, sip_port="5099")
    equal(proxy.stop(), 0, "exit status")
    for _, line in proxy.process.lines:
        try:
            check(isinstance(json.loads(line), dict), f"no JSON object: {line}")
        except ValueError as error:
            raise AssertionError(f"no JSON: {line!r}: {error}") from None


@scenario()
def passwords_are_not_logged(world):
    proxy = world.proxy({"log-level": "debug"},
                        {"1001": {"password": "correct-horse"}})
    phone = world.phone("1001", password="correct-horse", transport="tcp")
    equal(phone.register().status, 200, "REGISTER")
    wrong = world.phone("1001", 1, password="battery-staple", transport="udp")
    equal(wrong.register().status, 401, "REGISTER with a wrong password")
    proxy.write("[sipproxy]\n[dn 1001]\npassword = correct-horse\npassword = staple\n"
                "password-ha1 = 0123secret\npassw = staple\n")
    proxy.reload()
    check(proxy.log_matches("reload failed", 5), "the broken file was taken")
    equal(proxy.stop(), 0, "exit status")
    said = proxy.process.output()
    for secret in ("correct-horse", "battery-staple", "staple", "0123secret", "response=", "nonce="):
        check(secret not in said, f"{secret} stands in the log")


@scenario()
def sigusr1_shows_counters_and_dns(world):
    proxy = world.proxy(dns={"1001": {"type": "extension"},
                             "9000": {"type": "voip-service", "service-type": "recorder",
                                      "contact": "sip:9000@10.77.1.99;transport=tcp"}})
    world.registered_phone(transport="tcp")
    proxy.process.signal(signal.SIGUSR1)
    check(proxy.log_matches(r"counters .*registrations=1", 5), "no counters")
    check(proxy.log_matches(r"directory name=1001 type=extension state=in-service .*bindings=1", 5), "no DN")
    check(proxy.log_matches(r"10\.77\.1\.2:5060", 5), "no binding")
    check(proxy.log_matches(r"directory name=9000 type=voip-service service_type=recorder", 5), "no service-type")


@scenario()
def counters_stand_in_the_log_at_the_end(world):
    proxy = world.proxy()
    phone = world.registered_phone(transport="tcp")
    call, incoming = complete_call(world.caller(transport="tcp"), "1001", phone)
    hang_up(call, incoming)
    equal(proxy.stop(), 0, "exit status")
    counted = dict(re.findall(r"(\w+)=(\d+)", " ".join(
        line for _, line in proxy.process.lines if "counters" in line)))
    equal(counted.get("registrations"), "1", f"registrations in {counted}")
    equal(counted.get("messages_received"), "7", f"messages in {counted}")


@scenario()
def log_that_nobody_reads_stops_nothing(world):
    """stderr is a pipe that is full: lines are lost, calls are not."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, F_SETPIPE_SZ, 4096)
    proxy = world.proxy({"log-level": "debug"}, start=False)
    child = subprocess.Popen(["ip", "netns", "exec", world.net.proxy.name, world.binary, "-c",
                              proxy.conf], stderr=writer, stdin=subprocess.DEVNULL)
    try:
        eventually(lambda: _answers(world), 10, "it does not start", 0.1)
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * 512)
        os.set_blocking(writer, True)
        for _ in range(60):
            for connect in (_udp, _tcp):
                with contextlib.closing(connect(world)) as sock:
                    sock.sendall(b"INVITE x\r\n\r\n")
        phone = world.registered_phone(transport="tcp")
        call, incoming = complete_call(world.caller(transport="tcp"), "1001", phone)
        hang_up(call, incoming)
        child.terminate()
        equal(child.wait(15), 0, "exit status")
    finally:
        child.kill()
        child.wait()
        os.close(reader)
        os.close(writer)


# --- the wire ------------------------------------------------------------------------------------


@scenario(timeout=100)
def flood_of_connections_leaves_descriptors_to_the_proxy(world):
    """When callers hold all they can get, phones are still reached over connections we open."""
    proxy = world.proxy({"relay-from": "10.77.0.0/16"}, limit_files=100)
    world.phone("x", 0, transport="tcp")
    caller = world.caller(transport="udp")
    held = []
    for _ in range(150):
        with world.net.caller.inside():
            sock = socket.socket()
        sock.settimeout(2)
        with contextlib.suppress(OSError):
            sock.connect(PROXY)
        held.append(sock)
    check(proxy.log_matches("accepting pauses event=41012", 5), "it is not logged")
    call = caller.invite("x", uri=f"sip:x@{netns.PHONE}:5060;transport=tcp")
    check(call.wait_established(8), f"not reached: {call.transaction.statuses()}")
    for sock in held:
        sock.close()


@scenario()
def responses_go_where_rfc_3581_says(world):
    world.proxy()
    ends = []
    for port in (40001, 40002):
        with world.net.caller.inside():
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((netns.CALLER, port))
        sock.settimeout(3)
        ends.append(sock)
    sender, named = ends
    for sent_by, rport, getter in (("192.168.1.1:40002", "", named),
                                   ("192.168.1.1:40002", ";rport", sender),
                                   (f"{netns.CALLER}:40002", ";rport", sender),
                                   ("host.invalid:40002", "", named)):
        via = f"SIP/2.0/UDP {sent_by}{rport};branch=z9hG4bK{len(sent_by)}{len(rport)}"
        sender.sendto(_request(transport="UDP", replace={"Via": via}), PROXY)
        data, source = getter.recvfrom(65536)
        got = Msg.parse(data)
        equal((got.status, source), (200, PROXY), f"response to {via}")
        check(netns.CALLER in got.get("via"), f"no received in {got.get('via')}")
        check(not rport or "rport=40001" in got.get("via"), f"no rport in {got.get('via')}")
