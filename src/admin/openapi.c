/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/openapi.h"

#include <stdarg.h>
#include <string.h>

#include "admin/admin_int.h"
#include "holdfast_version.h"

/* --- JSON with a line for each member --- */

struct json {
    struct admin_text *out;
    unsigned depth;
    bool has_some; /* the object or array that is open has a member already */
    bool has_failed;
};

static void raw(struct json *j, const char *text, size_t len)
{
    j->has_failed = j->has_failed || !admin_text_add(j->out, text, len);
}

static void text(struct json *j, const char *s)
{
    j->has_failed = j->has_failed || !json_text(j->out, slice_str(s));
}

static void line(struct json *j)
{
    static const char blanks[] = "                                ";
    unsigned n = j->depth < 16 ? 2 * j->depth : 32;
    raw(j, "\n", 1);
    raw(j, blanks, n);
}

/* Begins a member; name NULL: of an array. */
static void member(struct json *j, const char *name)
{
    if (j->has_some)
        raw(j, ",", 1);
    line(j);
    j->has_some = true;
    if (name == NULL)
        return;
    text(j, name);
    raw(j, ": ", 2);
}

static void begin(struct json *j, const char *name, char bracket)
{
    if (j->depth != 0)
        member(j, name);
    raw(j, &bracket, 1);
    j->depth++;
    j->has_some = false;
}

static void end(struct json *j, char bracket)
{
    j->depth--;
    if (j->has_some)
        line(j);
    raw(j, &bracket, 1);
    j->has_some = true;
}

static void str(struct json *j, const char *name, const char *value)
{
    member(j, name);
    text(j, value);
}

static void flag(struct json *j, const char *name, bool value)
{
    member(j, name);
    raw(j, value ? "true" : "false", value ? 4 : 5);
}

static void ref(struct json *j, const char *name, const char *folder, const char *to)
{
    char path[128];
    snprintf(path, sizeof(path), "#/components/%s/%s", folder, to);
    begin(j, name, '{');
    str(j, "$ref", path);
    end(j, '}');
}

/* --- rows --- */

static bool is_asked_for(const struct admin_column *c)
{
    return strcmp(c->set, "message") == 0 && strcmp(c->name, "bytes") == 0;
}

static void column(struct json *j, const struct admin_column *c)
{
    static const char *const types[] = {[ADMIN_TEXT] = "string",
                                        [ADMIN_INT] = "integer",
                                        [ADMIN_BOOL] = "boolean",
                                        [ADMIN_TIME] = "string"};
    begin(j, c->name, '{');
    str(j, "type", types[c->kind]);
    str(j, "description", c->help);
    if (c->kind == ADMIN_TIME)
        str(j, "pattern", "^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z)?$");
    end(j, '}');
}

/* `first`: the first column of the set. */
static void row_schema(struct json *j, const struct admin_column *first)
{
    begin(j, first->set, '{');
    str(j, "type", "object");
    flag(j, "additionalProperties", false);
    begin(j, "required", '[');
    for (const struct admin_column *c = first; c->set != NULL; c++)
        if (strcmp(c->set, first->set) == 0 && !is_asked_for(c))
            str(j, NULL, c->name);
    end(j, ']');
    begin(j, "properties", '{');
    for (const struct admin_column *c = first; c->set != NULL; c++)
        if (strcmp(c->set, first->set) == 0)
            column(j, c);
    end(j, '}');
    end(j, '}');
}

static const struct admin_column *first_of(enum admin_command_id id, const char *set)
{
    for (const struct admin_column *c = admin_command_at(id)->columns; c->set != NULL; c++)
        if (strcmp(c->set, set) == 0)
            return c;
    return NULL;
}

/* Several commands have rows of the same set: it is described with the first of them. */
static void row_schemas(struct json *j)
{
    for (unsigned id = 0; id < CMD_MAX; id++) {
        const struct admin_command *c = admin_command_at((enum admin_command_id)id);
        const char *set = NULL;
        while ((set = admin_command_next_set(c, set)) != NULL) {
            bool is_known = false;
            for (unsigned k = 0; k < id; k++)
                is_known = is_known || first_of((enum admin_command_id)k, set) != NULL;
            if (!is_known)
                row_schema(j, first_of((enum admin_command_id)id, set));
        }
    }
}

/* {"SET": [rows], …}, and `error` where it was refused. */
static void answer_schema(struct json *j, const struct admin_command *c, bool is_refused)
{
    const char *set = NULL;
    begin(j, "schema", '{');
    str(j, "type", "object");
    flag(j, "additionalProperties", false);
    begin(j, "required", '[');
    while ((set = admin_command_next_set(c, set)) != NULL)
        str(j, NULL, set);
    if (is_refused)
        str(j, NULL, "error");
    end(j, ']');
    begin(j, "properties", '{');
    while ((set = admin_command_next_set(c, set)) != NULL) {
        begin(j, set, '{');
        str(j, "type", "array");
        ref(j, "items", "schemas", set);
        end(j, '}');
    }
    if (is_refused) {
        begin(j, "error", '{');
        str(j, "type", "string");
        end(j, '}');
    }
    end(j, '}');
    end(j, '}');
}

/* --- one command --- */

static void answer(struct json *j, const struct admin_command *c, const char *status,
                   const char *help, bool is_refused)
{
    begin(j, status, '{');
    str(j, "description", help);
    begin(j, "content", '{');
    begin(j, "application/json", '{');
    answer_schema(j, c, is_refused);
    end(j, '}');
    end(j, '}');
    end(j, '}');
}

static void plain(struct json *j, const char *status, const char *help)
{
    begin(j, status, '{');
    str(j, "description", help);
    end(j, '}');
}

static void errors(struct json *j, bool is_post)
{
    ref(j, "400", "responses", "usage");
    ref(j, "401", "responses", "token");
    ref(j, "403", "responses", "foreign");
    ref(j, "405", "responses", "method");
    ref(j, "413", "responses", "large");
    plain(j, "414", "the first line is longer than 32 KiB; no JSON");
    plain(j, "431", "the headers are longer than 32 KiB; no JSON");
    if (is_post)
        ref(j, "415", "responses", "type");
    ref(j, "429", "responses", "rate");
    ref(j, "503", "responses", "busy");
}

static void query(struct json *j, const char *name, const char *help, bool is_needed)
{
    begin(j, NULL, '{');
    str(j, "name", name);
    str(j, "in", "query");
    flag(j, "required", is_needed);
    str(j, "description", help);
    begin(j, "schema", '{');
    str(j, "type", "string");
    end(j, '}');
    end(j, '}');
}

static void parameters(struct json *j, const struct admin_command *c)
{
    begin(j, "parameters", '[');
    for (unsigned i = 0; i < admin_command_nargs(c); i++)
        query(j, c->args[i].name, c->args[i].help, c->args[i].is_needed);
    end(j, ']');
}

static void body(struct json *j, const struct admin_command *c)
{
    unsigned n = admin_command_nargs(c);
    begin(j, "requestBody", '{');
    flag(j, "required", n != 0 && c->args[0].is_needed);
    begin(j, "content", '{');
    begin(j, "application/json", '{');
    begin(j, "schema", '{');
    str(j, "type", "object");
    flag(j, "additionalProperties", false);
    begin(j, "required", '[');
    for (unsigned i = 0; i < n; i++)
        if (c->args[i].is_needed)
            str(j, NULL, c->args[i].name);
    end(j, ']');
    begin(j, "properties", '{');
    for (unsigned i = 0; i < n; i++) {
        begin(j, c->args[i].name, '{');
        begin(j, "type", '[');
        str(j, NULL, "string");
        str(j, NULL, "integer");
        str(j, NULL, "boolean");
        end(j, ']');
        str(j, "description", c->args[i].help);
        end(j, '}');
    }
    end(j, '}');
    end(j, '}');
    end(j, '}');
    end(j, '}');
    end(j, '}');
}

/* "dns out-of-service" is the path /api/v1/dns/out-of-service. */
static void path_of(const struct admin_command *c, char *out, size_t cap)
{
    static const char prefix[] = "/api/v1/";
    snprintf(out, cap, "%s%s", prefix, c->name);
    for (char *p = out + sizeof(prefix) - 1; *p != '\0'; p++)
        *p = *p == ' ' ? '/' : *p;
}

/* And its name dns_out_of_service. */
static void operation_of(const struct admin_command *c, char *out, size_t cap)
{
    snprintf(out, cap, "%s", c->name);
    for (char *p = out; *p != '\0'; p++)
        *p = *p == ' ' || *p == '-' ? '_' : *p;
}

static void command(struct json *j, const struct admin_command *c)
{
    char path[96], name[96];
    path_of(c, path, sizeof(path));
    operation_of(c, name, sizeof(name));
    begin(j, path, '{');
    begin(j, c->changes ? "post" : "get", '{');
    str(j, "operationId", name);
    str(j, "summary", c->help);
    if (c->more != NULL)
        str(j, "description", c->more);
    if (c->changes)
        body(j, c);
    else
        parameters(j, c);
    begin(j, "responses", '{');
    answer(j, c, "200", "done", false);
    if (c->can_miss)
        answer(j, c, "404", "there is nothing of that name; no row is there", true);
    answer(j, c, "409", "it cannot be done; rows that could be had are there", true);
    errors(j, c->changes);
    end(j, '}');
    end(j, '}');
    end(j, '}');
}

/* --- what is no command --- */

struct other {
    const char *path, *name, *help, *type, *ok, *not_ok;
    bool is_open;
    struct {
        const char *name, *help;
    } query[2];
};

static const struct other others[] = {
    {.path = "/api/v1/openapi.json",
     .name = "openapi",
     .help = "this description",
     .type = "application/json",
     .ok = "the description"},
    {.path = "/api/v1/stream",
     .name = "stream",
     .help =
         "server-sent events: `tick` each second, `event` for each standard event, its seq as id",
     .type = "text/event-stream",
     .ok =
         "data of tick: {at_ms: a clock that runs evenly; status: row; workers, applications, members, switchovers, overload, "
         "neighbours: rows; counters: {name: value}}; data of event: a row of the set event",
     .not_ok = "there are too many streams",
     .query = {{"since", "begin with the kept events after the one with this seq, as the header "
                         "Last-Event-ID does"}}},
    {.path = "/api/v1/trace.pcapng",
     .name = "trace_pcapng",
     .help = "the messages of trace as a capture for Wireshark and sngrep",
     .type = "application/octet-stream",
     .ok = "pcapng; masked where x-sip-mask-sensitive-data is on",
     .not_ok = "too much at a time",
     .query = {{"match", "as for trace"}, {"since", "as for trace"}}},
    {.path = "/metrics",
     .name = "metrics",
     .help = "metrics for Prometheus",
     .type = "text/plain",
     .ok = "text format 0.0.4; docs/metrics.md has the names",
     .not_ok = "too much at a time"},
    {.path = "/healthz",
     .name = "healthz",
     .help = "are the main thread and all workers alive?",
     .type = "text/plain",
     .ok = "yes",
     .not_ok = "no: the text says which does not answer",
     .is_open = true},
    {.path = "/readyz",
     .name = "readyz",
     .help = "does it take calls?",
     .type = "text/plain",
     .ok = "yes",
     .not_ok = "no: it drains",
     .is_open = true},
};
#define OTHERS (sizeof(others) / sizeof(others[0]))

static void text_answer(struct json *j, const char *status, const char *help, const char *type)
{
    begin(j, status, '{');
    str(j, "description", help);
    begin(j, "content", '{');
    begin(j, type, '{');
    end(j, '}');
    end(j, '}');
    end(j, '}');
}

static void other(struct json *j, const struct other *o)
{
    begin(j, o->path, '{');
    begin(j, "get", '{');
    str(j, "operationId", o->name);
    str(j, "summary", o->help);
    begin(j, "parameters", '[');
    for (unsigned i = 0; i < 2 && o->query[i].name != NULL; i++)
        query(j, o->query[i].name, o->query[i].help, false);
    end(j, ']');
    if (o->is_open) {
        begin(j, "security", '[');
        end(j, ']');
    }
    begin(j, "responses", '{');
    text_answer(j, "200", o->ok, o->type);
    ref(j, "400", "responses", "usage");
    if (!o->is_open) {
        ref(j, "401", "responses", "token");
        ref(j, "403", "responses", "foreign");
    }
    ref(j, "429", "responses", "rate");
    if (o->is_open)
        text_answer(j, "503", o->not_ok, o->type);
    else if (o->not_ok != NULL)
        ref(j, "503", "responses", "busy");
    end(j, '}');
    end(j, '}');
    end(j, '}');
}

/* --- components --- */

static void responses(struct json *j)
{
    static const char *const all[][2] = {
        {"usage",
         "not the arguments of this command; or %00 in the URL, more than one length, or an "
         "encoding of the body that is not known"},
        {"token", "the token of admin-token is needed: Authorization: Bearer TOKEN"},
        {"foreign", "without a token: Host is no address of this machine; or a page of another "
                    "server asks (Origin)"},
        {"missing", "there is no such path"},
        {"method", "GET where it changes something, or POST where it does not"},
        {"large", "the body is larger than 65536 bytes"},
        {"type", "Content-Type is not application/json"},
        {"rate", "more than 50 requests a second; Retry-After says when to come back"},
        {"busy", "too much at a time; Retry-After says when to come back"},
    };
    begin(j, "responses", '{');
    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        begin(j, all[i][0], '{');
        str(j, "description", all[i][1]);
        begin(j, "content", '{');
        begin(j, "application/json", '{');
        ref(j, "schema", "schemas", "error");
        end(j, '}');
        end(j, '}');
        end(j, '}');
    }
    end(j, '}');
}

static void components(struct json *j)
{
    begin(j, "components", '{');
    begin(j, "securitySchemes", '{');
    begin(j, "token", '{');
    str(j, "type", "http");
    str(j, "scheme", "bearer");
    end(j, '}');
    end(j, '}');
    responses(j);
    begin(j, "schemas", '{');
    begin(j, "error", '{');
    str(j, "type", "object");
    flag(j, "additionalProperties", false);
    begin(j, "required", '[');
    str(j, NULL, "error");
    end(j, ']');
    begin(j, "properties", '{');
    begin(j, "error", '{');
    str(j, "type", "string");
    end(j, '}');
    end(j, '}');
    end(j, '}');
    row_schemas(j);
    end(j, '}');
    end(j, '}');
}

static void info(struct json *j)
{
    str(j, "openapi", "3.1.0");
    begin(j, "info", '{');
    str(j, "title", "Holdfast");
    str(j, "version", HOLDFAST_VERSION);
    str(j, "description",
        "The commands of holdfastctl over HTTP, at admin-address. A command that changes nothing is "
        "GET with its arguments in the query; one that does is POST with a JSON object. Without "
        "admin-token the server listens on loopback only, and the token is not asked for. A request "
        "has at most 65536 bytes of body and 10 seconds for its headers, and as many for its body.");
    begin(j, "license", '{');
    str(j, "name", "Apache-2.0");
    str(j, "identifier", "Apache-2.0");
    end(j, '}');
    end(j, '}');
    begin(j, "servers", '[');
    begin(j, NULL, '{');
    str(j, "url", "/");
    end(j, '}');
    end(j, ']');
    begin(j, "security", '[');
    begin(j, NULL, '{');
    begin(j, "token", '[');
    end(j, ']');
    end(j, '}');
    end(j, ']');
}

bool openapi_write(struct admin_text *out)
{
    struct json j = {.out = out};
    begin(&j, NULL, '{');
    info(&j);
    begin(&j, "paths", '{');
    for (unsigned id = 0; id < CMD_MAX; id++)
        command(&j, admin_command_at((enum admin_command_id)id));
    for (unsigned i = 0; i < OTHERS; i++)
        other(&j, &others[i]);
    end(&j, '}');
    components(&j);
    end(&j, '}');
    raw(&j, "\n", 1);
    return !j.has_failed;
}

bool openapi_print(FILE *to)
{
    struct admin_text out = {.max = ADMIN_TEXT_MAX};
    bool ok = openapi_write(&out) && fwrite(out.ptr, 1, out.len, to) == out.len;
    admin_text_fini(&out);
    return ok;
}
