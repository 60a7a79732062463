/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/table.h"

#include <stdio.h>
#include <string.h>

#include "admin/columns.h"
#include "base/buf.h"

static const struct admin_command commands[CMD_MAX] = {
    [CMD_HELP] = {.name = "help", .help = "the commands", .columns = admin_columns_help},
    [CMD_STATUS] = {.name = "status",
                    .help = "version, uptime, and how much of everything there is",
                    .is_one = true,
                    .columns = admin_columns_status},
    [CMD_WORKERS] = {.name = "workers",
                     .help = "each worker: its share, its load, and how soon it answers",
                     .more = "A worker that does not answer within two seconds is stuck.",
                     .columns = admin_columns_workers},
    [CMD_FLOWS] = {.name = "flows",
                   .help = "connections: state, idle time, unacknowledged bytes, reopenings",
                   .args = {{"match", false,
                             "only those with this address, with or without port, DN, state, "
                             "transport or identifier"}},
                   .columns = admin_columns_flows},
    [CMD_FLOWS_CLOSE] = {.name = "flows close",
                         .help = "close a connection",
                         .more =
                             "The next message for that peer opens another one, where it can be "
                             "reached; what was not answered yet is sent again there. A phone "
                             "behind NAT has to come back by itself.",
                         .changes = true,
                         .can_miss = true,
                         .args = {{"id", true, "identifier, as flows shows it"}},
                         .columns = admin_columns_done},
    [CMD_DNS] = {.name = "dns",
                 .help = "DNs: state, cause, bindings, checks",
                 .can_miss = true,
                 .args = {{"name", false, "only this one"}},
                 .columns = admin_columns_dns},
    [CMD_DNS_OUT] =
        {.name = "dns out-of-service",
         .help = "set a DN out of service: new requests for it get 480",
         .more = "It stays out until it is set in service, whatever it answers and also over a "
                 "reload. Calls that stand go on.",
         .changes = true,
         .can_miss = true,
         .args = {{"name", true, "the DN"}},
         .columns = admin_columns_done},
    [CMD_DNS_IN] = {.name = "dns in-service",
                    .help = "set a DN in service: requests for it are tried again",
                    .changes = true,
                    .can_miss = true,
                    .args = {{"name", true, "the DN"}},
                    .columns = admin_columns_done},
    [CMD_APPLICATIONS] = {.name = "applications",
                          .help = "SIP Servers: who is active, who is up, the last switchovers",
                          .can_miss = true,
                          .args = {{"name", false, "only this one"}},
                          .columns = admin_columns_applications},
    [CMD_APPLICATIONS_SWITCH] =
        {.name = "applications switch",
         .help = "make the other member of a pair the active one",
         .more = "Requests that the former one has not answered are replayed to it.",
         .changes = true,
         .can_miss = true,
         .args = {{"name", true, "the application"},
                  {"member", false,
                   "the member that is to be active: its number (0 is the first one), URI, host or "
                   "address, with the port where that alone tells members apart"}},
         .columns = admin_columns_applications},
    [CMD_CALLS] = {.name = "calls",
                   .help = "dialogs that pass through",
                   .can_miss = true,
                   .args = {{"call_id", false, "only those of this call"}},
                   .columns = admin_columns_calls},
    [CMD_CALLS_RELEASE] = {.name = "calls release",
                           .help = "end a call now, for both sides",
                           .more = "BYE to both sides; an answer and CANCEL where it still rings.",
                           .changes = true,
                           .can_miss = true,
                           .args = {{"call_id", true, "its Call-ID"}},
                           .columns = admin_columns_done},
    [CMD_TRANSACTIONS] = {.name = "transactions",
                          .help = "transactions under way",
                          .columns = admin_columns_transactions},
    [CMD_TRACE] = {.name = "trace",
                   .help = "the last SIP messages, of a call, a DN or all",
                   .more = "As many as the option trace-buffer has room for, masked where "
                           "x-sip-mask-sensitive-data is on.",
                   .args = {{"match", false,
                             "only those with this Call-ID, or with this user or host in "
                             "Request-URI, From or To"},
                            {"since", false, "only those after this time_us"},
                            {"bytes", false, "1: with the value bytes"}},
                   .columns = admin_columns_trace},
    [CMD_EVENTS] = {.name = "events",
                    .help = "the last standard events of the log",
                    .more = "The last 1000; events.md explains each.",
                    .args = {{"since", false, "only those after the one with this seq"}},
                    .columns = admin_columns_events},
    [CMD_SEARCH] = {.name = "search",
                    .help = "DNs, calls and connections that a text is found in",
                    .more =
                        "In names and contacts of DNs; in Call-ID, from, to, DN and addresses of "
                        "calls; in DN and addresses of connections. At most 100 of each.",
                    .args = {{"text", true,
                              "part of a name, number, Call-ID or address; without case"}},
                    .columns = admin_columns_search},
    [CMD_OPTIONS] = {.name = "options",
                     .help = "options: value, default, where it comes from, when a change counts",
                     .can_miss = true,
                     .args = {{"name", false, "only this one"}},
                     .columns = admin_columns_options},
    [CMD_SET] = {.name = "set",
                 .help = "change an option of [sipproxy] until the next start",
                 .more =
                     "Those of which `options` says that a change takes effect at once, or with "
                     "a reload. The file stays as it is; set values outlive a reload.",
                 .changes = true,
                 .can_miss = true,
                 .args = {{"name", true, "the option"},
                          {"value", false, "its value; without one that of the file counts again"}},
                 .columns = admin_columns_done},
    [CMD_LOG] = {.name = "log",
                 .help = "show or change how much is logged, for all modules or for some",
                 .changes = true,
                 .args = {{"levels", false,
                           "as in the option log-level: info, or info, flow:debug"}},
                 .columns = admin_columns_log},
    [CMD_RELOAD] = {.name = "reload",
                    .help = "read the configuration and the certificates again",
                    .more = "No connection, transaction or registration is lost. A file with a "
                            "mistake changes nothing.",
                    .changes = true,
                    .columns = admin_columns_done},
    [CMD_DRAIN] = {.name = "drain",
                   .help = "take no new calls, and end when those that stand have ended",
                   .more = "OPTIONS and new calls get 503 with Retry-After.",
                   .changes = true,
                   .args = {{"seconds", false,
                             "end then at the latest: seconds, or with a unit, 90s, 30m, 1h; at "
                             "least 1s; without it there is no limit"}},
                   .columns = admin_columns_done},
    [CMD_DRAIN_CANCEL] = {.name = "drain cancel",
                          .help = "take new calls again",
                          .changes = true,
                          .columns = admin_columns_done},
    [CMD_RESOLVER] = {.name = "resolver",
                      .help = "DNS: servers, and the answers that are known",
                      .args = {{"name", false, "only what has to do with this name or address"}},
                      .columns = admin_columns_resolver},
    [CMD_RESOLVER_FORGET] = {.name = "resolver forget",
                             .help = "ask DNS anew for this name, or for all",
                             .changes = true,
                             .args = {{"name", false, "the name; without it all of them"}},
                             .columns = admin_columns_done},
    [CMD_OVERLOAD] = {.name = "overload",
                      .help = "how late each worker is, and what is refused",
                      .columns = admin_columns_overload},
    [CMD_COUNTERS] = {.name = "counters",
                      .help = "all counters, of all workers together",
                      .columns = admin_columns_counters},
};

const struct admin_command *admin_command_at(enum admin_command_id id)
{
    return &commands[id];
}

enum admin_command_id admin_command_find(struct slice name)
{
    for (unsigned i = 0; i < CMD_MAX; i++)
        if (slice_eq(slice_str(commands[i].name), name))
            return (enum admin_command_id)i;
    return CMD_MAX;
}

unsigned admin_command_nargs(const struct admin_command *c)
{
    unsigned n = 0;
    while (n < ADMIN_ARGS_MAX && c->args[n].name != NULL)
        n++;
    return n;
}

const char *admin_command_next_set(const struct admin_command *c, const char *set)
{
    const struct admin_column *column = c->columns;
    if (set == NULL)
        return column->set;
    while (column->set != NULL && strcmp(column->set, set) != 0)
        column++;
    while (column->set != NULL && strcmp(column->set, set) == 0)
        column++;
    return column->set;
}

static void put_arg(struct buf *b, const struct admin_arg *arg)
{
    if (b->len != 0)
        buf_char(b, ' ');
    if (!arg->is_needed)
        buf_char(b, '[');
    for (const char *c = arg->name; *c != '\0'; c++)
        buf_char(b, *c == '_' ? '-' : (char)(*c >= 'a' && *c <= 'z' ? *c - 0x20 : *c));
    if (!arg->is_needed)
        buf_char(b, ']');
}

void admin_command_usage(const struct admin_command *c, char *text, unsigned cap)
{
    struct buf b;
    buf_init(&b, text, cap - 1);
    for (unsigned i = 0; i < admin_command_nargs(c); i++)
        put_arg(&b, &c->args[i]);
    text[b.len] = '\0';
}
