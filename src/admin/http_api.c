/* SPDX-License-Identifier: Apache-2.0 */
/* Commands over HTTP: the path names one, query or body its arguments, the answer is its rows. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "admin/http_int.h"
#include "admin/openapi.h"

/* --- rows --- */

void http_rows_init(struct http_rows *rows, const struct admin_command *c)
{
    const char *set = NULL;
    *rows = (struct http_rows){0};
    while (rows->n < HTTP_SETS && (set = admin_command_next_set(c, set)) != NULL) {
        rows->set[rows->n] = set;
        rows->rows[rows->n++].max = HTTP_SET_MAX;
    }
}

void http_rows_fini(struct http_rows *rows)
{
    for (unsigned i = 0; i < rows->n; i++)
        admin_text_fini(&rows->rows[i]);
}

static void add_row(void *user, const char *set, unsigned n, const struct field *fields)
{
    struct http_rows *rows = user;
    for (unsigned i = 0; i < rows->n; i++) {
        struct admin_text *t = &rows->rows[i];
        if (strcmp(rows->set[i], set) != 0)
            continue;
        rows->has_failed = rows->has_failed || (t->len != 0 && !admin_text_add(t, ",\n", 2)) ||
                           !json_row(t, n, fields);
        return;
    }
}

struct row_sink http_rows_sink(struct http_rows *rows)
{
    return (struct row_sink){add_row, rows};
}

bool http_rows_write(struct http_rows *rows, struct admin_text *out)
{
    bool ok = !rows->has_failed;
    for (unsigned i = 0; ok && i < rows->n; i++) {
        ok = (i == 0 || admin_text_add(out, ",\n", 2)) && json_text(out, slice_str(rows->set[i])) &&
             admin_text_add(out, ":[", 2) &&
             admin_text_add(out, rows->rows[i].ptr, rows->rows[i].len) &&
             admin_text_add(out, "]", 1);
        admin_text_fini(&rows->rows[i]);
    }
    return ok;
}

/* --- one at a time, nearly --- */

bool http_run_begin(struct admin_http *http)
{
    struct timespec until;
    int err = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += HTTP_WAIT_MS / 1000;
    pthread_mutex_lock(&http->lock);
    while (http->running >= HTTP_RUNNING && err == 0)
        err = pthread_cond_timedwait(&http->ended, &http->lock, &until);
    bool ok = http->running < HTTP_RUNNING;
    http->running += ok;
    pthread_mutex_unlock(&http->lock);
    if (!ok)
        atomic_fetch_add(&http->refused[HTTP_REFUSED_BUSY], 1);
    return ok;
}

void http_run_end(struct admin_http *http)
{
    pthread_mutex_lock(&http->lock);
    http->running--;
    pthread_cond_signal(&http->ended);
    pthread_mutex_unlock(&http->lock);
}

/* --- one command --- */

/* {"SET":[…],"error":"…"}, the last one where it was refused. */
static bool write_answer(struct http_rows *rows, enum admin_status status, const char *why,
                         struct admin_text *out)
{
    bool ok = admin_text_add(out, "{", 1) && http_rows_write(rows, out);
    if (ok && status != ADMIN_OK)
        ok = admin_text_add(out, ",\n\"error\":", 10) && json_text(out, slice_str(why));
    return ok && admin_text_add(out, "}\n", 2);
}

static unsigned code_of(enum admin_status status)
{
    return status == ADMIN_OK        ? MHD_HTTP_OK
           : status == ADMIN_MISSING ? MHD_HTTP_NOT_FOUND
                                     : MHD_HTTP_CONFLICT;
}

static enum MHD_Result run(struct http_req *r, enum admin_command_id id,
                           const struct slice args[ADMIN_ARGS_MAX])
{
    const struct admin_command *c = admin_command_at(id);
    struct admin_text out = {.max = HTTP_HELD_MAX};
    struct http_rows rows;
    char why[ADMIN_WHY_MAX] = "";
    http_rows_init(&rows, c);
    struct row_sink sink = http_rows_sink(&rows);
    if (c->changes)
        LOG(LOG_INFO, "admin", "command by HTTP", LF_STR("command", c->name),
            LF_SLICE("what", args[0]), LF_ADDR("from", &r->peer));
    enum admin_status status = admin_call(r->http->admin, id, args, &sink, why);
    bool ok = status != ADMIN_USAGE && write_answer(&rows, status, why, &out);
    http_rows_fini(&rows);
    if (status == ADMIN_USAGE)
        return http_error(r, MHD_HTTP_BAD_REQUEST, "%s", why);
    if (ok)
        return http_answer(r, code_of(status), "application/json", &out);
    admin_text_fini(&out);
    return http_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, HTTP_TOO_MUCH);
}

static enum MHD_Result send_openapi(struct http_req *r)
{
    struct admin_text out = {.max = ADMIN_TEXT_MAX};
    if (openapi_write(&out))
        return http_answer(r, MHD_HTTP_OK, "application/json", &out);
    admin_text_fini(&out);
    return MHD_NO;
}

/* "dns/out-of-service" */
static enum admin_command_id command_of(struct slice path)
{
    char name[64];
    if (!slice_cstr(path, name, sizeof(name)) || slice_chr(path, ' ') >= 0)
        return CMD_MAX;
    for (char *c = name; *c != '\0'; c++)
        *c = *c == '/' ? ' ' : *c;
    return admin_command_find(slice_str(name));
}

enum MHD_Result http_api(struct http_req *r)
{
    struct slice args[ADMIN_ARGS_MAX];
    char why[ADMIN_WHY_MAX];
    enum admin_command_id id = command_of(r->path);
    bool is_openapi = slice_eq(r->path, SLICE("openapi.json"));
    bool is_stream = slice_eq(r->path, SLICE("stream"));
    bool is_trace = slice_eq(r->path, SLICE("trace.pcapng"));
    bool wants_post = id != CMD_MAX && admin_command_at(id)->changes;
    if (id == CMD_MAX && !is_openapi && !is_stream && !is_trace)
        return http_error(r, MHD_HTTP_NOT_FOUND, "no such command; GET /api/v1/help has them all");
    if (wants_post != r->is_post)
        return http_error(r, MHD_HTTP_METHOD_NOT_ALLOWED, "this path knows %s",
                          wants_post ? "POST" : "GET");
    if (is_openapi)
        return send_openapi(r);
    if (is_stream)
        return http_stream(r);
    if (is_trace)
        return http_trace(r);
    if (!http_args(r, admin_command_at(id), args, why))
        return http_error(r, MHD_HTTP_BAD_REQUEST, "%s", why);
    if (!http_run_begin(r->http))
        return http_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "too many commands at a time");
    enum MHD_Result result = run(r, id, args);
    http_run_end(r->http);
    return result;
}

/* --- arguments --- */

struct taking {
    const struct admin_command *command;
    struct slice *args;
    char *why;
};

static bool no(struct taking *t, const char *what, struct slice name)
{
    if (name.len > 64)
        name.len = 64;
    snprintf(t->why, ADMIN_WHY_MAX, "%s: %.*s", what, SLICE_ARG(name));
    return false;
}

static bool take_arg(struct taking *t, struct slice name, struct slice value)
{
    unsigned i = 0, n = admin_command_nargs(t->command);
    while (i < n && !slice_eq(name, slice_str(t->command->args[i].name)))
        i++;
    if (i == n)
        return no(t, "no such argument", name);
    if (t->args[i].ptr != NULL)
        return no(t, "given twice", name);
    if (value.len > ADMIN_LINE_MAX)
        return no(t, "too long", name);
    if (memchr(value.ptr != NULL ? value.ptr : "", '\0', value.len) != NULL)
        return no(t, "holds a NUL", name);
    t->args[i] = value.len != 0 ? value : SLICE_NONE;
    return true;
}

static enum MHD_Result on_query(void *user, enum MHD_ValueKind kind, const char *key,
                                size_t key_len, const char *value, size_t value_len)
{
    (void)kind;
    return take_arg(user, slice_of(key, key_len), slice_of(value, value_len)) ? MHD_YES : MHD_NO;
}

static bool take_body(struct http_req *r, struct taking *t)
{
    struct http_member members[HTTP_MEMBERS_MAX];
    if (r->body.len == 0)
        return true;
    int n = http_parse_object(r->body.ptr, r->body.len, members);
    if (n < 0) {
        snprintf(t->why, ADMIN_WHY_MAX, "the body is no JSON object of texts and numbers");
        return false;
    }
    for (int i = 0; i < n; i++)
        if (!take_arg(t, members[i].name, members[i].value))
            return false;
    return true;
}

bool http_args(struct http_req *r, const struct admin_command *c, struct slice args[ADMIN_ARGS_MAX],
               char *why)
{
    struct taking t = {c, args, why};
    why[0] = '\0';
    for (unsigned i = 0; i < ADMIN_ARGS_MAX; i++)
        args[i] = SLICE_NONE;
    if (r->is_post && MHD_get_connection_values(r->mhd, MHD_GET_ARGUMENT_KIND, NULL, NULL) != 0) {
        snprintf(why, ADMIN_WHY_MAX, "arguments of a POST stand in its body");
        return false;
    }
    if (r->is_post && !take_body(r, &t))
        return false;
    if (!r->is_post)
        (void)MHD_get_connection_values_n(r->mhd, MHD_GET_ARGUMENT_KIND, on_query, &t);
    for (unsigned i = 0; why[0] == '\0' && i < ADMIN_ARGS_MAX; i++)
        if (c->args[i].name != NULL && c->args[i].is_needed && args[i].len == 0)
            (void)no(&t, "is needed", slice_str(c->args[i].name));
    return why[0] == '\0';
}
