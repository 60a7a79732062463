/* SPDX-License-Identifier: Apache-2.0 */
/* Values for people: durations, times, and text of the network that a terminal is not to obey. */
#include <string.h>
#include <time.h>
#include <wchar.h>

#include "base/buf.h"
#include "ctl/ctl_int.h"

/* The character at `p`, which is valid UTF-8 as jansson has checked it; *n: its bytes. */
static wchar_t char_at(const char *p, unsigned *n)
{
    unsigned char c = (unsigned char)p[0];
    *n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    unsigned long code = c < 0x80 ? c : c & (0xffu >> (*n + 1));
    for (unsigned i = 1; i < *n; i++) {
        if (((unsigned char)p[i] & 0xc0) != 0x80) {
            *n = i;
            return L'?';
        }
        code = code << 6 | ((unsigned char)p[i] & 0x3f);
    }
    return (wchar_t)code;
}

/* Marks of direction let text stand where it does not belong. */
static bool is_obeyed(wchar_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xe0000 && c <= 0xe007f);
}

unsigned ctl_width_of(const char *text, size_t len)
{
    unsigned width = 0, n;
    for (size_t at = 0; at < len; at += n) {
        int w = wcwidth(char_at(text + at, &n));
        width += w > 0 ? (unsigned)w : 0;
    }
    return width;
}

unsigned ctl_width(const char *text)
{
    return ctl_width_of(text, strlen(text));
}

size_t ctl_fit(const char *text, unsigned columns)
{
    unsigned width = 0, n;
    size_t at = 0;
    for (; text[at] != '\0'; at += n) {
        int w = wcwidth(char_at(text + at, &n));
        width += w > 0 ? (unsigned)w : 0;
        if (width > columns)
            break;
    }
    return at;
}

char *ctl_clean(const char *text, size_t len, bool with_lines)
{
    char *out = ctl_alloc(len + 1);
    size_t used = 0;
    unsigned n;
    for (size_t at = 0; at < len; at += n) {
        wchar_t c = char_at(text + at, &n);
        if (with_lines && c == L'\r' && at + 1 < len && text[at + 1] == '\n')
            continue;
        bool is_line = with_lines && (c == L'\n' || c == L'\t');
        if (is_obeyed(c) && !is_line) {
            out[used++] = '?';
        } else {
            memcpy(out + used, text + at, n);
            used += n;
        }
    }
    out[used] = '\0';
    return out;
}

/* --- numbers --- */

/* The two largest units that are not zero. */
void ctl_put_duration(char *text, size_t cap, int64_t us)
{
    long long s = us / 1000000;
    if (us < 1000)
        snprintf(text, cap, "%lldus", (long long)us);
    else if (us < 10000)
        snprintf(text, cap, "%lld.%lldms", (long long)us / 1000, (long long)us / 100 % 10);
    else if (s < 1)
        snprintf(text, cap, "%lldms", (long long)us / 1000);
    else if (s < 10)
        snprintf(text, cap, "%lld.%llds", s, (long long)us / 100000 % 10);
    else if (s < 60)
        snprintf(text, cap, "%llds", s);
    else if (s < 3600)
        snprintf(text, cap, "%lldm%02llds", s / 60, s % 60);
    else if (s < 86400)
        snprintf(text, cap, "%lldh%02lldm", s / 3600, s / 60 % 60);
    else
        snprintf(text, cap, "%lldd%02lldh", s / 86400, s / 3600 % 24);
}

int64_t ctl_now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void ctl_put_time(char *text, size_t cap, int64_t us, bool with_ms)
{
    time_t s = (time_t)(us / 1000000), now_s = (time_t)(ctl_now_us() / 1000000);
    struct tm tm, now;
    size_t n = 0;
    if (localtime_r(&s, &tm) != NULL && localtime_r(&now_s, &now) != NULL) {
        bool is_today = tm.tm_year == now.tm_year && tm.tm_yday == now.tm_yday;
        n = strftime(text, cap, is_today ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &tm);
    }
    text[n] = '\0';
    if (with_ms && n != 0)
        snprintf(text + n, cap - n, ".%03u", (unsigned)(us / 1000 % 1000));
}

bool ctl_parse_time(const char *text, int64_t *us)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    int64_t part = 0;
    if (end == NULL)
        return false;
    if (*end == '.') {
        int64_t unit = 100000;
        for (end++; *end >= '0' && *end <= '9'; end++, unit /= 10)
            part += (*end - '0') * unit;
    }
    if (strcmp(end, "Z") != 0)
        return false;
    *us = (int64_t)timegm(&tm) * 1000000 + part;
    return true;
}

/* --- text that is printed into --- */

static ssize_t add_text(void *cookie, const char *bytes, size_t len)
{
    struct ctl_text *t = cookie;
    if (t->cap - t->len <= len) {
        t->cap = 2 * t->cap + len + 1;
        t->ptr = ctl_grow(t->ptr, t->cap);
    }
    memcpy(t->ptr + t->len, bytes, len);
    t->len += len;
    t->ptr[t->len] = '\0';
    return (ssize_t)len;
}

FILE *ctl_text_open(struct ctl_text *t)
{
    (void)!add_text(t, "", 0);
    FILE *f = fopencookie(t, "w", (cookie_io_functions_t){.write = add_text});
    if (f == NULL)
        ctl_no_memory();
    return f;
}

/* --- values --- */

bool ctl_is_number(const json_t *value)
{
    return json_is_integer(value);
}

const char *ctl_string(const json_t *row, const char *name)
{
    const char *text = json_string_value(json_object_get(row, name));
    return text != NULL ? text : "";
}

int64_t ctl_integer(const json_t *row, const char *name)
{
    return json_integer_value(json_object_get(row, name));
}

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

/* Below 0: not known. */
static void put_number(char *text, size_t cap, const char *name, int64_t n)
{
    bool is_us = ends_in(name, "_us"), is_ms = ends_in(name, "_ms") || strcmp(name, "ms") == 0;
    bool is_s = ends_in(name, "_s");
    if (strcmp(name, "time_us") == 0)
        ctl_put_time(text, cap, n, true);
    else if (n < 0)
        snprintf(text, cap, "-");
    else if (n == 0 && (is_us || is_ms))
        snprintf(text, cap, "0s");
    else if (is_s && n < 60)
        snprintf(text, cap, "%llds", (long long)n);
    else if (is_us || is_ms || is_s)
        ctl_put_duration(text, cap, n * (is_us ? 1 : is_ms ? 1000 : 1000000));
    else
        snprintf(text, cap, ends_in(name, "_percent") ? "%lld%%" : "%lld", (long long)n);
}

/* {"dn":"1001","ms":12} as dn=1001 ms=12 */
static char *fields_of(const char *text, size_t len)
{
    json_t *object = json_loadb(text, len, JSON_ALLOW_NUL, NULL), *value;
    const char *name;
    bool is_first = true;
    struct ctl_text out = {0};
    if (!json_is_object(object)) {
        json_decref(object);
        return ctl_clean(text, len, false);
    }
    FILE *f = ctl_text_open(&out);
    json_object_foreach(object, name, value)
    {
        char *shown = ctl_value("", value), *clean = ctl_clean(name, strlen(name), false);
        bool has_blank = strchr(shown, ' ') != NULL || shown[0] == '\0';
        fprintf(f, "%s%s=%s%s%s", is_first ? "" : " ", clean, has_blank ? "\"" : "", shown,
                has_blank ? "\"" : "");
        is_first = false;
        mem_free(clean);
        mem_free(shown);
    }
    json_decref(object);
    (void)!fclose(f);
    return out.ptr;
}

char *ctl_value(const char *name, const json_t *value)
{
    char text[64];
    int64_t us;
    if (json_is_string(value)) {
        const char *s = json_string_value(value);
        if (strcmp(name, "fields") == 0)
            return fields_of(s, json_string_length(value));
        if (!ctl_parse_time(s, &us))
            return ctl_clean(s, json_string_length(value), false);
        ctl_put_time(text, sizeof(text), us, false);
    } else if (json_is_integer(value)) {
        put_number(text, sizeof(text), name, json_integer_value(value));
    } else {
        snprintf(text, sizeof(text), "%s", json_is_true(value) ? "yes" : "");
    }
    return ctl_copy(text, strlen(text));
}
