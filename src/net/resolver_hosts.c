/* SPDX-License-Identifier: Apache-2.0 */
/* Names that no server is asked for: the hosts file, and "localhost". */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "net/resolver_int.h"

#define FILE_MAX (1u << 20) /* bytes; of a larger one the begin counts */
#define LOOK_MS  1000

bool dns_file_changed(struct dns_file *f, uint64_t now)
{
    struct stat st;
    if (f->looked != 0 && now < f->looked + LOOK_MS)
        return false;
    f->looked = now;
    if (stat(f->path, &st) != 0)
        return false; /* what was known stays */
    if (st.st_mtim.tv_sec == f->mtime.tv_sec && st.st_mtim.tv_nsec == f->mtime.tv_nsec &&
        st.st_ino == f->ino && st.st_size == f->size)
        return false;
    f->mtime = st.st_mtim;
    f->ino = st.st_ino;
    f->size = st.st_size;
    return true;
}

static void read_hosts(struct net_resolver *r)
{
    int fd = open(r->hosts_file.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char *text = fd >= 0 ? mem_alloc(FILE_MAX) : NULL;
    size_t len = 0;
    ssize_t n;
    while (text != NULL && len < FILE_MAX && (n = read(fd, text + len, FILE_MAX - len)) > 0)
        len += (size_t)n;
    if (fd >= 0)
        close(fd);
    if (text == NULL)
        return;
    char *fit = mem_realloc(text, len != 0 ? len : 1);
    mem_free(r->hosts);
    r->hosts = fit != NULL ? fit : text;
    r->hosts_len = len;
}

static struct slice next_line(struct slice *rest)
{
    ptrdiff_t at = slice_chr(*rest, '\n');
    size_t len = at < 0 ? rest->len : (size_t)at;
    struct slice line = slice_of(rest->ptr, len);
    size_t used = at < 0 ? len : len + 1;
    *rest = slice_of(rest->ptr + used, rest->len - used);
    ptrdiff_t comment = slice_chr(line, '#');
    if (comment >= 0)
        line.len = (size_t)comment;
    return slice_trim(line);
}

static bool line_names(struct slice names, struct slice name)
{
    struct slice word;
    while (slice_next_word(&names, &word)) {
        if (slice_ieq(word, name))
            return true;
    }
    return false;
}

static bool is_known(const struct addr *addrs, unsigned n, const struct addr *a)
{
    for (unsigned i = 0; i < n; i++) {
        if (addr_eq_ip(&addrs[i], a))
            return true;
    }
    return false;
}

static bool is_localhost(struct slice name)
{
    const struct slice local = SLICE("localhost");
    if (name.len < local.len)
        return false;
    struct slice end = slice_of(name.ptr + name.len - local.len, local.len);
    return slice_ieq(end, local) && (name.len == local.len || end.ptr[-1] == '.');
}

unsigned dns_hosts_find(struct net_resolver *r, struct slice name, struct addr *out, unsigned max)
{
    if (dns_file_changed(&r->hosts_file, net_now(r->loop)))
        read_hosts(r);
    struct slice rest = slice_of(r->hosts, r->hosts_len);
    unsigned n = 0;
    while (rest.len != 0 && n < max) {
        struct slice line = next_line(&rest), ip;
        if (!slice_next_word(&line, &ip) || !line_names(line, name))
            continue;
        if (addr_parse_ip(ip, 0, &out[n]) == 0 && !is_known(out, n, &out[n]))
            n++;
    }
    if (n == 0 && max >= 2 && is_localhost(name)) {
        n += addr_parse_ip(SLICE("::1"), 0, &out[n]) == 0;
        n += addr_parse_ip(SLICE("127.0.0.1"), 0, &out[n]) == 0;
    }
    return n;
}
