# SPDX-License-Identifier: Apache-2.0
"""A stand-in proxy (Debian's Kamailio) for developing scenarios; never used by the test run itself."""

import os
import time

from . import netns
from .process import Process
from .proxy import Holdfast, NotReady, options_ping

CONFIG = """#!KAMAILIO
debug=2
log_stderror=yes
children={workers}
tcp_children=2
auto_aliases=no
listen=udp:10.77.9.2:5060
listen=tcp:10.77.9.2:5060
listen=udp:10.77.8.1:5060
listen=tcp:10.77.8.1:5060
listen=udp:[fd77:9::2]:5060
listen=tcp:[fd77:9::2]:5060
listen=udp:[fd77:8::1]:5060
listen=tcp:[fd77:8::1]:5060
alias="holdfast.test"
mhomed=1
tcp_connection_lifetime=3605
tcp_connect_timeout=3
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/"
loadmodule "kex.so"
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
loadmodule "sanity.so"
loadmodule "nathelper.so"
loadmodule "path.so"
modparam("rr", "enable_double_rr", 1)
modparam("rr", "append_fromtag", 0)
modparam("tm", "fr_inv_timer", {timer_c}000)
modparam("nathelper|registrar", "received_avp", "$avp(rcv)")
modparam("registrar", "min_expires", 60)
modparam("registrar", "max_expires", 3600)
modparam("registrar", "method_filtering", 0)
modparam("registrar", "use_path", 1)
request_route {{
  if (!mf_process_maxfwd_header("70")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
  if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
  if (has_totag()) {{
    if (loose_route()) {{ if (is_method("INVITE|SUBSCRIBE")) record_route(); t_relay(); exit; }}
    if (is_method("ACK")) {{ if (t_check_trans()) t_relay(); exit; }}
    sl_send_reply("404", "Not here"); exit;
  }}
  t_check_trans();
  if (is_method("OPTIONS") && uri==myself && $rU==$null) {{ sl_send_reply("200", "OK"); exit; }}
  if (is_method("INVITE|SUBSCRIBE")) record_route();
  if (is_method("REGISTER")) {{ if ($hdr(Contact) =~ "sip.instance") fix_nated_register(); save("location"); exit; }}
  if (uri==myself) {{
    if (!lookup("location")) {{ sl_send_reply("480", "Temporarily Unavailable"); exit; }}
  }}
  t_relay();
}}
"""


class Standin(Holdfast):
    """Same face as Holdfast; the options it does not know are ignored."""

    name = "standin"

    def write(self, text=None):
        with open(self.conf, "w") as out:
            out.write(CONFIG.format(workers=self.workers, timer_c=self.options.get("timer-c", 180)))

    def start(self, timeout=10.0, wait=True):
        argv = ["/usr/sbin/kamailio", "-DD", "-E", "-f", self.conf, "-Y", self.folder,
                "-P", os.path.join(self.folder, "pid"), "-w", self.folder]
        self.process = Process(argv, self.ns, os.path.join(self.folder, "standin.log"))
        deadline = time.monotonic() + timeout
        while wait:
            if options_ping(self.ns, (netns.PROXY, 5060), "tcp", netns.PROXY, 0.3):
                return self
            if time.monotonic() > deadline or not self.process.running():
                raise NotReady(self.process.output()[-2000:])
            time.sleep(0.05)
        return self
