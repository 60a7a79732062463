/* SPDX-License-Identifier: Apache-2.0 */
/* Open-loop load for a SIP proxy: callers, callees and an application in one program, exact account
 * of every call.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "lib/load.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define NS 1000000000ULL

static const char usage[] =
    "bench_load: open-loop SIP calls through a proxy, every call accounted for\n"
    "\n"
    "  --uac, --uas          only the callers, or only the callees (default: both)\n"
    "  --proxy HOST:PORT     where requests go (default 127.0.0.1:5060)\n"
    "  --uas-address H:PORT  first address of the callees (default 127.0.0.1:15080)\n"
    "  --uas-ports N         number of callee ports, consecutive (default 16)\n"
    "  --uac-address H[:P]   local address of UDP callers; ports from P on (default any)\n"
    "  --transport udp|tcp   (default udp)\n"
    "  --connections N       caller ports (UDP) or connections (TCP) (default 16)\n"
    "  --rate R              calls per second (default 100)\n"
    "  --seconds S           length of the run, 1 to 3600 (default 10)\n"
    "  --calls N             number of calls instead; at most 10000000\n"
    "  --register N          register u0..u(N-1) first, each over its own port or connection,\n"
    "                        and call sip:u<i>@DOMAIN instead of the callee's address\n"
    "  --domain D            domain of registered users (default: that of --proxy)\n"
    "  --application H:PORT  be an application there too: callees are called by name at DOMAIN, the\n"
    "                        proxy leads the calls to it, and it leads them back to the callees\n"
    "  --direct              no proxy, or a null relay, between: no Record-Route expected\n"
    "  --ring MS             time from 180 to 200 (default 0: back to back)\n"
    "  --hold MS             time from ACK to BYE (default 0: back to back)\n"
    "  --trying              the callee sends 100 first\n"
    "  --oc                  callers keep to what the proxy asks for (RFC 7339)\n"
    "  --timeout S           a transaction is given up after this (default 10, at most 60)\n"
    "  --linger MS           wait for late messages at the end (default 300)\n"
    "  --wait                print READY when connected and registered, start at a line on stdin\n"
    "  --json                one JSON object instead of text\n"
    "\n"
    "Without a proxy: bench_load --direct --proxy 127.0.0.1:15080 --uas-ports 1\n"
    "Exit status: 0 every call completed and none doubled, 1 otherwise, 2 wrong usage.\n";

enum opt_id {
    OPT_UAC = 256,
    OPT_UAS,
    OPT_PROXY,
    OPT_UAS_ADDRESS,
    OPT_UAS_PORTS,
    OPT_UAC_ADDRESS,
    OPT_TRANSPORT,
    OPT_CONNECTIONS,
    OPT_RATE,
    OPT_SECONDS,
    OPT_CALLS,
    OPT_REGISTER,
    OPT_DOMAIN,
    OPT_APPLICATION,
    OPT_DIRECT,
    OPT_RING,
    OPT_HOLD,
    OPT_TRYING,
    OPT_OC,
    OPT_TIMEOUT,
    OPT_LINGER,
    OPT_WAIT,
    OPT_JSON,
    OPT_HELP
};

static const struct option long_options[] = {
    {"uac", no_argument, NULL, OPT_UAC},
    {"uas", no_argument, NULL, OPT_UAS},
    {"proxy", required_argument, NULL, OPT_PROXY},
    {"uas-address", required_argument, NULL, OPT_UAS_ADDRESS},
    {"uas-ports", required_argument, NULL, OPT_UAS_PORTS},
    {"uac-address", required_argument, NULL, OPT_UAC_ADDRESS},
    {"transport", required_argument, NULL, OPT_TRANSPORT},
    {"connections", required_argument, NULL, OPT_CONNECTIONS},
    {"rate", required_argument, NULL, OPT_RATE},
    {"seconds", required_argument, NULL, OPT_SECONDS},
    {"calls", required_argument, NULL, OPT_CALLS},
    {"register", required_argument, NULL, OPT_REGISTER},
    {"domain", required_argument, NULL, OPT_DOMAIN},
    {"application", required_argument, NULL, OPT_APPLICATION},
    {"direct", no_argument, NULL, OPT_DIRECT},
    {"ring", required_argument, NULL, OPT_RING},
    {"hold", required_argument, NULL, OPT_HOLD},
    {"trying", no_argument, NULL, OPT_TRYING},
    {"oc", no_argument, NULL, OPT_OC},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"linger", required_argument, NULL, OPT_LINGER},
    {"wait", no_argument, NULL, OPT_WAIT},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

/* --- options ---------------------------------------------------------------------------------- */

static bool number(const char *text, uint64_t min, uint64_t max, uint64_t *v)
{
    struct str s = {text, strlen(text)};

    if (text_uint(s, max, v) && *v >= min && text[strspn(text, "0123456789")] == '\0')
        return true;
    fprintf(stderr, "%s: a number from %llu to %llu is wanted\n", text, (unsigned long long)min,
            (unsigned long long)max);
    return false;
}

static bool number32(const char *text, unsigned min, unsigned max, unsigned *v)
{
    uint64_t wide;

    if (!number(text, min, max, &wide))
        return false;
    *v = (unsigned)wide;
    return true;
}

static bool address(const char *text, struct sockaddr_in *a)
{
    if (net_address(text, a))
        return true;
    fprintf(stderr, "%s: IPv4-ADDRESS:PORT is wanted\n", text);
    return false;
}

static bool rate(const char *text, double *v)
{
    char *end;

    *v = strtod(text, &end);
    if (*end == '\0' && *v > 0 && *v <= 1e6)
        return true;
    fprintf(stderr, "%s: calls per second, more than 0 and at most 1000000\n", text);
    return false;
}

static bool set_number(struct load_options *o, int id, const char *arg)
{
    unsigned seconds;
    bool good;

    switch (id) {
    case OPT_UAS_PORTS: return number32(arg, 1, 10000, &o->uas_ports);
    case OPT_CONNECTIONS: return number32(arg, 1, 100000, &o->connections);
    case OPT_SECONDS: return number32(arg, 1, LOAD_MAX_SECONDS, &o->seconds);
    case OPT_CALLS: return number(arg, 1, LOAD_MAX_CALLS, &o->calls);
    case OPT_REGISTER: return number32(arg, 1, 100000, &o->users);
    case OPT_RING: return number32(arg, 0, 30000, &o->ring_ms);
    case OPT_HOLD: return number32(arg, 0, 60000, &o->hold_ms);
    case OPT_LINGER: return number32(arg, 0, 60000, &o->linger_ms);
    case OPT_TIMEOUT:
        good = number32(arg, 1, 60, &seconds);
        if (good)
            o->timeout_ms = seconds * 1000U;
        return good;
    default: return false;
    }
}

static bool set_option(struct load_options *o, int id, const char *arg)
{
    switch (id) {
    case OPT_UAC: o->uac = true; return true;
    case OPT_UAS: o->uas = true; return true;
    case OPT_DIRECT: o->direct = true; return true;
    case OPT_TRYING: o->trying = true; return true;
    case OPT_OC: o->oc = true; return true;
    case OPT_WAIT: o->wait = true; return true;
    case OPT_JSON: o->json = true; return true;
    case OPT_DOMAIN: o->domain = arg; return true;
    case OPT_PROXY: return address(arg, &o->proxy);
    case OPT_UAS_ADDRESS: return address(arg, &o->uas_address);
    case OPT_APPLICATION: o->app = true; return address(arg, &o->app_address);
    case OPT_UAC_ADDRESS:
        if (!address(arg, &o->uac_address))
            return false;
        if (!strchr(arg, ':'))
            o->uac_address.sin_port = 0;
        return true;
    case OPT_RATE: return rate(arg, &o->rate);
    case OPT_TRANSPORT:
        o->tcp = strcmp(arg, "tcp") == 0;
        if (o->tcp || strcmp(arg, "udp") == 0)
            return true;
        fprintf(stderr, "%s: udp or tcp is wanted\n", arg);
        return false;
    default: return set_number(o, id, arg);
    }
}

/* 0: run; 1: --help was asked for; 2: wrong usage. */
static int read_options(struct load_options *o, int argc, char **argv, char *domain, size_t cap)
{
    int id;
    double calls;

    *o = (struct load_options){.uas_ports = 16, .connections = 16, .rate = 100, .seconds = 10};
    o->timeout_ms = 10000;
    o->linger_ms = 300;
    (void)net_address("127.0.0.1:5060", &o->proxy);
    (void)net_address("127.0.0.1:15080", &o->uas_address);
    (void)net_address("127.0.0.1:0", &o->uac_address);
    while ((id = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (id == OPT_HELP)
            return 1;
        if (id == '?' || !set_option(o, id, optarg))
            return 2;
    }
    if (optind < argc)
        return 2;
    if (!o->uac && !o->uas)
        o->uac = o->uas = true;
    calls = o->rate * (double)o->seconds;
    if (o->calls == 0)
        o->calls = calls < 1 ? 1 : (uint64_t)(calls + 0.5);
    if (o->calls > LOAD_MAX_CALLS) {
        fprintf(stderr, "at most %u calls in one run\n", LOAD_MAX_CALLS);
        return 2;
    }
    net_text(&o->proxy, domain, cap);
    if (!o->domain)
        o->domain = domain;
    return 0;
}

/* --- run -------------------------------------------------------------------------------------- */

static void start_due(struct load *l)
{
    double interval = 1e9 / l->opt.rate;

    while (l->uac.n.started < l->opt.calls) {
        uint64_t planned = l->begin + (uint64_t)(interval * (double)l->uac.n.started);

        if (planned > l->now)
            return;
        uac_start(l, l->uac.n.started, planned);
    }
}

static void make_calls(struct load *l)
{
    double interval = 1e9 / l->opt.rate;
    uint64_t quiet;

    while (!l->stop && l->uac.n.ended < l->opt.calls) {
        uint64_t until = l->now + NS;

        start_due(l);
        net_flush(&l->net);
        if (l->uac.n.started < l->opt.calls)
            until = l->begin + (uint64_t)(interval * (double)l->uac.n.started);
        load_turn(l, until);
    }
    l->end = load_clock();
    quiet = l->end + (uint64_t)l->opt.linger_ms * 1000000U;
    while (!l->stop && load_clock() < quiet)
        load_turn(l, quiet);
}

static void answer_calls(struct load *l)
{
    uint64_t last = l->begin + (uint64_t)LOAD_MAX_SECONDS * NS;

    while (!l->stop && load_clock() < last)
        load_turn(l, last);
    l->end = load_clock();
}

/* SIGINT and SIGTERM end the run early; the report is written all the same. */
static bool catch_signals(struct load *l)
{
    sigset_t set;
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return fd >= 0 && epoll_ctl(l->net.epoll, EPOLL_CTL_ADD, fd, &ev) == 0;
}

static bool start(struct load *l)
{
    char line[64];

    if (!net_init(&l->net) || !catch_signals(l) || !wheel_init(&l->wheel, load_ms(l)))
        return false;
    if (l->opt.uas && !uas_open(l))
        return false;
    if (l->opt.app && !app_open(l))
        return false;
    if (l->opt.uac && !uac_open(l))
        return false;
    if (l->opt.uas && l->opt.users && !uas_register(l)) {
        fprintf(stderr, "%u of %u users could not register\n", l->uas.register_failed,
                l->opt.users);
        return false;
    }
    if (l->opt.wait) {
        printf("READY\n");
        (void)fflush(stdout);
        if (!fgets(line, sizeof(line), stdin))
            return false;
    }
    l->begin = l->now = load_clock();
    return true;
}

int main(int argc, char **argv)
{
    struct load *l = calloc(1, sizeof(*l));
    char domain[32];
    bool good;
    int bad;

    if (!l)
        return 1;
    bad = read_options(&l->opt, argc, argv, domain, sizeof(domain));
    if (bad) {
        fputs(usage, bad == 1 ? stdout : stderr);
        free(l);
        return bad == 1 ? 0 : 2;
    }
    (void)prctl(PR_SET_TIMERSLACK, 1); /* the default of 50 us would show in every latency */
    l->now = load_clock();
    l->run = (l->now / 1000U) % 1000000000U;
    good = start(l);
    if (good && l->opt.uac)
        make_calls(l);
    else if (good)
        answer_calls(l);
    if (good)
        good = load_report(l);
    uac_close(l);
    uas_close(l);
    wheel_fini(&l->wheel);
    net_fini(&l->net);
    free(l);
    return good ? 0 : 1;
}
