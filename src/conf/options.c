/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/conf_int.h"

#define AT(field)          offsetof(struct conf, field)
#define DN_AT(field)       offsetof(struct dn_conf, field)
#define APP_AT(field)      offsetof(struct app_section, field)
#define LISTENER_AT(field) offsetof(struct listener_section, field)
#define DOMAIN_AT(field)   offsetof(struct route_domain, field)
#define HOUR_MS            3600000u

/* ADDRESS:PORT, or none. */
static bool parse_one_address(struct addr *out, struct slice value)
{
    *out = (struct addr){0};
    return slice_ieq(value, SLICE("none")) || (addr_parse(value, 0, out) == 0 && out->port != 0);
}

static bool parse_admin_address(struct reader *r, void *base, struct slice value)
{
    (void)r;
    return parse_one_address(&((struct conf *)base)->admin_address, value);
}

static bool parse_hep(struct reader *r, void *base, struct slice value)
{
    (void)r;
    return parse_one_address(&((struct conf *)base)->trace.hep, value);
}

static bool parse_hep_password(struct reader *r, void *base, struct slice value)
{
    struct conf *c = base;
    char *text = conf_str(r, value);
    c->trace.hep_password = slice_str(text);
    return text != NULL;
}

static const char log_levels_valid[] = "error, warn, info, debug; and MODULE:LEVEL for the modules"
#define LOG_MODULE(id, name, help) " " name
#include "base/modules.def"
#undef LOG_MODULE
    ;

static bool parse_log_levels(struct reader *r, void *base, struct slice value)
{
    char why[LOG_LEVELS_WHY_MAX];
    (void)r;
    return value.len != 0 && log_levels_parse(value, &((struct conf *)base)->log_levels, why) == 0;
}

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
    if (!conf_uri_parse(value, &uri))
        return false;
    dn->contact = conf_str(r, value);
    struct slice host = uri.maddr.len != 0 ? uri.maddr : uri.host;
    if (addr_parse_ip(host, 0, &dn->contact_addr) != 0)
        dn->contact_addr = (struct addr){.family = ADDR_NONE};
    return true;
}

/* A list of numbers from `min` to `max`, not empty. */
static bool parse_numbers(struct reader *r, struct slice value, uint64_t min, uint64_t max,
                          uint32_t **list, unsigned *n)
{
    struct slice word;
    uint64_t number;
    unsigned at = 0;
    uint32_t *numbers =
        arena_alloc(&r->conf->arena, (conf_count_words(value) + 1) * sizeof(*numbers));
    if (numbers == NULL) {
        r->no_memory = true;
        return true;
    }
    for (; slice_next_word(&value, &word); numbers[at++] = (uint32_t)number)
        if (slice_u64(word, max, &number) < 0 || number < min)
            return false;
    *list = numbers;
    *n = at;
    return at != 0;
}

static bool parse_statuses(struct reader *r, struct slice value, uint16_t **list, unsigned *n)
{
    uint32_t *numbers = NULL;
    unsigned count = 0;
    if (!parse_numbers(r, value, 300, 699, &numbers, &count))
        return false;
    uint16_t *statuses = arena_alloc(&r->conf->arena, (count + 1) * sizeof(*statuses));
    if (statuses == NULL) {
        r->no_memory = true;
        return true;
    }
    for (unsigned i = 0; i < count; i++)
        statuses[i] = (uint16_t)numbers[i];
    *list = statuses;
    *n = count;
    return true;
}

static bool parse_failures(struct reader *r, void *base, struct slice value)
{
    struct dn_conf *dn = base;
    return parse_statuses(r, value, &dn->oos_failures, &dn->noos_failures);
}

/* A default stands there already. */
static bool parse_app_failures(struct reader *r, void *base, struct slice value)
{
    struct app_section *app = base;
    if (!slice_ieq(value, SLICE("none")))
        return parse_statuses(r, value, &app->group.failures, &app->group.nfailures);
    app->group.failures = NULL;
    app->group.nfailures = 0;
    return true;
}

static bool parse_weights(struct reader *r, void *base, struct slice value)
{
    struct app_section *app = base;
    return parse_numbers(r, value, 1, 1000, &app->weights, &app->nweights);
}

/* "MIN-MAX" or one number. */
static bool parse_retry_after(struct reader *r, void *base, struct slice value)
{
    struct load_conf *load = &((struct conf *)base)->load;
    ptrdiff_t dash = slice_chr(value, '-');
    struct slice min = dash >= 0 ? slice_of(value.ptr, (size_t)dash) : value, max = value;
    uint64_t low, high;
    (void)r;
    if (dash >= 0)
        max = slice_of(value.ptr + dash + 1, value.len - (size_t)dash - 1);
    if (slice_u64(slice_trim(min), 3600, &low) < 0 || slice_u64(slice_trim(max), 3600, &high) < 0 ||
        low < 1 || high < low)
        return false;
    load->retry_min_s = (uint32_t)low;
    load->retry_max_s = (uint32_t)high;
    return true;
}

/* urn:service:sos, and services below it (RFC 5031 4.1). */
static bool is_sos(struct slice value)
{
    struct slice sos = SLICE("urn:service:sos");
    if (!slice_istarts(value, sos) || (value.len > sos.len && value.ptr[sos.len] != '.'))
        return false;
    for (size_t i = sos.len; i < value.len; i++) {
        char c = ascii_lower(value.ptr[i]);
        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.')
            return false;
    }
    return true;
}

/* Digits as they are dialled, or an emergency service, which is compared in lower case. */
static bool parse_prefix(struct reader *r, void *base, struct slice value)
{
    struct dn_conf *dn = base;
    bool is_urn = is_sos(value);
    for (size_t i = 0; i < value.len && !is_urn; i++)
        if (strchr("0123456789+*#", value.ptr[i]) == NULL)
            return false;
    dn->prefix = conf_str(r, value);
    for (char *c = dn->prefix; c != NULL && *c != '\0'; c++)
        *c = ascii_lower(*c);
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
    {"sipproxy", "sip-advertised-address", OPT_TEXT, AT(advertised), 0, 0, "", "the address itself",
     "HOST or HOST:PORT; an IPv6 address in brackets", EFFECT_RESTART,
     "What stands in Via and Record-Route in the place of our address, behind NAT or for a name; it is one of ours when it "
     "comes back. A port stands for sip-port (with sip-port = 0: for sip-port-tls); TLS keeps its own otherwise. An IP "
     "address is used for addresses of its family only.",
     NULL},
    {"sipproxy", "aliases", OPT_WORDS, AT(route.aliases), 0, 0, "", "none",
     "HOST or HOST:PORT, separated by commas or blanks", EFFECT_RELOAD,
     "Further names of this proxy: a Route or Request-URI with one of them is for us. Without a port: with any port of "
     "ours.",
     NULL},
    {"sipproxy", "sip-access", OPT_NETS, AT(access), 0, 1, "", "any", "list of networks, or any",
     EFFECT_RELOAD,
     "Who may talk to us at all; datagrams from elsewhere are dropped, connections closed. A [listener ...] may say "
     "otherwise for its address.",
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
     "at least 1 s", EFFECT_RELOAD,
     "RFC 3261 Timer C: how long an INVITE may ring without news; after that no further address is "
     "tried for it.",
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

    {"sipproxy", "applications", OPT_WORDS, AT(applications), 0, 0, "", "all that have a section",
     "names of [application ...] sections", EFFECT_RELOAD,
     "Which applications (SIP Servers) this proxy stands in front of.", NULL},
    {"sipproxy", "serving-sipserver", OPT_TEXT, AT(route.serving), 0, 0, "",
     "none: the built-in registrar and directory serve", "name of an [application ...] section",
     EFFECT_RELOAD,
     "The application that serves: requests for our domains from phones and gateways go to it, REGISTER too.",
     NULL},
    {"sipproxy", "oos-check", OPT_S, AT(oos_check_s), 0, 300, "5", NULL, "0 to 300 s, 0 = off",
     EFFECT_AT_ONCE,
     "How often members of applications are checked by OPTIONS, and how long an answer may take.",
     NULL},
    {"sipproxy", "oos-force", OPT_S, AT(oos_force_s), 1, 32, "5", NULL, "1 to 32 s", EFFECT_AT_ONCE,
     "How often they are checked, the two of a pair in turn, while it is not known which one is active.",
     NULL},
    {"sipproxy", "failover-time", OPT_MS, AT(proxy.failover_ms), 0, HOUR_MS, "4", NULL,
     "0 to 3600 s, 0 = after Timer B or F", EFFECT_RELOAD,
     "Nothing has come from an address for so long and there is another one: the request goes there too.",
     NULL},
    {"sipproxy", "hide-topology", OPT_BOOL, AT(proxy.hide_topology), 0, 0, "false", NULL,
     "true, false", EFFECT_RELOAD,
     "Via, Record-Route and Path values that name addresses of inside-networks are not shown to peers outside of them; "
     "dialogs come through us even with record-route = false. Contact, SDP and Call-ID stay as they are. Our own address "
     "that faces the outside is shown: set advertised-address where it is a private one.",
     NULL},
    {"sipproxy", "inside-networks", OPT_NETS, AT(proxy.inside), 0, 0,
     "10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 127.0.0.0/8, 169.254.0.0/16, 100.64.0.0/10, ::1, fc00::/7, fe80::/10",
     NULL, "list of networks", EFFECT_RELOAD, "What hide-topology takes for inside.", NULL},

    /* overload */
    {"sipproxy", "overload-ctrl-dialog-rate", OPT_U32, AT(load.dialog_rate), 0, 1000000, "0", NULL,
     "0 to 1000000, 0 = off", EFFECT_AT_ONCE,
     "Initial INVITEs a second, of all workers together; more of them get 503 with Retry-After. Requests inside dialogs, "
     "emergency calls and whatever applications send pass.",
     NULL},
    {"sipproxy", "overload-source-rate", OPT_U32, AT(load.source_rate), 0, 1000000, "0", NULL,
     "0 to 1000000, 0 = off", EFFECT_RELOAD,
     "Requests outside dialogs a second from one address; more of them get 503 with Retry-After. Those of applications are "
     "not counted.",
     NULL},
    {"sipproxy", "overload-lag", OPT_MS, AT(load.lag_ms), 0, 10000, "100ms", NULL,
     "0 to 10 s, 0 = off", EFFECT_RELOAD,
     "A worker that looks at messages so late refuses new requests, a growing share of them, before calls that stand "
     "suffer.",
     NULL},
    {"sipproxy", "overload-retry-after", OPT_OWN, 0, 0, 0, "2-10", NULL,
     "MIN-MAX, both from 1 to 3600 s", EFFECT_RELOAD,
     "Retry-After of each 503 is drawn between the two, so that the retries are spread; for an application that is out of "
     "service not before its oos-force.",
     parse_retry_after},
    {"sipproxy", "overload-control", OPT_BOOL, AT(load.is_control), 0, 0, "true", NULL,
     "true, false", EFFECT_RELOAD,
     "RFC 7339 with neighbours that speak it: they are told how much less to send, and are sent less when they ask for it.",
     NULL},
    {"sipproxy", "emergency-numbers", OPT_WORDS, AT(proxy.emergency_numbers), 0, 0, "", "none",
     "numbers or user names, separated by commas or blanks", EFFECT_RELOAD,
     "Calls to these numbers are emergency calls, as those to urn:service:sos are: overload does not refuse them.",
     NULL},
    {"sipproxy", "resource-priority", OPT_WORDS, AT(proxy.priorities), 0, 0, "esnet, ets, wps",
     NULL, "namespaces of RFC 4412", EFFECT_RELOAD,
     "Requests with such a Resource-Priority, from who may have requests relayed and from applications, are not refused for "
     "overload.",
     NULL},

    /* DNS */
    {"sipproxy", "dns-servers", OPT_ADDRS, AT(resolver.servers), 0, 53, "", "the system's",
     "IP addresses or ADDRESS:PORT, separated by commas or blanks", EFFECT_RELOAD,
     "DNS servers that are asked.", NULL},
    {"sipproxy", "dns-timeout", OPT_MS, AT(resolver.timeout_ms), 100, 30000, "2", NULL,
     "100ms to 30 s", EFFECT_RELOAD, "How long one DNS server has for an answer, in one try.",
     NULL},
    {"sipproxy", "dns-tries", OPT_U32, AT(resolver.tries), 1, 10, "2", NULL, "1 to 10",
     EFFECT_RELOAD, "How often each DNS server is asked.", NULL},
    {"sipproxy", "dns-max-stale", OPT_MS, AT(resolver.max_stale_ms), 0, 168 * HOUR_MS, "24h", NULL,
     "0 to 168 h, 0 = off", EFFECT_RELOAD,
     "How long after its time to live an answer is still used when no DNS server can be had.",
     NULL},
    {"sipproxy", "dns-avoid-time", OPT_MS, AT(route.unreachable_ms), 0, HOUR_MS, "30", NULL,
     "0 to 3600 s, 0 = off", EFFECT_RELOAD,
     "An address that could not be reached or gave no answer is tried after all others for so long.",
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
     "0 to 86400 s", EFFECT_RELOAD,
     "A registration below that, and below an hour, gets 423 (RFC 3261 10.3).", NULL},
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
    {"sipproxy", "log-level", OPT_OWN, 0, 0, 0, "info", NULL, log_levels_valid, EFFECT_AT_ONCE,
     "What is logged, to the journal under systemd and else to stderr: a level for all modules, and others for some: `info, "
     "flow:debug, txn:warn`. `sip:debug` shows each message, masked. The events are explained in events.md.",
     parse_log_levels},
    {"sipproxy", "log-format", OPT_ENUM, AT(log_format), 0, 0, "text", NULL, "text, json",
     EFFECT_AT_ONCE, "A line for people, or one JSON object a line.", NULL},
    {"sipproxy", "drain-timeout", OPT_MS, AT(drain_ms), 0, HOUR_MS, "10", NULL, "0 to 3600 s",
     EFFECT_AT_ONCE, "How long SIGTERM waits for transactions to end.", NULL},
    {"sipproxy", "control-socket", OPT_TEXT, AT(control_socket), 0, 0, "",
     "/run/holdfast/control.sock, or $XDG_RUNTIME_DIR/holdfast.sock where not run by root",
     "a path, or none", EFFECT_RESTART,
     "Unix socket at which holdfastctl gives commands; who may write to it is who may give them.",
     NULL},

    {"sipproxy", "admin-address", OPT_OWN, 0, 0, 0, "127.0.0.1:8060", NULL, "ADDRESS:PORT, or none",
     EFFECT_RESTART,
     "Where HTTP is served: dashboard, API, metrics, health. One that is not of this machine alone needs admin-token.",
     parse_admin_address},
    {"sipproxy", "admin-token", OPT_TEXT, AT(admin_token), 0, 0, "", "none: loopback only",
     "at least 16 characters", EFFECT_RELOAD,
     "What HTTP clients have to show (Authorization: Bearer TOKEN); only /healthz and /readyz are open.",
     NULL},
    {"sipproxy", "admin-tls-certificate", OPT_FILE, AT(admin_certificate), 0, 0, "", "none",
     "a PEM file", EFFECT_RELOAD_NEW, "Serves HTTP by TLS; with admin-tls-private-key.", NULL},
    {"sipproxy", "admin-tls-private-key", OPT_FILE, AT(admin_private_key), 0, 0, "", "none",
     "a PEM file", EFFECT_RELOAD_NEW, "The key of admin-tls-certificate.", NULL},
    {"sipproxy", "trace-buffer", OPT_U32, AT(trace.bytes), 0, 1u << 30, "4194304", NULL,
     "0 to 1073741824, 0 = off", EFFECT_AT_ONCE,
     "Bytes of recent SIP messages that each worker keeps for holdfastctl trace.", NULL},
    {"sipproxy", "hep-collector", OPT_OWN, 0, 0, 0, "none", NULL, "ADDRESS:PORT, or none",
     EFFECT_AT_ONCE, "A copy of each SIP message goes there, by UDP in HEP version 3.", parse_hep},
    {"sipproxy", "hep-capture-id", OPT_U32, AT(trace.hep_id), 0, UINT32_MAX, "1", NULL,
     "0 to 4294967295", EFFECT_AT_ONCE, "By which the collector knows this proxy.", NULL},
    {"sipproxy", "hep-password", OPT_OWN, 0, 0, 0, "", "none", "text", EFFECT_AT_ONCE,
     "What the collector asks for.", parse_hep_password},
    {"sipproxy", "x-sip-mask-sensitive-data", OPT_BOOL, AT(trace.mask.is_on), 0, 0, "false", NULL,
     "true, false", EFFECT_AT_ONCE,
     "Private headers and credentials are shown as *, bodies other than application/sdp as CONTENT FILTERED: in log, trace, "
     "API and HEP.",
     NULL},
    {"sipproxy", "x-sip-unmask-headers", OPT_WORDS, AT(trace.mask.unmask), 0, 0, "", "none",
     "names of headers, separated by commas or blanks", EFFECT_AT_ONCE,
     "Private headers that are shown all the same.", NULL},

    /* one application */
    {"application", "role", OPT_ENUM, APP_AT(group.role), 0, 0, "pair", NULL, "pair, balanced",
     EFFECT_RELOAD,
     "pair: one SIP Server, or two of which one is active; balanced: members that share the calls.",
     NULL},
    {"application", "primary", OPT_URI, APP_AT(primary), 0, 0, "", "none",
     "a sip: URI, transport udp, tcp or tls, or a sips: URI", EFFECT_RELOAD,
     "role = pair: the member that is taken to be active at the start.", NULL},
    {"application", "backup", OPT_URI, APP_AT(backup), 0, 0, "", "none", "a SIP URI as in primary",
     EFFECT_RELOAD, "role = pair: the other member.", NULL},
    {"application", "members", OPT_URIS, APP_AT(members), 0, 0, "", "none",
     "SIP URIs as in primary, separated by commas or blanks", EFFECT_RELOAD,
     "role = balanced: all members, at most 32.", NULL},
    {"application", "weights", OPT_OWN, 0, 0, 0, "", "all 1",
     "numbers from 1 to 1000, as many as there are members", EFFECT_RELOAD,
     "role = balanced: shares of the members, in their order, for policy = weighted and least-calls.",
     parse_weights},
    {"application", "policy", OPT_ENUM, APP_AT(group.policy), 0, 0, "round-robin", NULL,
     "round-robin, weighted, hash-call-id, hash-from, hash-to, least-calls", EFFECT_RELOAD,
     "role = balanced: who gets the next dialog. Of the hashes only the calls of a member move when it leaves.",
     NULL},
    {"application", "oos-check", OPT_S, APP_AT(check_s), 0, 300, "", "that of [sipproxy]",
     "0 to 300 s, 0 = off", EFFECT_RELOAD,
     "How often the active member, or each one of a balanced group, is checked by OPTIONS, and how long an answer may take. "
     "0: no checks, members are taken to be up.",
     NULL},
    {"application", "oos-force", OPT_S, APP_AT(force_s), 1, 32, "", "that of [sipproxy]",
     "1 to 32 s", EFFECT_RELOAD,
     "How often both members of a pair are checked in turn while it is not known which one is active, and members of a "
     "balanced group that are out of service.",
     NULL},
    {"application", "oos-check-failure", OPT_OWN, 0, 0, 0, "503", NULL,
     "status codes from 300 to 699, separated by commas or blanks, or none", EFFECT_RELOAD,
     "Responses to a check that do not count as alive: a backup may answer so. none: every final response counts.",
     parse_app_failures},
    {"application", "shared-dialogs", OPT_BOOL, APP_AT(group.shares_dialogs), 0, 0, "true", NULL,
     "true, false", EFFECT_RELOAD,
     "role = pair: the members know each other's dialogs, so that requests inside dialogs go to the active one, whichever "
     "of the two they name.",
     NULL},
    {"application", "access", OPT_NETS, APP_AT(group.access), 0, 0, "",
     "the addresses of its members", "list of networks", EFFECT_RELOAD,
     "From where else requests are taken for the application's own: trusted with X-Genesys-Route, and with being relayed.",
     NULL},
    {"application", "tls-certificate", OPT_FILE, APP_AT(tls.certificate), 0, 0, "",
     "that of [sipproxy]", "a PEM file with the certificate and the chain behind it",
     EFFECT_RELOAD_NEW, "What is shown when the proxy connects to a member.", NULL},
    {"application", "tls-private-key", OPT_FILE, APP_AT(tls.private_key), 0, 0, "",
     "in the file of tls-certificate", "a PEM file without a passphrase", EFFECT_RELOAD_NEW,
     "The key of tls-certificate.", NULL},
    {"application", "tls-ca", OPT_FILE, APP_AT(tls.ca), 0, 0, "", "that of [sipproxy]",
     "a PEM file or a directory of certificates", EFFECT_RELOAD_NEW,
     "Authorities whose certificates are accepted from members.", NULL},
    {"application", "tls-verify-server", OPT_SAID, APP_AT(tls.verify_server), 0, 0, "",
     "that of [sipproxy]", "true, false", EFFECT_RELOAD_NEW,
     "When the proxy connects to a member, the certificate must verify and be for the host of its URI (RFC 5922).",
     NULL},
    {"application", "tls-min-version", OPT_ENUM, APP_AT(tls.min_version), 0, 0, "",
     "that of [sipproxy]", "1.2, 1.3", EFFECT_RELOAD_NEW,
     "The oldest version of TLS that is spoken with members.", NULL},

    /* one of our addresses */
    {"listener", "advertised-address", OPT_TEXT, LISTENER_AT(advertised), 0, 0, "",
     "that of [sipproxy]", "HOST or HOST:PORT; an IPv6 address in brackets", EFFECT_RESTART,
     "What stands in Via and Record-Route in the place of this address.", NULL},
    {"listener", "access", OPT_NETS, LISTENER_AT(access), 0, 1, "", "sip-access of [sipproxy]",
     "list of networks, or any", EFFECT_RELOAD, "Who may talk to us at this address.", NULL},

    /* one domain of somebody else */
    {"domain", "contact", OPT_URI, DOMAIN_AT(contact), 0, 0, "", "none",
     "a sip: URI, transport udp, tcp or tls, or a sips: URI", EFFECT_RELOAD,
     "Where requests for this domain go: of our devices, of applications and of who may have requests relayed.",
     NULL},
    {"domain", "application", OPT_TEXT, DOMAIN_AT(application), 0, 0, "", "none",
     "name of an [application ...] section", EFFECT_RELOAD,
     "The application that requests for this domain go to, in the place of contact.", NULL},

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
    {"dn", "contact-backup", OPT_URIS, DN_AT(contact_backup), 0, 0, "", "none",
     "SIP URIs as in contact, separated by commas or blanks", EFFECT_RELOAD,
     "Where requests go when contact cannot be reached, gives no answer or answers 503, in this order.",
     NULL},
    {"dn", "prefix", OPT_OWN, 0, 0, 0, "", "none: no numbers are led to this DN",
     "digits, +, *, #; urn:service:sos and what may follow; nothing at all: every number",
     EFFECT_RELOAD,
     "type = trunk or trunk-group: numbers that begin so, and are no DN, go to this trunk; of several the one with the "
     "longest prefix, then the one with the lower priority.",
     parse_prefix},
    {"dn", "priority", OPT_U32, DN_AT(priority), 0, 65535, "0", NULL, "0 to 65535", EFFECT_RELOAD,
     "Among trunks with the same prefix the one with the lower number comes first; the others are tried after it.",
     NULL},
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
    {"dn", "tls-verify-server", OPT_SAID, DN_AT(tls.verify_server), 0, 0, "", "that of [sipproxy]",
     "true, false", EFFECT_RELOAD_NEW,
     "When the proxy connects to this DN, the certificate must verify and be for the host of its URI (RFC 5922).",
     NULL},
    {"dn", "tls-min-version", OPT_ENUM, DN_AT(tls.min_version), 0, 0, "", "that of [sipproxy]",
     "1.2, 1.3", EFFECT_RELOAD_NEW, "The oldest version of TLS that is spoken with this DN.", NULL},
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
