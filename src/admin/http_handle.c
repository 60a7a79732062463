/* SPDX-License-Identifier: Apache-2.0 */
/* One request: may it be asked, where does it go, how is it answered. Runs on the connection's
 * thread: once when the headers are there, for each piece of the body, and at its end. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "admin/assets.h"
#include "admin/http_int.h"
#include "base/alloc.h"
#include "base/event.h"

/* Nothing from elsewhere, nothing inside the page itself. */
#define POLICY                                                                          \
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; " \
    "object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

#define API SLICE("/api/v1/")

/* --- answers --- */

void http_headers(struct MHD_Response *response, bool is_api)
{
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Content-Security-Policy", POLICY);
    MHD_add_response_header(response, "X-Frame-Options", "DENY");
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
    MHD_add_response_header(response, "Cache-Control", is_api ? "no-store" : "no-cache");
}

enum MHD_Result http_send(struct http_req *r, unsigned status, struct MHD_Response *response)
{
    if (response == NULL)
        return MHD_NO;
    atomic_fetch_add(&r->http->answers[status / 100 < 6 ? status / 100 : 0], 1);
    enum MHD_Result result = MHD_queue_response(r->mhd, status, response);
    MHD_destroy_response(response);
    return result;
}

struct held {
    struct admin_http *http;
    struct admin_text text;
};

static void let_go(void *held)
{
    struct held *h = held;
    atomic_fetch_sub(&h->http->held, h->text.cap);
    admin_text_fini(&h->text);
    mem_free(h);
}

/* A response that counts as held until it is sent; NULL: no memory, or too much is held. The text
 * is given up. */
static struct MHD_Response *response_of(struct admin_http *http, struct admin_text *text)
{
    size_t before = atomic_fetch_add(&http->held, text->cap);
    struct held *h = before + text->cap <= HTTP_HELD_MAX ? mem_alloc(sizeof(*h)) : NULL;
    if (h == NULL) {
        atomic_fetch_sub(&http->held, text->cap);
        admin_text_fini(text);
        return NULL;
    }
    *h = (struct held){http, *text};
    *text = (struct admin_text){.max = text->max};
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback_cls(h->text.len, h->text.ptr, let_go, h);
    if (response == NULL)
        let_go(h);
    return response;
}

/* Errors are small: they are sent also when much is held. */
static struct MHD_Response *copy_of(const struct admin_text *text)
{
    return MHD_create_response_from_buffer(text->len, text->ptr, MHD_RESPMEM_MUST_COPY);
}

static enum MHD_Result finish(struct http_req *r, unsigned status, const char *type,
                              struct MHD_Response *response)
{
    if (response == NULL)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", type);
    if (status == MHD_HTTP_UNAUTHORIZED)
        MHD_add_response_header(response, "WWW-Authenticate", "Bearer realm=\"holdfast\"");
    if (status == MHD_HTTP_TOO_MANY_REQUESTS || status == MHD_HTTP_SERVICE_UNAVAILABLE)
        MHD_add_response_header(response, "Retry-After", "1");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, "Allow", r->is_post ? "GET, HEAD" : "POST");
    if (status == MHD_HTTP_OK && strcmp(type, HTTP_FILE) == 0)
        MHD_add_response_header(response, "Content-Disposition",
                                "attachment; filename=\"holdfast.pcapng\"");
    http_headers(response, true);
    return http_send(r, status, response);
}

enum MHD_Result http_answer(struct http_req *r, unsigned status, const char *type,
                            struct admin_text *text)
{
    struct MHD_Response *response = response_of(r->http, text);
    if (response != NULL)
        return finish(r, status, type, response);
    atomic_fetch_add(&r->http->refused[HTTP_REFUSED_BUSY], 1);
    return http_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "too much is being answered");
}

enum MHD_Result http_error(struct http_req *r, unsigned status, const char *fmt, ...)
{
    struct admin_text text = {.max = 8192};
    char why[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    bool ok = admin_text_add(&text, "{\"error\":", 9) && json_text(&text, slice_str(why)) &&
              admin_text_add(&text, "}\n", 2);
    enum MHD_Result result = ok ? finish(r, status, "application/json", copy_of(&text)) : MHD_NO;
    admin_text_fini(&text);
    return result;
}

struct slice http_header(struct http_req *r, const char *name)
{
    const char *value = NULL;
    size_t len = 0;
    if (MHD_lookup_connection_value_n(r->mhd, MHD_HEADER_KIND, name, strlen(name), &value, &len) !=
        MHD_YES)
        return SLICE_NONE;
    return slice_of(value, len);
}

/* --- is it one request? --- */

/* Stands in the place of the request from the URL to the first turn of http_handle. */
static const char has_nul = 0;

void *http_look_at_url(void *server, const char *url, struct MHD_Connection *mhd)
{
    (void)server, (void)mhd;
    /* Decoded, it would end the path. */
    return strstr(url, "%00") != NULL ? (void *)(uintptr_t)&has_nul : NULL;
}

struct framing {
    unsigned lengths, encodings;
    bool is_chunked;
};

static enum MHD_Result look_at_header(void *user, enum MHD_ValueKind kind, const char *name,
                                      size_t name_len, const char *value, size_t len)
{
    struct framing *f = user;
    struct slice header = slice_of(name, name_len);
    (void)kind;
    f->lengths += slice_ieq(header, SLICE(MHD_HTTP_HEADER_CONTENT_LENGTH));
    if (slice_ieq(header, SLICE(MHD_HTTP_HEADER_TRANSFER_ENCODING))) {
        f->encodings++;
        f->is_chunked = slice_ieq(slice_trim(slice_of(value, len)), SLICE("chunked"));
    }
    return MHD_YES;
}

/* Where the request ends must be the same for us and for a proxy in front of us (RFC
 * 9112 6.3, 11.2: smuggling of requests). The library takes the first length, and an encoding
 * before a length. */
static const char *framing_fault(struct MHD_Connection *mhd)
{
    struct framing f = {0};
    (void)MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, look_at_header, &f);
    if (f.lengths > 1)
        return "more than one Content-Length";
    if (f.lengths != 0 && f.encodings != 0)
        return "Content-Length beside Transfer-Encoding";
    if (f.encodings > 1 || (f.encodings != 0 && !f.is_chunked))
        return "the Transfer-Encoding that is known is chunked";
    return NULL;
}

/* --- may it be asked? --- */

static bool is_taken(struct http_req *r)
{
    uint32_t left_out = 0;
    struct admin_http *http = r->http;
    uint64_t now = http_now();
    pthread_mutex_lock(&http->lock);
    bool ok = http_limits_take(&http->limits, &r->peer, now);
    bool is_said = !ok && log_limit_ok(&http->said_rate, now, 1, 60000, &left_out);
    pthread_mutex_unlock(&http->lock);
    if (is_said)
        LOG(LOG_WARN, "admin", "HTTP: too many requests", LF_ADDR("from", &r->peer),
            LF_INT("left_out", left_out));
    return ok;
}

/* With a token: who shows it. Without: who is on this machine, as the listener sees to. */
static bool is_known(struct http_req *r, bool *has_token)
{
    struct admin_http *http = r->http;
    struct slice given = http_header(r, MHD_HTTP_HEADER_AUTHORIZATION);
    pthread_mutex_lock(&http->lock);
    *has_token = http->token != NULL;
    r->tokens = atomic_load(&http->tokens);
    bool ok = !*has_token || http_has_token(given, slice_str(http->token));
    pthread_mutex_unlock(&http->lock);
    if (ok)
        return true;
    atomic_fetch_add(&http->refused[HTTP_REFUSED_TOKEN], 1);
    if (given.len != 0)
        EVENT_LOG(EV_ADMIN_REFUSED, LF_ADDR("peer", &r->peer), LF_SLICE("path", r->path));
    return false;
}

static enum MHD_Result refuse_host(struct http_req *r, const char *why)
{
    atomic_fetch_add(&r->http->refused[HTTP_REFUSED_HOST], 1);
    return http_error(r, MHD_HTTP_FORBIDDEN, "%s", why);
}

static bool is_own_page(struct http_req *r)
{
    struct slice origin = http_header(r, MHD_HTTP_HEADER_ORIGIN);
    return origin.ptr == NULL ||
           http_is_same_origin(origin, r->server->is_tls, http_header(r, MHD_HTTP_HEADER_HOST));
}

static bool is_open(struct slice path)
{
    return slice_eq(path, SLICE("/healthz")) || slice_eq(path, SLICE("/readyz")) ||
           admin_asset_find(path) != NULL;
}

/* A body is not read before that. *answered: the request is refused, by that answer. */
static enum MHD_Result judge(struct http_req *r, bool *answered)
{
    struct slice length = http_header(r, MHD_HTTP_HEADER_CONTENT_LENGTH);
    bool has_token = false;
    uint64_t n;
    *answered = true;
    if (!is_taken(r)) {
        atomic_fetch_add(&r->http->refused[HTTP_REFUSED_RATE], 1);
        return http_error(r, MHD_HTTP_TOO_MANY_REQUESTS, "more than %u requests a second",
                          HTTP_RATE);
    }
    if (r->fault != NULL)
        return http_error(r, MHD_HTTP_BAD_REQUEST, "%s", r->fault);
    if (length.ptr != NULL && slice_u64(slice_trim(length), HTTP_BODY_MAX, &n) != 0) {
        atomic_fetch_add(&r->http->refused[HTTP_REFUSED_SIZE], 1);
        return http_error(r, MHD_HTTP_CONTENT_TOO_LARGE, "more than %u bytes", HTTP_BODY_MAX);
    }
    if (!is_open(r->path) && !is_known(r, &has_token))
        return http_error(r, MHD_HTTP_UNAUTHORIZED, "the token of admin-token is needed");
    if (!is_open(r->path) && !has_token &&
        !http_is_own_host(http_header(r, MHD_HTTP_HEADER_HOST), slice_str(r->http->host)))
        return refuse_host(r, "Host names neither localhost nor an address");
    if (r->is_post && !is_own_page(r))
        return refuse_host(r, "from the page of another server");
    if (r->is_post && !http_is_json(http_header(r, MHD_HTTP_HEADER_CONTENT_TYPE)))
        return http_error(r, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
                          "Content-Type has to be application/json");
    *answered = false;
    return MHD_YES;
}

/* --- where it goes --- */

/* Part of the program. */
static void keep(void *bytes)
{
    (void)bytes;
}

static enum MHD_Result send_asset(struct http_req *r, const struct admin_asset *a)
{
    struct slice known = http_header(r, MHD_HTTP_HEADER_IF_NONE_MATCH);
    bool is_same = slice_eq(known, slice_str(a->etag));
    struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback_cls(
        is_same ? 0 : a->len, (void *)(uintptr_t)a->bytes, keep, NULL);
    if (response == NULL)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", a->type);
    MHD_add_response_header(response, "ETag", a->etag);
    http_headers(response, false);
    return http_send(r, is_same ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK, response);
}

static enum MHD_Result route(struct http_req *r)
{
    const struct admin_asset *asset = admin_asset_find(r->path);
    bool is_api = slice_starts(r->path, API);
    if (r->is_too_large) {
        atomic_fetch_add(&r->http->refused[HTTP_REFUSED_SIZE], 1);
        return http_error(r, MHD_HTTP_CONTENT_TOO_LARGE, "more than %u bytes", HTTP_BODY_MAX);
    }
    if (is_api) {
        r->path = slice_of(r->path.ptr + API.len, r->path.len - API.len);
        return http_api(r);
    }
    bool is_metrics = slice_eq(r->path, SLICE("/metrics"));
    bool is_healthz = slice_eq(r->path, SLICE("/healthz"));
    bool is_readyz = slice_eq(r->path, SLICE("/readyz"));
    if (!is_metrics && !is_healthz && !is_readyz && asset == NULL)
        return http_error(r, MHD_HTTP_NOT_FOUND, "no such path");
    if (r->is_post)
        return http_error(r, MHD_HTTP_METHOD_NOT_ALLOWED, "GET is what this path knows");
    if (is_metrics)
        return http_metrics(r);
    if (is_healthz)
        return http_healthz(r);
    return is_readyz ? http_readyz(r) : send_asset(r, asset);
}

/* --- its pieces --- */

static struct http_req *req_new(struct http_server *server, struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct http_req *r = info != NULL && info->socket_context != NULL ? mem_zalloc(sizeof(*r))
                                                                      : NULL;
    if (r == NULL)
        return NULL;
    r->http = server->http;
    r->server = server;
    r->conn = info->socket_context;
    r->mhd = mhd;
    r->peer = r->conn->peer; /* written before the connection's thread was made */
    r->body.max = HTTP_BODY_MAX;
    return r;
}

/* Where nothing more comes, the judgement waits for the end of the request, so that the connection
 * can go on after a refusal. */
static bool has_body(struct http_req *r)
{
    struct slice length = http_header(r, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return http_header(r, MHD_HTTP_HEADER_TRANSFER_ENCODING).ptr != NULL ||
           (length.ptr != NULL && !slice_eq(slice_trim(length), SLICE("0")));
}

/* One that is judged here is the last of its connection. */
static enum MHD_Result begin(struct http_server *server, struct MHD_Connection *mhd,
                             const char *url, const char *method, void **req)
{
    bool is_cut = *req != NULL;
    struct http_req *r = req_new(server, mhd);
    bool answered;
    *req = r;
    if (r == NULL)
        return MHD_NO;
    r->path = slice_str(url);
    r->fault = is_cut ? "a NUL in the URL" : framing_fault(mhd);
    r->is_post = strcmp(method, MHD_HTTP_METHOD_POST) == 0;
    r->is_head = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
    http_conn_until(&r->http->conns, r->conn, http_now() + HTTP_BODY_MS);
    if (!r->is_post && !r->is_head && strcmp(method, MHD_HTTP_METHOD_GET) != 0) {
        r->is_post = true; /* what is allowed of the rest is GET */
        return http_error(r, MHD_HTTP_METHOD_NOT_ALLOWED, "GET, HEAD or POST");
    }
    if (r->fault == NULL && !has_body(r))
        return MHD_YES;
    r->is_judged = true;
    return judge(r, &answered);
}

enum MHD_Result http_handle(void *server, struct MHD_Connection *mhd, const char *url,
                            const char *method, const char *version, const char *data,
                            size_t *data_len, void **req)
{
    struct http_req *r = *req;
    (void)version;
    if (r == NULL || *req == &has_nul)
        return begin(server, mhd, url, method, req);
    if (*data_len != 0) {
        bool was_too_large = r->is_too_large;
        r->is_too_large = was_too_large || !admin_text_add(&r->body, data, *data_len);
        *data_len = 0;
        return was_too_large ? MHD_NO : MHD_YES; /* one that goes on and on is cut off */
    }
    http_conn_until(&r->http->conns, r->conn, http_now() + HTTP_ANSWER_MS);
    if (!r->is_judged) {
        bool answered;
        enum MHD_Result result = judge(r, &answered);
        if (answered)
            return result;
    }
    return route(r);
}

void http_completed(void *server, struct MHD_Connection *mhd, void **req,
                    enum MHD_RequestTerminationCode how)
{
    struct http_req *r = *req;
    (void)server, (void)mhd, (void)how;
    if (r == NULL || *req == &has_nul)
        return;
    http_conn_wait(&r->http->conns, r->conn, http_now() + HTTP_IDLE_MS);
    admin_text_fini(&r->body);
    mem_free(r);
    *req = NULL;
}
