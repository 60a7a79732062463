/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "load.h"

#include <stdio.h>
#include <sys/resource.h>

struct field {
    const char *name;
    uint64_t value;
};

static double own_cpu(void)
{
    struct rusage u;

    if (getrusage(RUSAGE_SELF, &u) < 0)
        return 0;
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static uint64_t all_failed(const struct uac_counts *n)
{
    return n->failed + n->failed_bye + n->timeout_invite + n->timeout_bye + n->no_record_route +
           n->bad_route + n->send_failed + (n->started - n->ended);
}

static void print_fields(bool json, const char *title, const struct field *f, size_t count)
{
    printf(json ? ",\"%s\":{" : "%s:\n", title);
    for (size_t i = 0; i < count; i++) {
        if (json)
            printf("%s\"%s\":%llu", i ? "," : "", f[i].name, (unsigned long long)f[i].value);
        else if (f[i].value)
            printf("  %-26s %12llu\n", f[i].name, (unsigned long long)f[i].value);
    }
    if (json)
        printf("}");
}

static void print_hist(bool json, const char *name, const struct hist *h)
{
    static const unsigned at[] = {500, 900, 990, 999};
    static const char *const label[] = {"p50", "p90", "p99", "p99.9"};

    printf(json ? ",\"%s_us\":{\"count\":%llu" : "%-16s %9llu", name, (unsigned long long)h->count);
    for (unsigned i = 0; i < 4; i++)
        printf(json ? ",\"%s\":%llu" : "   %s %llu us", label[i],
               (unsigned long long)hist_at(h, at[i]));
    printf(json ? ",\"max\":%llu}" : "   max %llu us\n", (unsigned long long)h->max);
}

static void print_uac(bool json, const struct uac *u)
{
    const struct uac_counts *n = &u->n;
    const struct field fields[] = {
        {"started", n->started},
        {"completed", n->completed},
        {"failed", all_failed(n)},
        {"failed_by_status", n->failed},
        {"failed_bye_by_status", n->failed_bye},
        {"timeout_invite", n->timeout_invite},
        {"timeout_bye", n->timeout_bye},
        {"no_record_route", n->no_record_route},
        {"bad_route", n->bad_route},
        {"send_failed", n->send_failed},
        {"held_back", n->held_back},
        {"unfinished", n->started - n->ended},
        {"invite_retransmitted", n->invite_retransmits},
        {"bye_retransmitted", n->bye_retransmits},
        {"got_100", n->got_100},
        {"late_100", n->late_100},
        {"reordered_180_200", n->reordered},
        {"no_180_before_200", n->without_180},
        {"seen_180_again", n->repeated_1xx},
        {"seen_200_invite_again", n->repeated_200_invite},
        {"seen_200_bye_again", n->repeated_200_bye},
        {"second_dialog", n->second_dialog},
        {"stray", n->stray},
    };
    bool first = true;

    print_fields(json, "uac", fields, sizeof(fields) / sizeof(fields[0]));
    printf(json ? ",\"status\":{" : "");
    for (unsigned i = 300; i < 700; i++) {
        if (!n->by_status[i])
            continue;
        if (json)
            printf("%s\"%u\":%llu", first ? "" : ",", i, (unsigned long long)n->by_status[i]);
        else
            printf("  status %u                 %12llu\n", i, (unsigned long long)n->by_status[i]);
        first = false;
    }
    printf(json ? "}" : "");
    print_hist(json, "invite_180", &u->to_180);
    print_hist(json, "invite_200", &u->to_200);
    print_hist(json, "bye_200", &u->bye_200);
}

static void print_uas(bool json, const struct uas *s)
{
    const struct uas_counts *n = &s->n;
    const struct field fields[] = {
        {"registered", s->registered},
        {"register_failed", s->register_failed},
        {"register_retransmitted", s->register_retransmits},
        {"register_ms", s->register_ns / 1000000U},
        {"calls", n->calls},
        {"answered", n->answered},
        {"acked", n->acked},
        {"byes", n->byes},
        {"invite_duplicated", n->invite_duplicates},
        {"bye_duplicated", n->bye_duplicates},
        {"seen_invite_again", n->invite_retransmits},
        {"seen_bye_again", n->bye_retransmits},
        {"seen_ack_again", n->ack_repeats},
        {"bye_before_ack", n->bye_before_ack},
        {"answer_retransmitted", n->response_retransmits},
        {"never_acked", n->never_acked},
        {"stray", n->stray},
    };

    print_fields(json, "uas", fields, sizeof(fields) / sizeof(fields[0]));
}

static void print_app(bool json, const struct app *a)
{
    const struct field fields[] = {
        {"forwarded", a->n.forwarded},
        {"checks", a->n.checks},
        {"dropped", a->n.dropped},
    };

    print_fields(json, "application", fields, sizeof(fields) / sizeof(fields[0]));
}

static void print_run(const struct load *l)
{
    bool json = l->opt.json;
    double seconds = (double)(l->end - l->begin) / 1e9;
    const struct field fields[] = {
        {"sent", l->net.sent},
        {"received", l->net.received},
        {"send_failed", l->net.send_failed},
        {"closed_by_peer", l->net.closed},
        {"malformed", l->malformed},
        {"late_max_us", l->uac.late_max / 1000U},
    };

    printf(json ? "{\"seconds\":%.3f" : "seconds %.3f", seconds);
    printf(json ? ",\"calls_per_s\":%.1f" : "   calls/s %.1f",
           seconds > 0 ? (double)l->uac.n.started / seconds : 0);
    printf(json ? ",\"own_cpu_s\":%.3f" : "   own CPU s %.3f\n", own_cpu());
    print_fields(json, "messages", fields, sizeof(fields) / sizeof(fields[0]));
}

bool load_report(const struct load *l)
{
    const struct uac_counts *n = &l->uac.n;
    bool good = l->uas.n.invite_duplicates == 0 && l->uas.register_failed == 0;

    print_run(l);
    if (l->opt.uac) {
        print_uac(l->opt.json, &l->uac);
        good = good && n->started == l->opt.calls && n->completed == n->started;
    }
    if (l->opt.uas)
        print_uas(l->opt.json, &l->uas);
    if (l->opt.app)
        print_app(l->opt.json, &l->app);
    if (l->opt.json)
        printf(",\"good\":%s}\n", good ? "true" : "false");
    else
        printf("%s\n", good ? "good" : "NOT GOOD");
    (void)fflush(stdout);
    return good;
}
