# SPDX-License-Identifier: Apache-2.0
"""Kamailio as a SIP Server behind the proxy: a member of a pair or of a group, or a registrar.

It relays every new request back to the proxy and stays in the dialog (Record-Route). It takes the
addresses of the other members for its own, and loose routing needs no state, so that every member
can go on with the dialogs of the others. Answers to OPTIONS say whether it is active: 200 or 503;
`set` changes that while it runs, by Kamailio's own control socket."""

import contextlib
import os
import signal
import subprocess
import time

from . import netns
from .process import Process
from .proxy import NotReady, options_ping

CONFIG = """#!KAMAILIO
debug=2
log_stderror=yes
children=2
tcp_children=2
auto_aliases=no
dns=no
rev_dns=no
listen=udp:{address}:{port}
listen=tcp:{address}:{port}
{aliases}
tcp_connection_lifetime=3605
tcp_source_ipv4={address}
tcp_connect_timeout=3
# All that a dead one had under way comes at once.
tcp_conn_wq_max=4000000
tcp_wq_max=40000000
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/"
loadmodule "tm.so"
loadmodule "tmx.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "ctl.so"
modparam("rr", "enable_double_rr", 1)
modparam("tm", "fr_timer", 20000)
modparam("tm", "fr_inv_timer", 30000)
modparam("registrar", "min_expires", 60)
modparam("registrar", "max_expires", 3600)
modparam("registrar", "method_filtering", 0)
modparam("registrar", "use_path", 1)
modparam("registrar", "path_mode", 0)
modparam("pv", "shvset", "active=i:{active}")
modparam("pv", "shvset", "overloaded=i:0")
modparam("ctl", "binrpc", "unix:{control}")
{thinking}
request_route {{
  if (!mf_process_maxfwd_header("70")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
  if (is_method("OPTIONS") && !has_totag()) {{
    if ($shv(active) == 1) sl_send_reply("200", "OK");
    else sl_send_reply("503", "In Reserve");
    exit;
  }}
  if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
  if (has_totag()) {{
    if (loose_route()) {{
      if (is_method("INVITE|SUBSCRIBE")) record_route();
      if (is_method("ACK")) {{ t_relay(); exit; }}
      route(THINK);
      exit;
    }}
    if (is_method("ACK")) {{ if (t_check_trans()) t_relay(); exit; }}
    sl_send_reply("404", "Not here");
    exit;
  }}
  if (t_precheck_trans()) {{ t_check_trans(); exit; }}
  t_check_trans();
  if ($shv(active) != 1) {{ sl_send_reply("503", "In Reserve"); exit; }}
  if ($shv(overloaded) == 1) {{ sl_send_reply("503", "Overloaded"); exit; }}
  if (is_method("REGISTER")) {{ save("location"); exit; }}
  # The proxy puts itself in front where the request has a Route to this server.
  remove_hf("Route");
  if (is_method("INVITE|SUBSCRIBE")) record_route();
  append_hf("X-Server: {address}\r\n");
  {script}
  $du = "sip:{proxy}:5060;transport={transport}";
  route(THINK);
}}
route[THINK] {{
  {think}
}}
route[RELAY] {{
  t_relay();
}}
"""
# Time for which it thinks before it relays, as an application server does.
THINKING = """async_workers=2
loadmodule "async.so"
modparam("async", "ms_timer", 10)
"""


class Kamailio:
    """`others`: addresses of the other members; `script`: lines before a new request is relayed;
    `registrar`: requests for its users go to their bindings, by their Path; `think`: ms that it
    keeps a request before it relays it."""

    def __init__(self, world, address, others=(), transport="udp", active=True, script="",
                 registrar=False, port=5060, namespace=None, proxy=netns.PROXY,
                 think=0):
        self.world, self.address, self.port = world, address, port
        self.ns = namespace or world.net.phone
        self.folder = world.path(f"kamailio-{address}-{port}")
        os.makedirs(self.folder, exist_ok=True)
        self.conf = os.path.join(self.folder, "kamailio.cfg")
        self.control = os.path.join(self.folder, "control")
        aliases = "\n".join(f"alias={other}:{port}" for other in others)
        if registrar:
            script += ('\n  if (lookup("location")) { t_relay(); exit; }'
                       '\n  if ($rU =~ "^1") { sl_send_reply("404", "Not Found"); exit; }\n')
        with open(self.conf, "w") as out:
            out.write(CONFIG.format(address=address, port=port, aliases=aliases, proxy=proxy,
                                    control=self.control, script=script, transport=transport,
                                    active=int(active), thinking=THINKING if think else "",
                                    think=f'async_ms_route("RELAY", "{think}");' if think
                                    else "route(RELAY);"))
        self.process, self.stopped = None, False
        self.starts = 0

    def start(self, timeout=15.0, wait=True):
        argv = ["/usr/sbin/kamailio", "-DD", "-E", "-f", self.conf, "-Y", self.folder, "-m", "32",
                "-M", "4", "-P", os.path.join(self.folder, "pid"), "-w", self.folder]
        self.starts += 1
        # Beside the log of the proxy, where those of a failed scenario are shown.
        log = self.world.path(f"kamailio-{self.address}-{self.port}.log")
        self.process = Process(argv, self.ns, log)
        self.stopped = False
        if self.starts == 1:
            self.world._cleanup.callback(self.kill)
        return self.ready(timeout) if wait else self

    def ready(self, timeout=15.0):
        deadline = time.monotonic() + timeout
        while not options_ping(self.ns, (self.address, self.port), "tcp", self.address, 0.3):
            if time.monotonic() > deadline or not self.process.running():
                raise NotReady(self.process.output()[-2000:])
            time.sleep(0.02)
        return self

    def _signal(self, number):
        # All its processes; the group is its own.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def kill(self):
        """kill -9, of all its processes at once."""
        if self.process is None or not self.process.running():
            return
        self._signal(signal.SIGKILL)
        self.process.kill()

    def freeze(self):
        """SIGSTOP: it keeps its sockets and says nothing."""
        self._signal(signal.SIGSTOP)
        self.stopped = True

    def thaw(self):
        self._signal(signal.SIGCONT)
        self.stopped = False

    def rpc(self, *words):
        done = subprocess.run(["kamcmd", "-s", f"unix:{self.control}", *words], text=True,
                              capture_output=True, timeout=10)
        if done.returncode != 0 or "error" in done.stdout:
            raise RuntimeError(f"kamcmd {' '.join(words)}: {done.stdout} {done.stderr}")
        return done.stdout

    def set(self, name, value):
        """A shared variable of the configuration: "active", "overloaded"."""
        self.rpc("pv.shvSet", name, "int", str(int(value)))

    def uri(self, transport="udp"):
        return f"sip:{self.address}:{self.port};transport={transport}"


def start_all(*servers):
    """Start them side by side."""
    for server in servers:
        server.start(wait=False)
    for server in servers:
        server.ready()
    return servers
