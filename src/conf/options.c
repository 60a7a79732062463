/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/conf_int.h"
#include "sip/uri.h"

#define AT(field)    offsetof(struct conf, field)
#define DN_AT(field) offsetof(struct dn_conf, field)
#define HOUR_MS      3600000u

static bool parse_location(struct reader *r, void *base, struct slice value)
{
    struct conf *c = base;
    bool is_sqlite = slice_starts(value, SLICE("sqlite:")) && value.len > 7;
    if (!is_sqlite && !slice_eq(value, SLICE("memory")))
        return false;
    c->location = conf_str(r, value);
    c->location_file = is_sqlite && c->location != NULL ? c->location + 7 : NULL;
    return true;
}

static bool parse_contact(struct reader *r, void *base, struct slice value)
{
    struct dn_conf *dn = base;
    struct sip_uri uri;
    if (sip_uri_parse(value, &uri) != 0 || uri.headers.len != 0)
        return false;
    bool is_sips = uri.scheme == SIP_SCHEME_SIPS;
    bool is_plain = uri.transport == SIP_UDP || uri.transport == SIP_TCP;
    if (!is_sips && uri.scheme != SIP_SCHEME_SIP)
        return false;
    if (uri.transport_text.len != 0 && uri.transport != SIP_TLS && !is_plain)
        return false;
    if (is_sips && uri.transport == SIP_UDP) /* RFC 3261 26.2.2 */
        return false;
    dn->contact = conf_str(r, value);
    struct slice host = uri.maddr.len != 0 ? uri.maddr : uri.host;
    if (addr_parse_ip(host, 0, &dn->contact_addr) != 0)
        dn->contact_addr = (struct addr){.family = ADDR_NONE};
    return true;
}

static bool parse_failures(struct reader *r, void *base, struct slice value)
{
    struct dn_conf *dn = base;
    struct slice rest = value, word;
    uint64_t status = 0;
    unsigned n = 0;
    for (; slice_next_word(&rest, &word); n++)
        if (slice_u64(word, 699, &status) < 0 || status < 300)
            return false;
    uint16_t *list = arena_alloc(&r->conf->arena, (n + 1) * sizeof(*list));
    if (list == NULL) {
        r->no_memory = true;
        return true;
    }
    dn->oos_failures = list;
    for (rest = value; slice_next_word(&rest, &word); *list++ = (uint16_t)status)
        (void)!slice_u64(word, 699, &status);
    dn->noos_failures = n;
    return n != 0;
}

/* What a DN does not say stays -1: it is the daemon's. */
static bool parse_said(struct slice value, int *out)
{
    if (!slice_ieq(value, SLICE("true")) && !slice_ieq(value, SLICE("false")))
        return false;
    *out = slice_ieq(value, SLICE("true"));
    return true;
}

static bool parse_verify_server(struct reader *r, void *base, struct slice value)
{
    (void)r;
    return parse_said(value, &((struct dn_conf *)base)->tls.verify_server);
}

static bool parse_min_version(struct reader *r, void *base, struct slice value)
{
    struct dn_conf *dn = base;
    (void)r;
    if (!slice_eq(value, SLICE("1.2")) && !slice_eq(value, SLICE("1.3")))
        return false;
    dn->tls.min_version = slice_eq(value, SLICE("1.2")) ? NET_TLS_1_2 : NET_TLS_1_3;
    return true;
}

/* MD5 has 32 hexadecimal digits, SHA-256 has 64. */
static bool parse_ha1(struct reader *r, void *base, struct slice value)
{
    struct dn_conf *dn = base;
    struct slice hex = value;
    if (slice_istarts(value, SLICE("MD5:")))
        hex = slice_of(value.ptr + 4, value.len - 4);
    else if (slice_istarts(value, SLICE("SHA-256:")))
        hex = slice_of(value.ptr + 8, value.len - 8);
    if (hex.len != 32 && hex.len != 64)
        return false;
    if (hex.ptr != value.ptr && hex.len != (ascii_lower(value.ptr[0]) == 'm' ? 32u : 64u))
        return false;
    for (size_t i = 0; i < hex.len; i++) {
        char ch = ascii_lower(hex.ptr[i]);
        if (!((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'f')))
            return false;
    }
    dn->password_ha1 = conf_str(r, value);
    return true;
}

const struct option conf_options[] = {
    /* where it listens */
    {"sipproxy", "sip-address", OPT_ADDRS, AT(flow.listen), 0, 0, "",
     "all interfaces, IPv4 and IPv6", "IP addresses, separated by commas or blanks", EFFECT_RESTART,
     "Addresses to listen on by UDP, TCP and TLS; also put into Via and Record-Route.", NULL},
    {"sipproxy", "sip-port", OPT_U16, AT(route.sip_port), 0, 65535, "5060", NULL,
     "0 to 65535, 0 = off", EFFECT_RESTART, "Port for UDP and TCP.", NULL},
    {"sipproxy", "sip-port-tls", OPT_U16, AT(flow.tls_port), 0, 65535, "0", NULL,
     "0 to 65535, 0 = off", EFFECT_RESTART,
     "Port for TLS, on the same addresses. Without it there is no TLS, neither in nor out.", NULL},
    {"sipproxy", "workers", OPT_U32, AT(workers), 1, 64, "", "number of cores", "1 to 64",
     EFFECT_RESTART, "Threads that carry calls; a call stays on one.", NULL},
    {"sipproxy", "sip-ip-tos", OPT_U16, AT(flow.sockopt.tos), 0, 256, "256", NULL,
     "0 to 256, 256 = leave alone", EFFECT_RESTART, "DSCP/TOS byte of SIP packets.", NULL},
    {"sipproxy", "resolve-host", OPT_BOOL, AT(proxy.via_address), 0, 0, "false", NULL,
     "true, false", EFFECT_RELOAD, "false: the host name stands in Via; true: the IP address.",
     NULL},

    /* TLS */
    {"sipproxy", "tls-certificate", OPT_FILE, AT(tls.certificate), 0, 0, "", "none",
     "a PEM file with the certificate and the chain behind it", EFFECT_RELOAD_NEW,
     "What the proxy shows to its peers; needed with sip-port-tls. A reload reads the file again, and connections that "
     "are up stay.",
     NULL},
    {"sipproxy", "tls-private-key", OPT_FILE, AT(tls.private_key), 0, 0, "",
     "in the file of tls-certificate", "a PEM file without a passphrase", EFFECT_RELOAD_NEW,
     "The key of tls-certificate.", NULL},
    {"sipproxy", "tls-ca", OPT_FILE, AT(tls.ca), 0, 0, "", "the system's",
     "a PEM file or a directory of certificates", EFFECT_RELOAD_NEW,
     "Authorities whose certificates are accepted from peers.", NULL},
    {"sipproxy", "tls-verify-client", OPT_BOOL, AT(tls.verify_client), 0, 0, "false", NULL,
     "true, false", EFFECT_RELOAD_NEW,
     "A peer that connects must show a certificate that verifies.", NULL},
    {"sipproxy", "tls-verify-server", OPT_BOOL, AT(tls.verify_server), 0, 0, "true", NULL,
     "true, false", EFFECT_RELOAD_NEW,
     "A peer that is connected to must show a certificate that verifies and is for the host of its URI (RFC 5922).",
     NULL},
    {"sipproxy", "tls-min-version", OPT_ENUM, AT(tls.min_version), 0, 0, "1.2", NULL, "1.2, 1.3",
     EFFECT_RELOAD_NEW, "The oldest version of TLS that is spoken.", NULL},
    {"sipproxy", "tls-max-handshakes", OPT_U32, AT(flow.handshakes), 1, 1000000, "256", NULL,
     "1 to 1000000", EFFECT_RELOAD,
     "TLS handshakes of accepted connections at a time, for each worker; more of them are closed.",
     NULL},

    /* dead connections */
    {"sipproxy", "sip-enable-tcp-keep-alive", OPT_BOOL, AT(flow.sockopt.keep_alive), 0, 0, "false",
     NULL, "true, false", EFFECT_RELOAD_NEW,
     "Notice dead connections and recover from them: keep-alive probes on every connection, a bound for unacknowledged "
     "data, and reopening inside a transaction. Timing is the operating system's unless set below.",
     NULL},
    {"sipproxy", "tcp-keep-alive-idle", OPT_S, AT(flow.sockopt.keep_idle), 0, 32767, "0", NULL,
     "0 to 32767 s, 0 = operating system's", EFFECT_RELOAD_NEW,
     "Silence after which the first probe is sent.", NULL},
    {"sipproxy", "tcp-keep-alive-interval", OPT_S, AT(flow.sockopt.keep_interval), 0, 32767, "0",
     NULL, "0 to 32767 s, 0 = operating system's", EFFECT_RELOAD_NEW, "Time between probes.", NULL},
    {"sipproxy", "tcp-keep-alive-probes", OPT_U32, AT(flow.sockopt.keep_probes), 0, 127, "0", NULL,
     "0 to 127, 0 = operating system's", EFFECT_RELOAD_NEW,
     "Unanswered probes after which a connection is dead.", NULL},
    {"sipproxy", "tcp-unacked-timeout", OPT_MS, AT(flow.unacked_timeout_ms), 0, HOUR_MS, "5", NULL,
     "0 to 3600 s, 0 = off", EFFECT_RELOAD,
     "Sent data unacknowledged for this long: the connection is stale.", NULL},
    {"sipproxy", "tcp-reopen-delay", OPT_MS, AT(flow.reopen_delay_ms), 0, HOUR_MS, "1", NULL,
     "0 to 3600 s, 0 = off", EFFECT_RELOAD,
     "A request unacknowledged for this long: a second connection is opened beside the first.",
     NULL},
    {"sipproxy", "tcp-connect-timeout", OPT_MS, AT(flow.connect_timeout_ms), 100, 120000, "3", NULL,
     "100ms to 120 s", EFFECT_RELOAD, "Bound for opening a connection, TLS handshake included.",
     NULL},
    {"sipproxy", "tcp-wedged-transactions", OPT_U32, AT(flow.wedged_after), 0, 1000, "3", NULL,
     "0 to 1000, 0 = off", EFFECT_RELOAD,
     "So many transactions in a row without one byte from the peer: its connection is closed, though it acknowledges.",
     NULL},
    {"sipproxy", "tcp-max-connections", OPT_U32, AT(flow.max_connections), 1, 16000000, "100000",
     NULL, "1 to 16000000", EFFECT_RELOAD, "Connections at a time, accepted and opened.", NULL},
    {"sipproxy", "tcp-max-connections-per-address", OPT_U32, AT(flow.max_per_address), 0, 16000000,
     "0", NULL, "0 to 16000000, 0 = no limit", EFFECT_RELOAD,
     "Connections accepted at a time from one address.", NULL},
    {"sipproxy", "tcp-max-queue", OPT_U32, AT(flow.max_queue), 65536, 1u << 30, "1048576", NULL,
     "65536 to 1073741824 bytes", EFFECT_RELOAD,
     "Bytes that may wait for a peer which does not read, before its connection is cut.", NULL},
    {"sipproxy", "tcp-message-timeout", OPT_MS, AT(flow.partial_timeout_ms), 1000, HOUR_MS, "30",
     NULL, "1 to 3600 s", EFFECT_RELOAD,
     "A message begun on a connection and not complete after this long: the connection is closed.",
     NULL},
    {"sipproxy", "tcp-reopen-rate", OPT_U32, AT(flow.reopen_per_second), 1, 1000000, "100", NULL,
     "1 to 1000000", EFFECT_RELOAD,
     "Connections opened in a second to one address, ten times as many to all together; more wait for their turn.",
     NULL},

    /* messages and transactions */
    {"sipproxy", "sip-max-headers", OPT_U16, AT(flow.limits.headers), 16, SIP_HDRS_MAX, "200", NULL,
     "16 to 250", EFFECT_RELOAD, "Header lines of one message.", NULL},
    {"sipproxy", "sip-max-header-size", OPT_U32, AT(flow.limits.head_size), 1024, 65535, "32768",
     NULL, "1024 to 65535 bytes", EFFECT_RELOAD, "Start line and headers of one message.", NULL},
    {"sipproxy", "sip-max-body-size", OPT_U32, AT(flow.limits.body_size), 0, 65535, "61440", NULL,
     "0 to 65535 bytes", EFFECT_RELOAD, "Body of one message.", NULL},
    {"sipproxy", "max-transactions", OPT_U32, AT(txn.max), 16, 16000000, "1000000", NULL,
     "16 to 16000000", EFFECT_RELOAD,
     "Transactions at a time, for each worker; above it requests get 503.", NULL},
    {"sipproxy", "max-calls", OPT_U32, AT(calls.max), 0, 16000000, "200000", NULL, "0 to 16000000",
     EFFECT_RELOAD,
     "Calls that are followed at a time, for each worker, so that they can be released; more of them go on without that.",
     NULL},
    {"sipproxy", "call-timeout", OPT_MS, AT(calls.timeout_ms), 0, 168 * HOUR_MS, "12h", NULL,
     "0 to 168 h, 0 = never", EFFECT_RELOAD,
     "A call in which nothing was heard for so long has vanished and is no longer followed.", NULL},
    {"sipproxy", "timer-t1", OPT_MS, AT(txn.t1), 10, 10000, "500ms", NULL, "10ms to 10 s",
     EFFECT_RELOAD, "RFC 3261 T1: estimate of the round trip.", NULL},
    {"sipproxy", "timer-t2", OPT_MS, AT(txn.t2), 10, 60000, "4", NULL, "10ms to 60 s",
     EFFECT_RELOAD, "RFC 3261 T2: longest interval between retransmissions.", NULL},
    {"sipproxy", "timer-t4", OPT_MS, AT(txn.t4), 10, 60000, "5", NULL, "10ms to 60 s",
     EFFECT_RELOAD, "RFC 3261 T4: how long a message stays in the network; also Timers I and K.",
     NULL},
    {"sipproxy", "timer-b", OPT_MS, AT(txn.timer_b), 0, HOUR_MS, "0", NULL,
     "0 to 3600 s, 0 = 64 * timer-t1", EFFECT_RELOAD,
     "RFC 3261 Timer B: INVITE without any response.", NULL},
    {"sipproxy", "timer-d", OPT_MS, AT(txn.timer_d), 0, HOUR_MS, "32", NULL, "0 to 3600 s",
     EFFECT_RELOAD,
     "RFC 3261 Timer D: how long repeated final responses to an INVITE are acknowledged (UDP).",
     NULL},
    {"sipproxy", "timer-f", OPT_MS, AT(txn.timer_f), 0, HOUR_MS, "0", NULL,
     "0 to 3600 s, 0 = 64 * timer-t1", EFFECT_RELOAD,
     "RFC 3261 Timer F: other requests without a final response.", NULL},
    {"sipproxy", "timer-h", OPT_MS, AT(txn.timer_h), 0, HOUR_MS, "0", NULL,
     "0 to 3600 s, 0 = 64 * timer-t1", EFFECT_RELOAD,
     "RFC 3261 Timer H: final response to an INVITE without ACK.", NULL},
    {"sipproxy", "timer-j", OPT_MS, AT(txn.timer_j), 0, HOUR_MS, "0", NULL,
     "0 to 3600 s, 0 = 64 * timer-t1", EFFECT_RELOAD,
     "RFC 3261 Timer J: how long repeated requests are answered (UDP).", NULL},
    {"sipproxy", "timer-c", OPT_MS, AT(proxy.timer_c_ms), 1000, 24 * HOUR_MS, "180", NULL,
     "at least 1 s", EFFECT_RELOAD, "RFC 3261 Timer C: how long an INVITE may ring without news.",
     NULL},

    /* routing */
    {"sipproxy", "sip-domains", OPT_WORDS, AT(route.domains), 0, 0, "",
     "own names and addresses with our own ports",
     "host names and addresses, separated by commas or blanks", EFFECT_RELOAD,
     "Domains we are responsible for.", NULL},
    {"sipproxy", "record-route", OPT_BOOL, AT(proxy.record_route), 0, 0, "true", NULL,
     "true, false", EFFECT_RELOAD, "Stay in the path of a dialog's later requests.", NULL},
    {"sipproxy", "fork", OPT_ENUM, AT(proxy.fork), 0, 0, "parallel", NULL,
     "parallel, sequential, q", EFFECT_RELOAD,
     "Targets of one DN: all at once, one by one, or by q value (equal q together).", NULL},
    {"sipproxy", "fork-ring-time", OPT_MS, AT(proxy.serial_ms), 1000, HOUR_MS, "20", NULL,
     "1 to 3600 s", EFFECT_RELOAD,
     "fork = sequential or q: how long one target rings before the next is tried.", NULL},
    {"sipproxy", "proxy-require", OPT_WORDS, AT(proxy.proxy_require), 0, 0, "", "none",
     "option tags", EFFECT_RELOAD, "Tags accepted in Proxy-Require; others get 420.", NULL},
    {"sipproxy", "relay-from", OPT_NETS, AT(route.relay_from), 0, 1, "127.0.0.0/8, ::1", NULL,
     "list of networks, or any", EFFECT_RELOAD,
     "Who may have requests relayed to targets that are no DN of ours; everyone else gets 403.",
     NULL},

    /* registrar */
    {"sipproxy", "sip-authenticate", OPT_ENUM, AT(authenticate), 0, 0, "register", NULL,
     "none, register, all", EFFECT_RELOAD,
     "Whose requests are challenged when the DN has a password: 401 for REGISTER, 407 for other requests outside a dialog.",
     NULL},
    {"sipproxy", "registrar-open-to", OPT_NETS, AT(registrar.open_to), 0, 1, "127.0.0.0/8, ::1",
     NULL, "list of networks, or any", EFFECT_RELOAD,
     "From where names without a [dn ...] section may register, without password, and DNs that have a contact and no "
     "password; with any [dn ...] section only those "
     "names may.",
     NULL},
    {"sipproxy", "registrar-min-expires", OPT_S, AT(registrar.min_expires), 0, 86400, "60", NULL,
     "0 to 86400 s", EFFECT_RELOAD, "A shorter registration gets 423.", NULL},
    {"sipproxy", "registrar-max-expires", OPT_S, AT(registrar.max_expires), 1, 31536000, "7200",
     NULL, "1 to 31536000 s", EFFECT_RELOAD, "A longer registration is shortened to this.", NULL},
    {"sipproxy", "registrar-default-expires", OPT_S, AT(registrar.default_expires), 1, 31536000,
     "3600", NULL, "1 to 31536000 s", EFFECT_RELOAD, "For a registration that names no time.",
     NULL},
    {"sipproxy", "registrar-max-contacts", OPT_U32, AT(registrar.max_bindings), 1, 1000, "10", NULL,
     "1 to 1000", EFFECT_RELOAD, "Contacts of one DN.", NULL},
    {"sipproxy", "registrar-flow-timer", OPT_S, AT(registrar.flow_timer), 0, 86400, "120", NULL,
     "0 to 86400 s, 0 = none", EFFECT_RELOAD,
     "RFC 5626 Flow-Timer: how often a device that supports outbound keeps its connection alive.",
     NULL},
    {"sipproxy", "location", OPT_OWN, 0, 0, 0, "memory", NULL, "memory, sqlite:FILE",
     EFFECT_RESTART, "Where registrations are kept.", parse_location},

    /* operation */
    {"sipproxy", "log-level", OPT_ENUM, AT(log_level), 0, 0, "info", NULL,
     "error, warn, info, debug", EFFECT_RELOAD, "What is logged to stderr.", NULL},
    {"sipproxy", "log-format", OPT_ENUM, AT(log_format), 0, 0, "text", NULL, "text, json",
     EFFECT_RELOAD, "A line for people, or one JSON object a line.", NULL},
    {"sipproxy", "drain-timeout", OPT_MS, AT(drain_ms), 0, HOUR_MS, "10", NULL, "0 to 3600 s",
     EFFECT_RELOAD, "How long SIGTERM waits for transactions to end.", NULL},
    {"sipproxy", "control-socket", OPT_TEXT, AT(control_socket), 0, 0, "",
     "/run/holdfast/control.sock, or $XDG_RUNTIME_DIR/holdfast.sock where not run by root",
     "a path, or none", EFFECT_RESTART,
     "Unix socket at which holdfastctl gives commands; who may write to it is who may give them.",
     NULL},

    /* one DN */
    {"dn", "type", OPT_ENUM, DN_AT(type), 0, 0, "extension", NULL,
     "extension, acd-position, trunk, trunk-group, voip-service, routing-point", EFFECT_RELOAD,
     "voip-service: a dead connection is not reopened inside a transaction; the next target is tried.",
     NULL},
    {"dn", "service-type", OPT_TEXT, DN_AT(service_type), 0, 0, "", "none", "text", EFFECT_RELOAD,
     "What a voip-service does (softswitch, sip-outbound-proxy, msml, recorder); shown in lists.",
     NULL},
    {"dn", "contact", OPT_OWN, 0, 0, 0, "", "none: the DN must register",
     "a sip: URI, transport udp, tcp or tls, or a sips: URI", EFFECT_RELOAD,
     "Fixed address of the DN.", parse_contact},
    {"dn", "password", OPT_TEXT, DN_AT(password), 0, 0, "", "none", "text", EFFECT_RELOAD,
     "The DN must authenticate by digest, SHA-256 or MD5.", NULL},
    {"dn", "password-ha1", OPT_OWN, 0, 0, 0, "", "none", "MD5:32 or SHA-256:64 hexadecimal digits",
     EFFECT_RELOAD, "Instead of the password: the hash of user:realm:password.", parse_ha1},
    {"dn", "tls-certificate", OPT_FILE, DN_AT(tls.certificate), 0, 0, "", "that of [sipproxy]",
     "a PEM file with the certificate and the chain behind it", EFFECT_RELOAD_NEW,
     "What is shown when the proxy connects to this DN.", NULL},
    {"dn", "tls-private-key", OPT_FILE, DN_AT(tls.private_key), 0, 0, "",
     "in the file of tls-certificate", "a PEM file without a passphrase", EFFECT_RELOAD_NEW,
     "The key of tls-certificate.", NULL},
    {"dn", "tls-ca", OPT_FILE, DN_AT(tls.ca), 0, 0, "", "that of [sipproxy]",
     "a PEM file or a directory of certificates", EFFECT_RELOAD_NEW,
     "Authorities whose certificates are accepted from this DN.", NULL},
    {"dn", "tls-verify-server", OPT_OWN, 0, 0, 0, "", "that of [sipproxy]", "true, false",
     EFFECT_RELOAD_NEW,
     "When the proxy connects to this DN, the certificate must verify and be for the host of its URI (RFC 5922).",
     parse_verify_server},
    {"dn", "tls-min-version", OPT_OWN, 0, 0, 0, "", "that of [sipproxy]", "1.2, 1.3",
     EFFECT_RELOAD_NEW, "The oldest version of TLS that is spoken with this DN.",
     parse_min_version},
    {"dn", "recovery-timeout", OPT_MS, DN_AT(recovery_timeout_ms), 1000, 24 * HOUR_MS, "60", NULL,
     "1 s to 24 h", EFFECT_RELOAD,
     "How long the DN stays out of service before it is tried again; does not count with oos-check.",
     NULL},
    {"dn", "oos-check", OPT_S, DN_AT(oos_check_s), 0, 300, "0", NULL, "0 to 300 s, 0 = off",
     EFFECT_RELOAD,
     "How often the DN is checked by OPTIONS, while it has a contact or is registered. Out of service it comes back by an "
     "answered check, by registering, or is tried again once it has connected.",
     NULL},
    {"dn", "oos-force", OPT_S, DN_AT(oos_force_s), 0, 30, "5", NULL, "0 to 30 s", EFFECT_RELOAD,
     "With oos-check: how long without an answer before the DN is out of service, and how often it is checked from then "
     "on; 0: at the first check that fails, and as oos-check says.",
     NULL},
    {"dn", "oos-check-failure", OPT_OWN, 0, 0, 0, "", "none: any final response is an answer",
     "status codes from 300 to 699, separated by commas or blanks", EFFECT_RELOAD,
     "Responses to a check that do not count as an answer.", parse_failures},
};
const unsigned conf_noptions = sizeof(conf_options) / sizeof(conf_options[0]);
