/* SPDX-License-Identifier: Apache-2.0 */
/* Another configuration for the running daemon. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "app/daemon_int.h"
#include "base/alloc.h"
#include "base/event.h"
#include "flow/tls.h"

#define RELOAD_WAIT_MS 10000 /* workers take a configuration at their next turn */
#define SAID_MAX       65536 /* bytes about the errors of a file */

static void wait_seen(struct daemon *d, const struct conf *conf)
{
    uint64_t until = daemon_now_ms() + RELOAD_WAIT_MS;
    for (unsigned i = 0; i < d->nworkers; i++)
        while (worker_conf_seen(d->workers[i]) != conf && daemon_now_ms() < until)
            poll(NULL, 0, 1);
}

static bool all_have_seen(struct daemon *d, const struct conf *conf)
{
    for (unsigned i = 0; i < d->nworkers; i++)
        if (worker_conf_seen(d->workers[i]) != conf)
            return false;
    return true;
}

static unsigned sets_of(const struct by_hand *h, struct conf_set *out)
{
    for (unsigned i = 0; i < h->n; i++)
        out[i] = (struct conf_set){slice_str(h->set[i].name), slice_str(h->set[i].value)};
    return h->n;
}

/* --- what is said about a file --- */

int said_open(struct said *said)
{
    *said = (struct said){.text = mem_zalloc(SAID_MAX + 1)};
    said->file = said->text != NULL ? fmemopen(said->text, SAID_MAX, "w") : NULL;
    if (said->file != NULL)
        return 0;
    mem_free(said->text);
    return ERR_NOMEM;
}

void said_rows(const struct said *said, const struct row_sink *sink)
{
    fflush(said->file);
    struct slice rest = slice_str(said->text);
    while (rest.len != 0) {
        ptrdiff_t end = slice_chr(rest, '\n');
        size_t len = end >= 0 ? (size_t)end : rest.len, used = end >= 0 ? len + 1 : len;
        ROW(sink, "line", LF_SLICE("text", slice_of(rest.ptr, len)));
        rest = slice_of(rest.ptr + used, rest.len - used);
    }
}

unsigned said_first(const struct said *said, char *text, size_t cap)
{
    unsigned n = 0;
    fflush(said->file);
    const char *first = said->text + said->mistakes;
    snprintf(text, cap, "%.*s", (int)strcspn(first, "\n"), first);
    for (const char *c = first; *c != '\0'; c++)
        n += *c == '\n';
    return n;
}

void said_close(struct said *said)
{
    fclose(said->file);
    mem_free(said->text);
}

static void log_line(void *user, const char *set, unsigned n, const struct field *fields)
{
    (void)set, (void)n;
    LOG(*(const enum log_level *)user, "app", "configuration", LF_SLICE("line", fields[0].v.slice));
}

/* In the format of the log. */
static void log_said(const struct said *said, enum log_level level)
{
    struct row_sink sink = {log_line, &level};
    said_rows(said, &sink);
}

/* --- another configuration --- */

/* `tls`: the files of TLS are read, too; false: they are left as they were read last. */
static int read_again(struct daemon *d, bool is_new, bool tls, struct said *said,
                      struct conf **next, unsigned *later)
{
    struct conf_set sets[BY_HAND_MAX];
    unsigned n = sets_of(&d->by_hand, sets);
    int err = is_new ? conf_load_with(d->conf->file, sets, n, said->file, next)
                     : conf_load_again(d->conf, sets, n, said->file, next);
    if (err != 0)
        return err;
    *later = conf_needs_restart(d->conf, *next, said->file);
    fflush(said->file);
    said->mistakes = strlen(said->text);
    err = conf_keep_running(d->conf, *next);
    if (err == 0)
        err = tls ? conf_open_tls(*next, d->tls_keys, said->file) : conf_share_tls(d->conf, *next);
    if (err == 0 && d->shared.flow_tls != NULL)
        err = flow_tls_configure(d->shared.flow_tls, (*next)->profiles, (*next)->nprofiles);
    if (err == 0)
        err =
            groups_configure(d->shared.groups, (*next)->groups, (*next)->ngroups, daemon_now_ms());
    return err == 0 ? dn_dir_configure(d->shared.dir, (*next)->dns, (*next)->ndns) : err;
}

/* The workers take it, each at its next turn. */
static void use(struct daemon *d, struct conf *next)
{
    log_set_levels(&next->log_levels);
    log_set_format(next->log_format);
    for (unsigned i = 0; i < d->nworkers; i++)
        worker_reload(d->workers[i], next);
    daemon_http_reload(d, next);
    wait_seen(d, next);
    struct conf *old = d->conf;
    pthread_mutex_lock(&d->conf_lock);
    d->conf = next;
    pthread_mutex_unlock(&d->conf_lock);
    /* A worker that has not come round in that time may still use the old one, which is then left
     * to it. */
    if (all_have_seen(d, next))
        conf_free(&old);
}

/* How many mistakes there are; `why` tells the first. */
static unsigned reload_failed(struct conf **next, int err, const struct said *said, char *why)
{
    char room[64];
    unsigned n = said_first(said, why, ADMIN_WHY_MAX);
    if (err != ERR_PARSE || n == 0)
        snprintf(why, ADMIN_WHY_MAX, "%s", err_text(err, room, sizeof(room)));
    conf_free(next);
    return err == ERR_PARSE ? n : 0;
}

bool daemon_reload(struct daemon *d, struct said *said, char *why)
{
    struct conf *next = NULL;
    unsigned later = 0;
    char text[64];
    /* Not rounded: systemd takes a time before that of its signal for an answer to an earlier one.
     */
    snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
             (unsigned long long)daemon_now_us());
    notify_send(text);
    int err = read_again(d, true, true, said, &next, &later);
    log_said(said, err == 0 ? LOG_WARN : LOG_ERROR);
    if (err != 0) {
        unsigned mistakes = reload_failed(&next, err, said, why);
        EVENT_LOG(EV_RELOAD_FAILED, LF_STR("cause", why), LF_INT("mistakes", mistakes));
        if (mistakes != 0) /* their lines go along */
            snprintf(why, ADMIN_WHY_MAX, "mistakes in the configuration: %u", mistakes);
        notify_send("READY=1");
        return false;
    }
    log_keepalive(next);
    log_applications(next);
    atomic_store(&d->certificate_ends, log_certificates(next, daemon_wall_ms(NULL), false));
    use(d, next);
    EVENT_LOG(EV_RELOADED, LF_STR("file", next->file != NULL ? next->file : "(embedded)"),
              LF_INT("need_restart", later), LF_INT("set_by_hand", d->by_hand.n));
    notify_send("READY=1");
    return true;
}

/* --- set --- */

static bool can_set(struct slice name, struct slice value, char *why)
{
    int err = conf_can_set(name);
    if (err == ERR_NOT_FOUND)
        snprintf(why, ADMIN_WHY_MAX, "no such option of [sipproxy]: %.*s", SLICE_ARG(name));
    else if (err != 0)
        snprintf(why, ADMIN_WHY_MAX, "%.*s needs a restart: change it in the file",
                 SLICE_ARG(name));
    else if (value.len >= BY_HAND_VALUE)
        snprintf(why, ADMIN_WHY_MAX, "the value is longer than %u bytes: change it in the file",
                 BY_HAND_VALUE - 1);
    return why[0] == '\0';
}

/* False: there is no room. */
static bool note_by_hand(struct by_hand *h, struct slice name, struct slice value)
{
    unsigned at = 0;
    while (at < h->n && !slice_eq(slice_str(h->set[at].name), name))
        at++;
    if (value.ptr == NULL) {
        if (at < h->n)
            h->set[at] = h->set[--h->n];
        return true;
    }
    if (at == BY_HAND_MAX)
        return false;
    h->n = at == h->n ? at + 1 : h->n;
    return slice_cstr(name, h->set[at].name, sizeof(h->set[at].name)) &&
           slice_cstr(value, h->set[at].value, sizeof(h->set[at].value));
}

static void say_set(struct slice name, struct slice value)
{
    char text[64];
    bool is_secret = !slice_cstr(name, text, sizeof(text)) || conf_is_secret(text);
    if (value.ptr == NULL)
        EVENT_LOG(EV_OPTION_TAKEN_BACK, LF_SLICE("option", name));
    else
        EVENT_LOG(EV_OPTION_SET, LF_SLICE("option", name),
                  LF_SLICE("value", is_secret ? SLICE("***") : value));
}

/* Only then a certificate that is half written just now stands in the way. */
static bool is_of_tls(struct slice option)
{
    return slice_starts(option, SLICE("tls-")) || slice_starts(option, SLICE("admin-"));
}

bool daemon_set(struct daemon *d, struct slice name, struct slice value, struct said *said,
                char *why)
{
    struct conf *next = NULL;
    struct by_hand before = d->by_hand;
    unsigned later = 0;
    if (!can_set(name, value, why))
        return false;
    if (!note_by_hand(&d->by_hand, name, value)) {
        snprintf(why, ADMIN_WHY_MAX, "%u options are set by hand already", BY_HAND_MAX);
        return false;
    }
    int err = read_again(d, false, is_of_tls(name), said, &next, &later);
    if (err != 0) {
        d->by_hand = before;
        (void)reload_failed(&next, err, said, why);
        /* One value, one mistake: it is told once. */
        if (err == ERR_PARSE) {
            rewind(said->file);
            said->text[0] = '\0';
        }
        return false;
    }
    use(d, next);
    say_set(name, value);
    return true;
}
