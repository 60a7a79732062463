/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/columns.h"

#define END                          \
    {                                \
        NULL, NULL, ADMIN_TEXT, NULL \
    }

#define WORKER(set)                                         \
    {                                                       \
        set, "worker", ADMIN_INT, "worker that it lives at" \
    }

/* clang-format off */

/* What a worker could not tell, and what is done, is said in words. */
#define LINE {"line", "text", ADMIN_TEXT, "said in words: what was done, what could not be"}

#define FLOW \
    {"flow", "id", ADMIN_TEXT, "identifier, hexadecimal"}, \
    {"flow", "transport", ADMIN_TEXT, "tcp or tls"}, \
    {"flow", "state", ADMIN_TEXT, "opening, up, suspect (a second connection is being opened beside it), reopening, closing"}, \
    {"flow", "dn", ADMIN_TEXT, "DN that is registered over it"}, \
    {"flow", "remote", ADMIN_TEXT, "the peer's address"}, \
    {"flow", "local", ADMIN_TEXT, "our address"}, \
    {"flow", "opened_by", ADMIN_TEXT, "us or peer"}, \
    {"flow", "age_ms", ADMIN_INT, "since it was opened or accepted"}, \
    {"flow", "idle_ms", ADMIN_INT, "since the last byte, in either direction"}, \
    {"flow", "unacked_bytes", ADMIN_INT, "sent, and not acknowledged by the peer"}, \
    {"flow", "queued_bytes", ADMIN_INT, "not given to the kernel yet"}, \
    {"flow", "reopened", ADMIN_INT, "how often it was opened again"}, \
    {"flow", "last_error", ADMIN_TEXT, "why it was opened again the last time"}, \
    {"flow", "reopen", ADMIN_TEXT, "address by which it would be opened again"}, \
    {"flow", "tls", ADMIN_TEXT, "version; resumed; verified: the peer has shown a certificate"}, \
    {"flow", "tls_name", ADMIN_TEXT, "name that the peer has to prove"}, \
    WORKER("flow")

#define CALL \
    {"call", "call_id", ADMIN_TEXT, "Call-ID"}, \
    {"call", "state", ADMIN_TEXT, "calling (nobody has answered), early, answered (2xx), established (its ACK has passed)"}, \
    {"call", "dn", ADMIN_TEXT, "DN that is called"}, \
    {"call", "caller", ADMIN_TEXT, "address of the caller's side"}, \
    {"call", "callee", ADMIN_TEXT, "address of the called side"}, \
    {"call", "age_ms", ADMIN_INT, "since the INVITE"}, \
    {"call", "idle_ms", ADMIN_INT, "since the last message of the dialog"}, \
    {"call", "from", ADMIN_TEXT, "URI of the caller"}, \
    {"call", "to", ADMIN_TEXT, "URI of the called party"}, \
    {"call", "caller_transport", ADMIN_TEXT, "udp, tcp or tls"}, \
    {"call", "caller_connection", ADMIN_TEXT, "identifier of the connection; empty: none"}, \
    {"call", "callee_transport", ADMIN_TEXT, "udp, tcp or tls"}, \
    {"call", "callee_connection", ADMIN_TEXT, "identifier of the connection; empty: none"}, \
    WORKER("call")

#define DN \
    {"dn", "name", ADMIN_TEXT, "number or name"}, \
    {"dn", "type", ADMIN_TEXT, "as configured; empty: known by its registration alone"}, \
    {"dn", "service_type", ADMIN_TEXT, "of a Voice over IP Service"}, \
    {"dn", "state", ADMIN_TEXT, "in-service, suspect, out-of-service"}, \
    {"dn", "cause", ADMIN_TEXT, "why it is not in service"}, \
    {"dn", "since", ADMIN_TIME, "since when; out of service: since it went out, whatever was tried meanwhile"}, \
    {"dn", "bindings", ADMIN_INT, "registered contacts"}, \
    {"dn", "checked", ADMIN_BOOL, "is it asked by OPTIONS?"}, \
    {"dn", "last_check", ADMIN_TIME, "when it was asked last"}, \
    {"dn", "next_try", ADMIN_TIME, "when it is tried again"}, \
    {"dn", "last_answer", ADMIN_TEXT, "what the last check got"}

/* clang-format on */

const struct admin_column admin_columns_help[] = {
    {"command", "name", ADMIN_TEXT, "one or two words"},
    {"command", "args", ADMIN_TEXT, "arguments; those in brackets may be left out"},
    {"command", "help", ADMIN_TEXT, "what it does"},
    {"command", "changes", ADMIN_BOOL, "does it change something?"},
    END};

const struct admin_column admin_columns_status[] = {
    {"status", "version", ADMIN_TEXT, "version of the daemon"},
    {"status", "started", ADMIN_TIME, "when it was started"},
    {"status", "up_s", ADMIN_INT, "since then"},
    {"status", "state", ADMIN_TEXT, "running or draining"},
    {"status", "workers", ADMIN_INT, "threads that carry messages"},
    {"status", "connections", ADMIN_INT, "TCP and TLS connections"},
    {"status", "calls", ADMIN_INT, "calls that pass through"},
    {"status", "server_transactions", ADMIN_INT, "transactions towards who asks"},
    {"status", "client_transactions", ADMIN_INT, "transactions towards who is asked"},
    {"status", "bindings", ADMIN_INT, "registered contacts"},
    {"status", "applications", ADMIN_INT, "SIP Servers: pairs and groups"},
    {"status", "applications_down", ADMIN_INT, "those of which no member answers"},
    {"status", "dns_out", ADMIN_INT, "DNs out of service"},
    {"status", "dns_suspect", ADMIN_INT, "DNs that are suspect"},
    {"status", "configuration", ADMIN_TEXT, "file; empty: the embedded default"},
    END};

const struct admin_column admin_columns_workers[] = {
    {"worker", "worker", ADMIN_INT, "number"},
    {"worker", "state", ADMIN_TEXT, "answers, or why there is no answer"},
    {"worker", "connections", ADMIN_INT, "TCP and TLS connections"},
    {"worker", "server_transactions", ADMIN_INT, "transactions towards who asks"},
    {"worker", "client_transactions", ADMIN_INT, "transactions towards who is asked"},
    {"worker", "calls", ADMIN_INT, "calls that live there"},
    {"worker", "received", ADMIN_INT, "SIP messages received since the start"},
    {"worker", "sent", ADMIN_INT, "SIP messages sent since the start"},
    {"worker", "lag_ms", ADMIN_INT, "how late it is"},
    {"worker", "cpu_percent", ADMIN_INT, "share of one processor, in the last second or more"},
    {"worker", "answer_us", ADMIN_INT, "how soon it has answered this command"},
    END};

const struct admin_column admin_columns_flows[] = {FLOW, LINE, END};

const struct admin_column admin_columns_dns[] = {
    DN,
    {"binding", "dn", ADMIN_TEXT, "DN"},
    {"binding", "contact", ADMIN_TEXT, "registered contact"},
    {"binding", "transport", ADMIN_TEXT, "udp, tcp or tls"},
    {"binding", "remote", ADMIN_TEXT,
     "way to it: where requests go, or its connection is opened again; empty: by path or contact"},
    {"binding", "source", ADMIN_TEXT,
     "address that the last REGISTER came from; empty: not known any more"},
    {"binding", "connection", ADMIN_TEXT, "identifier of the connection; empty: none"},
    {"binding", "expires_s", ADMIN_INT, "until it expires"},
    {"binding", "q", ADMIN_TEXT, "preference, 0 to 1"},
    {"binding", "instance", ADMIN_TEXT, "+sip.instance of the device"},
    {"binding", "reg_id", ADMIN_INT, "reg-id of its connection (RFC 5626); 0: none"},
    {"binding", "path", ADMIN_TEXT, "Path that it was registered by (RFC 3327)"},
    {"binding", "registered", ADMIN_TIME, "when it was registered or refreshed last"},
    END};

const struct admin_column admin_columns_applications[] = {
    {"application", "name", ADMIN_TEXT, "name of its section"},
    {"application", "role", ADMIN_TEXT, "pair, or how calls are shared out"},
    {"application", "state", ADMIN_TEXT, "unknown, up, search (who is active?), down"},
    {"application", "active", ADMIN_TEXT, "URI of the active member of a pair"},
    {"application", "since", ADMIN_TIME, "since when it is in that state"},
    {"application", "switchovers", ADMIN_INT, "since the start"},
    {"application", "down_count", ADMIN_INT, "how often it was down, since the start"},
    {"application", "back_count", ADMIN_INT, "how often it came back"},
    {"member", "application", ADMIN_TEXT, "name of the application"},
    {"member", "index", ADMIN_INT, "number, 0 is the first one"},
    {"member", "uri", ADMIN_TEXT, "URI"},
    {"member", "state", ADMIN_TEXT, "active, reserve, up, down, unknown, absent"},
    {"member", "active", ADMIN_BOOL,
     "is it the active one of a pair? Balanced members have a state only"},
    {"member", "addresses", ADMIN_TEXT, "its addresses, divided by commas"},
    {"member", "since", ADMIN_TIME, "since when it is in that state"},
    {"member", "calls", ADMIN_INT, "calls that it has"},
    {"member", "weight", ADMIN_INT, "its share of the calls"},
    {"member", "last_answer", ADMIN_TEXT, "what its last check got"},
    {"member", "answered", ADMIN_TIME, "when that was"},
    {"member", "silent_ms", ADMIN_INT, "since it has answered; 0: it answers, or was not asked"},
    {"switchover", "application", ADMIN_TEXT, "name of the application"},
    {"switchover", "time", ADMIN_TIME, "when"},
    {"switchover", "from", ADMIN_TEXT, "member that was active"},
    {"switchover", "to", ADMIN_TEXT, "member that is active from then on"},
    {"switchover", "cause", ADMIN_TEXT, "why"},
    {"switchover", "ms", ADMIN_INT, "how long nobody was active, milliseconds"},
    END};

const struct admin_column admin_columns_calls[] = {CALL, LINE, END};

const struct admin_column admin_columns_transactions[] = {
    {"transaction", "id", ADMIN_TEXT, "identifier, hexadecimal"},
    {"transaction", "kind", ADMIN_TEXT, "server or client"},
    {"transaction", "method", ADMIN_TEXT, "method of the request"},
    {"transaction", "state", ADMIN_TEXT, "of RFC 3261 section 17 and RFC 6026"},
    {"transaction", "call_id", ADMIN_TEXT, "Call-ID"},
    {"transaction", "branch", ADMIN_TEXT, "branch of the topmost Via: ours of a client's"},
    {"transaction", "remote", ADMIN_TEXT, "the other side's address"},
    {"transaction", "transport", ADMIN_TEXT, "udp, tcp or tls"},
    {"transaction", "connection", ADMIN_TEXT, "identifier of the connection; empty: none"},
    {"transaction", "age_ms", ADMIN_INT, "since its request came"},
    {"transaction", "ends_ms", ADMIN_INT,
     "until a timer ends it, or what it waits for; 0: none is set"},
    WORKER("transaction"),
    LINE,
    END};

const struct admin_column admin_columns_trace[] = {
    {"message", "time_us", ADMIN_INT, "wall clock, microseconds since 1970"},
    {"message", "worker", ADMIN_INT, "worker that has carried it"},
    {"message", "direction", ADMIN_TEXT, "in or out"},
    {"message", "transport", ADMIN_TEXT, "udp, tcp or tls"},
    {"message", "local", ADMIN_TEXT, "our address"},
    {"message", "remote", ADMIN_TEXT, "the peer's address"},
    {"message", "connection", ADMIN_TEXT, "identifier of the connection; empty: none"},
    {"message", "start_line", ADMIN_TEXT, "its first line"},
    {"message", "method", ADMIN_TEXT, "of the request, or of CSeq"},
    {"message", "status", ADMIN_INT, "of a response; 0: a request"},
    {"message", "call_id", ADMIN_TEXT, "Call-ID"},
    {"message", "cseq", ADMIN_TEXT, "CSeq"},
    {"message", "from", ADMIN_TEXT, "From"},
    {"message", "to", ADMIN_TEXT, "To"},
    {"message", "length", ADMIN_INT, "bytes on the wire"},
    {"message", "cut", ADMIN_BOOL, "is its end missing?"},
    {"message", "text", ADMIN_TEXT, "the message, masked where that is configured"},
    {"message", "bytes", ADMIN_TEXT, "the same in base64 (RFC 4648 section 4), where asked for"},
    LINE,
    END};

const struct admin_column admin_columns_events[] = {
    {"event", "seq", ADMIN_INT, "running number"},
    {"event", "time", ADMIN_TIME, "when"},
    {"event", "number", ADMIN_INT, "which event; events.md explains it"},
    {"event", "level", ADMIN_TEXT, "error, warn, info"},
    {"event", "module", ADMIN_TEXT, "part of the daemon that it comes from"},
    {"event", "name", ADMIN_TEXT, "name of the event"},
    {"event", "text", ADMIN_TEXT, "what happened"},
    {"event", "fields", ADMIN_TEXT,
     "DN, addresses, cause and so on: text that is an object of JSON"},
    END};

const struct admin_column admin_columns_search[] = {DN, CALL, FLOW, LINE, END};

const struct admin_column admin_columns_options[] = {
    {"option", "section", ADMIN_TEXT, "section of the configuration"},
    {"option", "name", ADMIN_TEXT, "name"},
    {"option", "value", ADMIN_TEXT, "value now; what is secret is ***"},
    {"option", "pending", ADMIN_TEXT,
     "value of the file that a restart will bring; empty: the same"},
    {"option", "default", ADMIN_TEXT, "value without any"},
    {"option", "source", ADMIN_TEXT, "default, set (by holdfastctl), or FILE:LINE"},
    {"option", "effect", ADMIN_TEXT, "when a change takes effect: at once, reload, restart"},
    END};

const struct admin_column admin_columns_log[] = {
    {"level", "module", ADMIN_TEXT, "part of the daemon"},
    {"level", "level", ADMIN_TEXT, "error, warn, info, debug: what is logged of it"},
    {"level", "help", ADMIN_TEXT, "what it tells of"},
    LINE,
    END};

const struct admin_column admin_columns_resolver[] = {
    {"resolver_server", "address", ADMIN_TEXT, "DNS server"},
    {"resolver_server", "state", ADMIN_TEXT, "in-use or silent"},
    {"resolver_server", "questions", ADMIN_INT, "sent to it so far"},
    {"resolver_server", "failures", ADMIN_INT, "tries without an answer, one after the other"},
    {"resolver_server", "avoided_ms", ADMIN_INT, "it is asked last for so long"},
    WORKER("resolver_server"),
    {"resolver_name", "name", ADMIN_TEXT, "name"},
    {"resolver_name", "type", ADMIN_TEXT, "host, srv, naptr"},
    {"resolver_name", "answer", ADMIN_TEXT, "what is known"},
    {"resolver_name", "ttl_s", ADMIN_INT, "how long it holds"},
    {"resolver_name", "state", ADMIN_TEXT, "fresh, expired, asked, unknown"},
    {"resolver_name", "expired_s", ADMIN_INT, "since it has expired"},
    {"resolver_name", "asked", ADMIN_BOOL, "is a question under way?"},
    {"resolver_name", "failures", ADMIN_INT, "questions without an answer, one after the other"},
    {"resolver_name", "last_error", ADMIN_TEXT, "why the last one failed"},
    {"resolver_name", "hits", ADMIN_INT, "how often it was used"},
    WORKER("resolver_name"),
    LINE,
    END};

const struct admin_column admin_columns_overload[] = {
    {"overload", "refusing", ADMIN_BOOL, "are new requests refused for lag now?"},
    {"overload", "lag_ms", ADMIN_INT, "how late the worker is"},
    {"overload", "worst_ms", ADMIN_INT, "the worst of the last interval"},
    {"overload", "limit_ms", ADMIN_INT, "overload-lag: above it new requests are refused"},
    {"overload", "loss_percent", ADMIN_INT, "share of initial INVITEs that is refused for it"},
    {"overload", "loss_other_percent", ADMIN_INT, "the same of other new requests"},
    {"overload", "refused_rate", ADMIN_INT, "refused by overload-ctrl-dialog-rate so far"},
    {"overload", "refused_source", ADMIN_INT, "refused by overload-source-rate so far"},
    {"overload", "refused_lag", ADMIN_INT, "refused for lag so far"},
    {"overload", "refused_neighbour", ADMIN_INT, "not sent since the next hop asked for less"},
    WORKER("overload"),
    {"neighbour", "address", ADMIN_TEXT, "neighbour that speaks RFC 7339"},
    {"neighbour", "loss_percent", ADMIN_INT, "share that it does not want"},
    {"neighbour", "until_ms", ADMIN_INT, "that holds for so long"},
    {"neighbour", "follows", ADMIN_BOOL, "does it hold back what we ask for?"},
    WORKER("neighbour"),
    LINE,
    END};

const struct admin_column admin_columns_counters[] = {
    {"counter", "name", ADMIN_TEXT, "name"},
    {"counter", "value", ADMIN_INT, "of all workers together"},
    {"counter", "gauge", ADMIN_BOOL, "does it go up and down?"},
    {"counter", "help", ADMIN_TEXT, "what it counts"},
    END};

const struct admin_column admin_columns_done[] = {LINE, END};
