# SPDX-License-Identifier: Apache-2.0
"""Messages that are kept, shown, masked, written as a capture file, and sent to a HEP collector."""

import base64
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.parse

from lib import netns
from lib.hep import Collector
from lib.scenario import Skip, check, complete_call, equal, eventually, hang_up, scenario
from lib.sip import token

SECRETS = ["Sec-" + token(6) for _ in range(3)]
PRIVATE = [("X-Genesys-UserData", SECRETS[0]), ("x-fold", "a,\r\n " + SECRETS[1]),
           ("Subject", "shown"), ("X-Shown", "shown too")]
MASKED = {"x-sip-mask-sensitive-data": "true", "x-sip-unmask-headers": "X-Shown"}


def _proxy(world, **options):
    world.needs("hep-collector")
    return world.proxy({"admin-address": "none", **options})


def _trace(proxy, *words):
    """Rows of the command, as dictionaries."""
    return proxy.control("trace", *words)["message"]


def _devices(world, transport):
    return world.caller(transport=transport), world.registered_phone(transport=transport)


def _call(devices, **more):
    """A whole call from the caller to a registered phone; its Call-ID."""
    caller, phone = devices
    made, taken = complete_call(caller, phone.user, phone, **more)
    hang_up(made, taken)
    return made.call_id


def _check_ladder(rows, call_id, transport, secrets=()):
    """Every message of the call, in its order; those that come before what becomes of them."""
    check(all(r["call_id"] == call_id for r in rows), "messages of another call")
    check([r["time_us"] for r in rows] == sorted(r["time_us"] for r in rows), "not in order")
    check(all(r["transport"] == transport for r in rows), "another transport")
    names = [(r["direction"], r["method"], r["status"]) for r in rows]
    for wanted in (("in", "INVITE", 0), ("out", "INVITE", 0), ("in", "INVITE", 200), ("out", "INVITE", 200), ("in", "ACK", 0),
                   ("out", "ACK", 0), ("in", "BYE", 0), ("out", "BYE", 0), ("in", "BYE", 200),
                   ("out", "BYE", 200)):
        check(wanted in names, f"{wanted} is missing in {names}")
    equal(names[0], ("in", "INVITE", 0), "first message")
    check(abs(rows[0]["time_us"] / 1e6 - time.time()) < 60, "the time is not now")
    for row in rows:
        check(not row["cut"] and row["remote"] and ":0" not in row["local"][-2:], row)
        check((row["connection"] != "") == (transport != "udp"), row["connection"])
        for secret in secrets:
            check(secret not in json.dumps(row), f"{secret} is shown in {row['start_line']}")
            coded = base64.b64decode(row.get("bytes", ""))
            check(secret.encode() not in coded, f"{secret} is in the bytes")


@scenario(transport=("udp", "tcp", "tls"))
def trace_shows_the_messages_of_a_call(world, transport):
    tls = world.tls_options() if transport == "tls" else {}
    proxy = _proxy(world, **tls)
    devices = _devices(world, transport)
    call_id, other = _call(devices), _call(devices)
    rows = _trace(proxy, call_id)
    _check_ladder(rows, call_id, transport)
    invite = rows[0]
    check(invite["text"].startswith("INVITE sip:") and "\r\n\r\nv=0" in invite["text"], invite)
    equal(invite["remote"].rsplit(":", 1)[0], netns.CALLER, "remote")
    equal(invite["from"], f"sip:2001@{netns.PROXY_NEAR_CALLER}", "from")
    equal(invite["length"], len(invite["text"].encode()), "length")
    by_user = _trace(proxy, "1001")
    check({r["call_id"] for r in by_user} >= {call_id, other}, "by DN")
    equal(_trace(proxy, call_id, str(rows[-1]["time_us"])), [], "since the last")
    equal(_trace(proxy, "nobody"), [], "of nobody")


@scenario()
def trace_masks_wherever_messages_are_shown(world):
    """Rows, API, HEP and the log: none of the secrets in any."""
    collector = Collector(world.net.proxy, "127.0.0.1", 9060)
    proxy = _proxy(world, log_level="debug", hep_collector="127.0.0.1:9060",
                   **{"admin-address": "127.0.0.1:8060"}, **MASKED)
    phone = world.registered_phone(transport="udp")
    caller = world.caller(transport="udp")
    made, taken = complete_call(caller, phone.user, phone, headers=PRIVATE)
    final = made.request("INFO", body=SECRETS[2].encode(),
                         headers=[("Content-Type", "application/x-private")]).wait_final(5)
    check(final is not None, "no answer to INFO")
    hang_up(made, taken)
    call_id = made.call_id
    rows = _trace(proxy, call_id, "0", "1")
    _check_ladder(rows, call_id, "udp", SECRETS)
    text = rows[0]["text"]
    for wanted in ("X-Genesys-UserData: *\r\n", "x-fold: *\r\n", "Subject: shown\r\n",
                   "X-Shown: shown too\r\n", "v=0\r\n"):
        check(wanted in text, f"{wanted!r} is not in {text}")
    info = [r for r in rows if r["method"] == "INFO" and r["status"] == 0]
    check(len(info) == 2, "no INFO")
    for row in info:
        check("\r\nContent-Length: 16\r\n" in row["text"], row["text"])
        check(row["text"].endswith("\r\n\r\nCONTENT FILTERED"), row["text"])
    with world.net.proxy.inside():
        api = http.client.HTTPConnection("127.0.0.1", 8060, timeout=10)
        api.connect()
    api.request("GET", "/api/v1/trace?" + urllib.parse.urlencode({"match": call_id}))
    answer = json.loads(api.getresponse().read())
    _check_ladder(answer["message"], call_id, "udp", SECRETS)
    eventually(lambda: len(collector.packets) >= len(rows), 5, "packets are missing")
    collector.close()
    proxy.check_alive()
    for where, shown in (("HEP", b"".join(collector.payloads()).decode()),
                         ("the log", proxy.process.output())):
        for secret in SECRETS:
            check(secret not in shown, f"{secret} is shown by {where}")
    check(proxy.logged(r"debug sip message received .*X-Genesys-UserData: \*"), "no line of the log")
    check(proxy.logged(r"debug sip message sent .*CONTENT FILTERED"), "no line of the log")


# --- HEP -------------------------------------------------------------------------------------


@scenario(transport=("udp", "tls"))
def trace_hep_collector_gets_every_message(world, transport):
    """With address, port, protocol and time of each; what it gets is what the proxy has kept."""
    collector = Collector(world.net.caller, netns.CALLER, 9063)
    tls = world.tls_options() if transport == "tls" else {}
    proxy = _proxy(world, hep_collector=f"{netns.CALLER}:9063", hep_capture_id="2001",
                   hep_password="open", **tls)
    call_id = _call(_devices(world, transport))
    rows = _trace(proxy, call_id)
    got = eventually(lambda: [p for p in collector.packets
                              if p["correlation"].decode() == call_id and len(rows) <=
                              sum(q["correlation"] == p["correlation"] for q in collector.packets)],
                     5, "packets are missing")
    equal(collector.faults, [], "packets with mistakes")
    equal(len(got), len(rows), "packets of the call")
    stamp = lambda p: p["seconds"] * 1000000 + p["microseconds"]  # noqa: E731
    for packet, row in zip(sorted(got, key=stamp), rows):
        source = (packet["source"], packet["source_port"])
        target = (packet["destination"], packet["destination_port"])
        local, remote = (target, source) if row["direction"] == "in" else (source, target)
        equal("%s:%d" % remote, row["remote"], "remote")
        equal("%s:%d" % local, row["local"], "local")
        equal(stamp(packet), row["time_us"], "time")
        equal(packet["payload"].decode(), row["text"], "payload")
        equal(packet["protocol"], 17 if transport == "udp" else 6, "protocol")
        equal((packet["capture_id"], packet["password"]), (2001, b"open"), "who sends")
    collector.close()


@scenario()
def trace_hep_collector_away_costs_no_call(world):
    """Nobody listens: calls go on, what is lost is counted and said once; then it is there."""
    proxy = _proxy(world, hep_collector=f"{netns.CALLER}:9064")
    devices = _devices(world, "udp")
    _call(devices)
    _call(devices)
    counters = {r["name"]: r["value"] for r in proxy.control("counters")["counter"]}
    check(counters["hep_dropped"] > 0, "nothing was counted")
    check(proxy.logged(r"event=45020 .*cause=.?connection refused"), "no line of the log")
    lines = [t for t in proxy.process.output().splitlines() if "event=45020" in t]
    check(len(lines) <= world.workers, f"{len(lines)} lines")
    collector = Collector(world.net.caller, netns.CALLER, 9064)

    def has_call(call_id):
        return sum(p["correlation"].decode() == call_id for p in collector.packets) >= 11

    def is_back():
        last = _call(devices)
        eventually(lambda: has_call(last), 5, "the collector does not get the next call")
        return proxy.logged(r"event=45021 .*dropped=\d+")

    eventually(is_back, 10, "that it is back is not told")
    proxy.options["hep-collector"] = "none"
    proxy.write()
    mark = time.monotonic()
    proxy.reload()
    check(proxy.log_matches("reloaded", since=mark), "no reload")
    n = len(collector.packets)
    _call(devices)
    equal(len(collector.packets), n, "packets without a collector")
    collector.close()


# --- capture file ----------------------------------------------------------------------------


def _tshark(path, *fields):
    done = subprocess.run(["tshark", "-n", "-r", path, "-o", "ip.check_checksum:TRUE", "-o",
                           "udp.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-T",
                           "fields", *[part for f in fields for part in ("-e", f)]],
                          capture_output=True, text=True, timeout=60, check=False)
    equal(done.returncode, 0, f"tshark: {done.stderr}")
    return [line.split("\t") for line in done.stdout.splitlines()]


@scenario(transport=("udp", "tcp", "tls"))
def trace_as_a_capture_file(world, transport):
    """tshark reads the file of holdfastctl: SIP in each packet, right checksums, no lost segment."""
    if shutil.which("tshark") is None:
        raise Skip("there is no tshark")
    tls = world.tls_options() if transport == "tls" else {}
    proxy = _proxy(world, **tls)
    # By a stream: several segments of the network, one of the file. By UDP it would go by TCP.
    long = [("X-Long", "a" * 3000)] * 9 if transport != "udp" else []
    call_id = _call(_devices(world, transport), headers=long)
    rows = _trace(proxy, call_id)
    path = world.path("call.pcapng")
    tool = os.path.join(os.path.dirname(world.binary), "holdfastctl")
    done = subprocess.run([tool, "-s", proxy.options["control-socket"], "trace", call_id,
                           "--pcapng", path], capture_output=True, text=True, timeout=30,
                          stdin=subprocess.DEVNULL, check=False)
    equal((done.returncode, done.stderr), (0, ""), "holdfastctl trace --pcapng")
    packets = _tshark(path, "sip.Call-ID", "sip.CSeq.method", "sip.Status-Code", "ip.src",
                      "frame.time_epoch", "_ws.malformed", "ip.checksum.status",
                      "udp.checksum.status", "tcp.checksum.status", "tcp.analysis.flags")
    messages = [p for p in packets if p[0]]
    equal(len(messages), len(rows), "messages in the file")
    for packet, row in zip(messages, rows):
        equal(packet[0], call_id, "Call-ID")
        equal((packet[1], int(packet[2] or 0)), (row["method"], row["status"]), "message")
        equal(round(float(packet[4]) * 1e6), row["time_us"], "time")
        source = row["remote"] if row["direction"] == "in" else row["local"]
        equal(packet[3], source.rsplit(":", 1)[0], "source")
    for packet in packets:
        equal(packet[5:], ["", "1", "1" if transport == "udp" else "",
                           "" if transport == "udp" else "1", ""], "what tshark finds fault with")


# --- the ring --------------------------------------------------------------------------------


@scenario()
def trace_keeps_what_has_room(world):
    """A small ring holds the newest messages; one that is off holds none; changed by a reload."""
    proxy = _proxy(world, trace_buffer="20000")
    devices = _devices(world, "udp")
    first = _call(devices)
    check(_trace(proxy, first), "nothing of the first call")
    for _ in range(4):
        last = _call(devices)
    if world.workers == 1:
        equal(_trace(proxy, first), [], "of the first call")
    check(_trace(proxy, last), "nothing of the last call")
    proxy.options["trace-buffer"] = "0"
    proxy.write()
    mark = time.monotonic()
    proxy.reload()
    check(proxy.log_matches("reloaded", since=mark), "no reload")
    last = _call(devices)
    equal(_trace(proxy), [], "without a ring")


@scenario()
def trace_shows_what_was_refused_for_its_grammar(world):
    proxy = _proxy(world, **MASKED)
    with world.net.caller.inside():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((netns.CALLER, 0))
    to = (netns.PROXY_NEAR_CALLER, 5060)
    secret = SECRETS[0].encode()
    sock.sendto(b"nonsense " + secret + b" \x00\xff\x1b[31m\r\n\r\n", to)
    sock.sendto(b"OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP " + netns.CALLER.encode() + b"\r\nX-A: " +
                secret + b"\n" + secret + b"\r\n\r\n" + secret, to)
    rows = eventually(lambda: r if len(r := _trace(proxy)) >= 3 else None, 5, "no rows")
    sock.close()
    check(secret.decode() not in json.dumps(rows), "a secret is shown")
    check(any(r["status"] == 400 and r["direction"] == "out" for r in rows), "no answer is shown")
    check(re.search(r"^\*", rows[0]["text"]), rows[0]["text"])
