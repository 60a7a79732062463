/* SPDX-License-Identifier: Apache-2.0 */
/* One section's settings, copied; and what its URIs say. */
#include "base/alloc.h"
#include "group/group_int.h"

/* "sip:user@host:port;params": the URI has been checked, so this only finds its parts. */
static bool has_param(struct slice params, struct slice want)
{
    for (size_t i = 0; i + want.len <= params.len; i++)
        if (slice_ieq_bytes(params.ptr + i, want.ptr, want.len))
            return true;
    return false;
}

void member_read_uri(struct member *m)
{
    struct slice s = slice_str(m->uri);
    bool is_sips = slice_istarts(s, SLICE("sips:"));
    ptrdiff_t colon = slice_chr(s, ':');
    s = slice_of(s.ptr + colon + 1, s.len - (size_t)(colon + 1));
    ptrdiff_t at = slice_chr(s, '@');
    if (at >= 0)
        s = slice_of(s.ptr + at + 1, s.len - (size_t)at - 1);
    size_t end = 0, params;
    if (s.len != 0 && s.ptr[0] == '[')
        while (end < s.len && s.ptr[end] != ']')
            end++;
    while (end < s.len && s.ptr[end] != ':' && s.ptr[end] != ';' && s.ptr[end] != '?')
        end++;
    m->host = slice_of(s.ptr, end);
    if (end > 2 && s.ptr[0] == '[')
        m->host = slice_of(s.ptr + 1, end - 2);
    for (params = end; params < s.len && s.ptr[params] != ';' && s.ptr[params] != '?';)
        params++;
    uint64_t port = 0;
    if (params > end + 1 &&
        slice_u64(slice_of(s.ptr + end + 1, params - end - 1), UINT16_MAX, &port) != 0)
        port = 0;
    m->port = (uint16_t)port;
    /* Of transports only TLS has a port of its own. */
    s = slice_of(s.ptr + params, s.len - params);
    is_sips = is_sips || has_param(s, SLICE(";transport=tls"));
    m->default_port = is_sips ? 5061 : 5060;
    bool is_tcp = has_param(s, SLICE(";transport=tcp"));
    m->least = is_sips ? GROUP_TLS : is_tcp ? GROUP_STREAM : GROUP_DATAGRAM;
}

static int copy_members(struct group *g, const struct group_conf *src)
{
    g->members = mem_zalloc((src->nmembers + 1) * sizeof(*g->members));
    if (g->members == NULL)
        return ERR_NOMEM;
    for (unsigned i = 0; i < src->nmembers && i < GROUP_MEMBERS_MAX; i++) {
        struct member *m = &g->members[g->n++];
        m->uri = mem_strdup(slice_str(src->members[i].uri));
        if (m->uri == NULL)
            return ERR_NOMEM;
        m->fixed = src->members[i].addr;
        m->weight = src->members[i].weight != 0 ? src->members[i].weight : 1;
        member_read_uri(m);
    }
    return 0;
}

/* NULL for none; *err is set when there is no memory. */
static void *copy_array(const void *src, size_t size, int *err)
{
    void *p = size != 0 ? mem_alloc(size) : NULL;
    if (size != 0 && p == NULL)
        *err = ERR_NOMEM;
    if (p != NULL)
        memcpy(p, src, size);
    return p;
}

int group_copy(struct group *dst, const struct group_conf *src)
{
    *dst = (struct group){.conf = *src};
    int err = 0;
    dst->conf.members = NULL;
    dst->conf.nmembers = 0;
    if (src->force_ms == 0)
        dst->conf.force_ms = 5000;
    dst->conf.name = mem_strdup(slice_str(src->name));
    if (dst->conf.name == NULL)
        err = ERR_NOMEM;
    dst->conf.failures = copy_array(src->failures, src->nfailures * sizeof(*src->failures), &err);
    dst->conf.access = copy_array(src->access, src->naccess * sizeof(*src->access), &err);
    return err == 0 ? copy_members(dst, src) : err;
}

void group_clear(struct group *g)
{
    for (unsigned i = 0; i < g->n; i++)
        mem_free(g->members[i].uri);
    mem_free(g->members);
    mem_free(g->conf.name);
    mem_free(g->conf.failures);
    mem_free(g->conf.access);
    *g = (struct group){0};
}
