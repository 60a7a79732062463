/* SPDX-License-Identifier: Apache-2.0 */
#include "base/period.h"
#include "conf/conf_int.h"

char *conf_str(struct reader *r, struct slice s)
{
    char *text = arena_bytes(&r->conf->arena, s.len + 1);
    if (text == NULL) {
        r->no_memory = true;
        return NULL;
    }
    (void)slice_cstr(s, text, s.len + 1);
    return text;
}

static bool parse_bool(struct slice v, bool *out)
{
    *out = slice_ieq(v, SLICE("true"));
    return *out || slice_ieq(v, SLICE("false"));
}

static bool parse_enum(const struct option *o, struct slice v, unsigned *out)
{
    struct slice rest = slice_str(o->valid), word;
    for (unsigned i = 0; slice_next_word(&rest, &word); i++) {
        if (!slice_ieq(word, v))
            continue;
        *out = i;
        return true;
    }
    return false;
}

unsigned conf_count_words(struct slice v)
{
    struct slice word;
    unsigned n = 0;
    while (slice_next_word(&v, &word))
        n++;
    return n;
}

/* Room for the elements there are and those to come; the old array stays in the arena, unused. */
static void *grow(struct reader *r, const void *old, unsigned n, unsigned more, size_t size)
{
    char *list = arena_zalloc(&r->conf->arena, (n + more + 1) * size);
    if (list == NULL)
        r->no_memory = true;
    else if (n != 0)
        memcpy(list, old, n * size);
    return list;
}

static bool set_words(struct reader *r, struct slice **list, unsigned *n, struct slice v)
{
    struct slice word;
    struct slice *words = grow(r, *list, *n, conf_count_words(v), sizeof(*words));
    if (words == NULL)
        return true;
    while (slice_next_word(&v, &word)) {
        char *text = conf_str(r, word);
        if (text != NULL)
            words[(*n)++] = slice_str(text);
    }
    *list = words;
    return true;
}

static bool set_nets(struct reader *r, const struct option *o, struct addr_net **list, unsigned *n,
                     struct slice v)
{
    struct slice word;
    unsigned at = *n;
    struct addr_net *nets = grow(r, *list, *n, 2 * conf_count_words(v), sizeof(*nets));
    if (nets == NULL)
        return true;
    bool is_alone = at == 0 && conf_count_words(v) == 1;
    while (slice_next_word(&v, &word)) {
        if (o->max == 1 && is_alone && slice_ieq(word, SLICE("any"))) {
            if (addr_net_parse(SLICE("0.0.0.0/0"), &nets[at]) < 0 ||
                addr_net_parse(SLICE("::/0"), &nets[at + 1]) < 0)
                return false;
            at += 2;
        } else if (addr_net_parse(word, &nets[at++]) < 0) {
            return false;
        }
    }
    *list = nets;
    *n = at;
    return true;
}

static bool set_addrs(struct reader *r, const struct option *o, struct addr **list, unsigned *n,
                      struct slice v)
{
    struct slice word;
    unsigned at = *n;
    struct addr *addrs = grow(r, *list, *n, conf_count_words(v), sizeof(*addrs));
    if (addrs == NULL)
        return true;
    for (; slice_next_word(&v, &word); at++)
        if (addr_parse_ip(word, (uint16_t)o->max, &addrs[at]) < 0 &&
            (o->max == 0 || addr_parse(word, (uint16_t)o->max, &addrs[at]) < 0))
            return false;
    *list = addrs;
    *n = at;
    return true;
}

bool conf_uri_parse(struct slice text, struct sip_uri *uri)
{
    if (sip_uri_parse(text, uri) != 0 || uri->headers.len != 0)
        return false;
    bool is_sips = uri->scheme == SIP_SCHEME_SIPS;
    bool is_plain = uri->transport == SIP_UDP || uri->transport == SIP_TCP;
    if (!is_sips && uri->scheme != SIP_SCHEME_SIP)
        return false;
    if (uri->transport_text.len != 0 && uri->transport != SIP_TLS && !is_plain)
        return false;
    return !is_sips || uri->transport != SIP_UDP; /* RFC 3261 26.2.2 */
}

static bool set_uris(struct reader *r, char ***list, unsigned *n, struct slice v)
{
    struct slice word;
    struct sip_uri uri;
    unsigned at = *n;
    char **uris = grow(r, *list, *n, conf_count_words(v), sizeof(*uris));
    if (uris == NULL)
        return true;
    for (; slice_next_word(&v, &word); at++) {
        if (!conf_uri_parse(word, &uri))
            return false;
        uris[at] = conf_str(r, word);
    }
    *list = uris;
    *n = at;
    return true;
}

/* A list and its number stand one behind the other in every *_conf. */
static bool set_list(struct reader *r, const struct option *o, char *field, struct slice v,
                     bool append)
{
    unsigned *n = (void *)(field + sizeof(void *));
    if (!append)
        *n = 0;
    if (o->kind == OPT_WORDS)
        return set_words(r, (void *)field, n, v);
    if (o->kind == OPT_NETS)
        return set_nets(r, o, (void *)field, n, v);
    if (o->kind == OPT_URIS)
        return set_uris(r, (void *)field, n, v);
    return set_addrs(r, o, (void *)field, n, v);
}

static bool set_number(const struct option *o, char *field, struct slice v)
{
    uint64_t n;
    if (o->kind == OPT_MS || o->kind == OPT_S) {
        if (period_parse(v, &n) != 0)
            return false;
        if (o->kind == OPT_S && n % 1000 != 0)
            return false;
        n = o->kind == OPT_S ? n / 1000 : n;
    } else if (slice_u64(v, UINT32_MAX, &n) < 0) {
        return false;
    }
    if (n < o->min || n > o->max)
        return false;
    if (o->kind == OPT_U16)
        *(uint16_t *)(void *)field = (uint16_t)n;
    else
        *(uint32_t *)(void *)field = (uint32_t)n;
    return true;
}

static bool set_uri(struct reader *r, char **field, struct slice v)
{
    struct sip_uri uri;
    if (!conf_uri_parse(v, &uri))
        return false;
    *field = conf_str(r, v);
    return true;
}

static bool set_said(int *field, struct slice v)
{
    bool is_true;
    if (!parse_bool(v, &is_true))
        return false;
    *field = is_true;
    return true;
}

bool conf_value_set(struct reader *r, const struct option *o, void *base, struct slice v,
                    bool append)
{
    char *field = (char *)base + o->offset;
    unsigned word;
    switch (o->kind) {
    case OPT_BOOL: return parse_bool(v, (bool *)(void *)field);
    case OPT_U32:
    case OPT_U16:
    case OPT_MS:
    case OPT_S: return set_number(o, field, v);
    case OPT_ENUM:
        if (!parse_enum(o, v, &word))
            return false;
        *(unsigned *)(void *)field = word;
        return true;
    case OPT_TEXT:
    case OPT_FILE: *(char **)(void *)field = conf_str(r, v); return v.len != 0;
    case OPT_URI: return set_uri(r, (char **)(void *)field, v);
    case OPT_SAID: return set_said((int *)(void *)field, v);
    case OPT_URIS:
    case OPT_WORDS:
    case OPT_NETS:
    case OPT_ADDRS: return set_list(r, o, field, v, append);
    case OPT_OWN: return o->parse(r, base, v);
    }
    return false;
}
