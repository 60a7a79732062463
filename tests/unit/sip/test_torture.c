/* SPDX-License-Identifier: Apache-2.0 */
/* Torture messages of RFC 4475 and RFC 5118 against the table of verdicts: our own, which lie in
 * the tree, and those of the RFCs where somebody has put them. */
#include <dirent.h>
#include <sys/stat.h>

#include "base/addr.h"
#include "base/buf.h"
#include "sip/digest.h"
#include "sip/edit.h"
#include "sip/msg.h"
#include "sip/write.h"

#include "check.h"
#include "torture_verdicts.h"

#define OWN_FOLDER HOLDFAST_SOURCE_DIR "/tests/samples/torture"

/* Folder of the RFCs' messages: rfc4475/ and rfc5118/ lie in it. */
static const char *raw_folder(void)
{
    const char *folder = getenv("HOLDFAST_TORTURE");
    return folder != NULL && *folder != '\0' ? folder
                                             : HOLDFAST_SOURCE_DIR "/../shared/data/torture";
}

struct file {
    char *bytes; /* an allocation of exactly len */
    size_t len;
};

static struct file read_file(const char *path)
{
    struct file f = {NULL, 0};
    struct stat st;
    FILE *in = fopen(path, "rb");
    if (in == NULL || fstat(fileno(in), &st) != 0)
        fail_msg("cannot read %s", path);
    f.len = (size_t)st.st_size;
    f.bytes = malloc(f.len);
    assert_non_null(f.bytes);
    assert_int_equal(fread(f.bytes, 1, f.len, in), f.len);
    fclose(in);
    return f;
}

/* --- what is to be seen in an accepted message ----------------------------------------------- */

#define SEE(condition)                                                     \
    do {                                                                   \
        if (!(condition)) {                                                \
            print_error("not seen: %s (line %d)\n", #condition, __LINE__); \
            return false;                                                  \
        }                                                                  \
    } while (0)

/* How many Vias there are, all of them readable; the one at `at` comes back. */
static unsigned read_vias(const struct sip_msg *m, unsigned at, struct sip_via *out,
                          unsigned *unknown)
{
    struct sip_iter it;
    struct slice element;
    unsigned n = 0;
    sip_iter_init(&it, m, SIP_H_VIA);
    while (sip_iter_next(&it, &element)) {
        struct sip_via v;
        if (sip_via_parse(element, &v) != 0)
            return 0;
        *unknown += v.transport == SIP_TRANSPORT_NONE;
        if (n++ == at)
            *out = v;
    }
    return n;
}

/* First element of a header as name-addr with its URI. */
static bool read_party(const struct sip_msg *m, enum sip_hdr_id id, struct sip_name_addr *na,
                       struct sip_uri *u)
{
    struct slice rest = sip_value(m, id), element;
    return sip_list_next(&rest, &element) && sip_name_addr_parse(element, na) == 0 &&
           sip_uri_parse(na->uri, u) == 0;
}

static bool see_folded(const struct sip_msg *m)
{
    struct sip_name_addr na;
    struct sip_uri u;
    struct sip_via v;
    struct slice q;
    unsigned unknown = 0, thousandth = 0;
    SEE(read_vias(m, 2, &v, &unknown) == 3 && unknown == 0);
    SEE(v.branch.len > 8 && v.host.len != 0);
    SEE(m->max_forwards > 0 && m->cseq > 0 && m->to_tag.len != 0 && m->from_tag.len != 0);
    SEE(read_party(m, SIP_H_ROUTE, &na, &u) && u.lr);
    SEE(read_party(m, SIP_H_CONTACT, &na, &u) && na.display.len != 0);
    SEE(sip_param_find(na.params, SLICE("q"), &q) && sip_q_parse(q, &thousandth) == 0);
    SEE(thousandth > 0 && thousandth < 1000);
    SEE(m->body_len > 0 && sip_hdr_first(m, SIP_H_SUBJECT) != NULL);
    return true;
}

static bool see_escaped_nul(const struct sip_msg *m)
{
    char storage[64];
    struct buf b;
    struct sip_name_addr na;
    struct sip_uri to, first, second;
    struct sip_iter it;
    struct slice element;
    SEE(read_party(m, SIP_H_TO, &na, &to));
    buf_init(&b, storage, sizeof(storage));
    SEE(sip_unescape(to.user, &b) == 0 && slice_chr(buf_get(&b), '\0') >= 0);
    sip_iter_init(&it, m, SIP_H_CONTACT);
    SEE(sip_iter_next(&it, &element) && sip_name_addr_parse(element, &na) == 0);
    SEE(sip_uri_parse(na.uri, &first) == 0);
    SEE(sip_iter_next(&it, &element) && sip_name_addr_parse(element, &na) == 0);
    SEE(sip_uri_parse(na.uri, &second) == 0 && !sip_uri_eq(&first, &second));
    return true;
}

static bool see_no_escape(const struct sip_msg *m)
{
    struct sip_iter it;
    struct slice element;
    unsigned contacts = 0;
    SEE(m->method == SIP_UNKNOWN && slice_chr(sip_get(m, m->method_text), '%') > 0);
    SEE(slice_chr(m->via.branch, '%') > 0);
    sip_iter_init(&it, m, SIP_H_CONTACT);
    while (sip_iter_next(&it, &element))
        contacts++;
    SEE(contacts == 2);
    SEE(sip_hdr_named(m, SLICE("C%6Fntact")) != NULL);
    return true;
}

static bool see_header_schemes(const struct sip_msg *m)
{
    static const enum sip_hdr_id ids[] = {SIP_H_TO, SIP_H_FROM, SIP_H_CONTACT};
    struct sip_name_addr na;
    struct sip_uri u;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
        SEE(read_party(m, ids[i], &na, &u) && u.scheme == SIP_SCHEME_OTHER);
    SEE(m->from_tag.len != 0);
    return true;
}

static bool see_contact(const struct sip_msg *m, enum look look)
{
    struct sip_name_addr na;
    struct sip_uri u;
    if (look == LOOK_CONTACT_MALFORMED)
        return sip_name_addr_parse(sip_value(m, SIP_H_CONTACT), &na) == ERR_PARSE;
    SEE(read_party(m, SIP_H_CONTACT, &na, &u));
    SEE((na.params.len != 0) == (look == LOOK_CONTACT_PARAM));
    SEE((u.params.len != 0) == (look == LOOK_URI_PARAM));
    SEE((u.headers.len != 0) == (look == LOOK_CONTACT_HEADERS));
    return true;
}

static bool see_rfc2543(const struct sip_msg *m)
{
    SEE(m->via.branch.len == 0 && m->from_tag.len == 0 && m->max_forwards == -1);
    SEE(sip_hdr_first(m, SIP_H_CONTENT_LENGTH) == NULL && m->body_len != 0);
    return true;
}

static bool see_ip6(const struct sip_msg *m, enum look look)
{
    struct sip_uri u;
    SEE(sip_uri_parse(sip_get(m, m->uri), &u) == 0 && u.host.ptr[0] == '[');
    SEE(u.port == (look == LOOK_IP6_PORT ? 5070 : 0));
    return true;
}

static bool see_vias(const struct sip_msg *m, enum look look)
{
    struct sip_via v = {0};
    struct addr a;
    unsigned unknown = 0, n = read_vias(m, 1, &v, &unknown);
    switch ((int)look) {
    case LOOK_TRANSPORTS: SEE(n == 5 && unknown == 2 && m->via.transport == SIP_UDP); return true;
    case LOOK_BROADCAST_VIA: SEE(n == 2 && slice_eq(v.host, SLICE("255.255.255.255"))); return true;
    case LOOK_VIA_FAMILIES:
        SEE(n == 3 && m->via.host.ptr[0] == '[' && v.host.ptr[0] != '[');
        return true;
    case LOOK_IP6_RECEIVED:
        SEE(addr_parse_ip(m->via.received, 0, &a) == 0 && a.family == ADDR_IP6);
        SEE(m->via.branch.len != 0);
        return true;
    case LOOK_MAPPED:
        SEE(addr_parse_ip(m->via.host, m->via.port, &a) == 0 && a.family == ADDR_IP4 &&
            a.port > 1024);
        return true;
    default: return false;
    }
}

static bool see_user(const struct sip_msg *m, enum look look)
{
    char storage[128];
    struct buf b;
    struct sip_uri u;
    SEE(sip_uri_parse(sip_get(m, m->uri), &u) == 0);
    if (look == LOOK_SEMICOLON_USER) {
        SEE(slice_chr(u.user, ';') > 0 && u.params.len == 0);
        return true;
    }
    buf_init(&b, storage, sizeof(storage));
    SEE(slice_chr(u.user, '@') < 0);
    SEE(sip_unescape(u.user, &b) == 0 && slice_chr(buf_get(&b), '@') > 0);
    return true;
}

static bool see_reason(const struct sip_msg *m, enum look look)
{
    struct slice reason = sip_get(m, m->reason);
    bool utf8 = false;
    for (size_t i = 0; i < reason.len; i++)
        utf8 |= (unsigned char)reason.ptr[i] > 0x7f;
    if (look == LOOK_REASON_EMPTY)
        SEE(reason.len == 0 && m->status == 100);
    else
        SEE(utf8 && m->status == 200);
    return true;
}

static bool see_more(const struct sip_msg *m, const struct torture_row *row, size_t file_len)
{
    struct sip_name_addr na;
    struct sip_credentials c;
    struct sip_iter it;
    struct slice element;
    struct sip_uri u;
    switch ((int)row->look) {
    case LOOK_NONE: return true;
    case LOOK_FOLDED: return see_folded(m);
    case LOOK_UNKNOWN_METHOD:
        SEE(m->method == SIP_UNKNOWN && m->cseq > 1000 && m->max_forwards == 255);
        return true;
    case LOOK_ESCAPED_NUL: return see_escaped_nul(m);
    case LOOK_NO_ESCAPE: return see_no_escape(m);
    case LOOK_DISPLAY: SEE(read_party(m, SIP_H_FROM, &na, &u) && na.display.len != 0); return true;
    case LOOK_LONG: SEE(m->from_tag.len > 100 && m->call_id.len > 100); return true;
    case LOOK_TRAILING: SEE(m->len < file_len && m->body_len == 0); return true;
    case LOOK_BINARY_BODY: SEE(slice_chr(sip_body(m), '\0') > 0 && m->len == file_len); return true;
    case LOOK_NO_3261_BRANCH: SEE(!sip_branch_is_3261(m->via.branch)); return true;
    case LOOK_SCHEME_OTHER: SEE(m->ruri.scheme == SIP_SCHEME_OTHER); return true;
    case LOOK_HEADER_SCHEMES: return see_header_schemes(m);
    case LOOK_PROXY_REQUIRE:
        sip_iter_init(&it, m, SIP_H_PROXY_REQUIRE);
        SEE(sip_iter_next(&it, &element) && sip_iter_next(&it, &element));
        return true;
    case LOOK_AUTH_SCHEME:
        SEE(sip_credentials_parse(sip_value(m, SIP_H_AUTHORIZATION), &c) == ERR_UNSUPPORTED);
        return true;
    case LOOK_MAX_FORWARDS_0: SEE(m->max_forwards == 0); return true;
    case LOOK_RFC2543: return see_rfc2543(m);
    case LOOK_IP6_BODY: SEE(m->body_len > 20 && m->len == file_len); return true;
    default: return false;
    }
}

static bool see(const struct sip_msg *m, const struct torture_row *row, size_t file_len)
{
    switch ((int)row->look) {
    case LOOK_ESCAPED_AT:
    case LOOK_SEMICOLON_USER: return see_user(m, row->look);
    case LOOK_REASON_UTF8:
    case LOOK_REASON_EMPTY: return see_reason(m, row->look);
    case LOOK_CONTACT_MALFORMED:
    case LOOK_CONTACT_PARAM:
    case LOOK_URI_PARAM:
    case LOOK_CONTACT_HEADERS: return see_contact(m, row->look);
    case LOOK_IP6_NO_PORT:
    case LOOK_IP6_PORT: return see_ip6(m, row->look);
    case LOOK_TRANSPORTS:
    case LOOK_BROADCAST_VIA:
    case LOOK_IP6_RECEIVED:
    case LOOK_VIA_FAMILIES:
    case LOOK_MAPPED: return see_vias(m, row->look);
    default: return see_more(m, row, file_len);
    }
}

/* --- the verdict ----------------------------------------------------------------------------- */

/* No change means no other byte. */
static bool is_written_back(const struct sip_msg *m)
{
    static char storage[SIP_MSG_MAX];
    struct sip_edit e;
    struct buf out;
    sip_edit_init(&e, m);
    buf_init(&out, storage, sizeof(storage));
    SEE(sip_edit_write(&e, &out) == 0);
    SEE(slice_eq(buf_get(&out), slice_of(m->base, m->len)));
    return true;
}

static bool is_answered(const struct sip_msg *m, const struct sip_fault *fault)
{
    char storage[16384], start[16];
    struct buf out;
    buf_init(&out, storage, sizeof(storage));
    snprintf(start, sizeof(start), "SIP/2.0 %u ", fault->status);
    SEE(sip_write_response(&out, m, fault->status, slice_str(fault->reason), SLICE("tt"),
                           SLICE_NONE, SLICE_NONE) == 0);
    SEE(slice_starts(buf_get(&out), slice_str(start)));
    return true;
}

static bool is_framed(const struct file *f, const struct torture_row *row, const struct sip_msg *m)
{
    struct sip_frame frame;
    struct sip_fault fault;
    size_t used = 0;
    sip_frame_init(&frame);
    SEE(sip_frame_next(&frame, f->bytes, f->len, NULL, &used, &fault) == row->framing);
    if (row->framing == SIP_FRAME_MESSAGE)
        SEE(used == m->len);
    if (row->framing == SIP_FRAME_BAD)
        SEE(fault.status == 400);
    return true;
}

static bool has_verdict(const struct file *f, const struct torture_row *row)
{
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct sip_fault fault;
    struct sip_msg m;
    int rc = sip_msg_parse(&m, f->bytes, f->len, false, hdrs, SIP_HDRS_MAX, NULL, &fault);
    SEE(is_framed(f, row, &m));
    if (row->verdict == ACCEPT) {
        SEE(rc == 0);
        return is_written_back(&m) && see(&m, row, f->len);
    }
    SEE(rc == ERR_PARSE);
    if (fault.status != row->status) {
        print_error("status %u (%s) instead of %u\n", fault.status, fault.reason, row->status);
        return false;
    }
    SEE(fault.has_via == (row->verdict == REJECT));
    return row->verdict == DROP || is_answered(&m, &fault);
}

static void check_rows(const char *what,
                       void (*path_of)(const struct torture_row *, char *, size_t))
{
    unsigned wrong = 0;
    for (size_t i = 0; i < TORTURE_ROWS; i++) {
        char path[1024];
        path_of(&torture_rows[i], path, sizeof(path));
        struct file f = read_file(path);
        if (!has_verdict(&f, &torture_rows[i])) {
            print_error("%s message of RFC %s (%s): %s\n", what, torture_rows[i].section, path,
                        torture_rows[i].reason);
            wrong++;
        }
        free(f.bytes);
    }
    assert_int_equal(wrong, 0);
}

static void own_path(const struct torture_row *row, char *path, size_t cap)
{
    snprintf(path, cap, "%s/%s", OWN_FOLDER, row->own);
}

static void raw_path(const struct torture_row *row, char *path, size_t cap)
{
    snprintf(path, cap, "%s/rfc%.4s/%s", raw_folder(), row->section, row->raw);
}

static void own_messages(void **state)
{
    (void)state;
    check_rows("own", own_path);
}

static void messages_of_the_rfcs(void **state)
{
    (void)state;
    DIR *d = opendir(raw_folder());
    if (d == NULL) {
        print_message("skipped: no folder %s with the messages of RFC 4475 and RFC 5118\n",
                      raw_folder());
        skip();
    }
    closedir(d);
    check_rows("RFC", raw_path);
}

/* --- the table and the folder are whole ------------------------------------------------------ */

static bool has_section(const char *section)
{
    for (size_t i = 0; i < TORTURE_ROWS; i++) {
        if (strcmp(torture_rows[i].section, section) == 0)
            return true;
    }
    return false;
}

static void every_section_has_a_message(void **state)
{
    (void)state;
    static const struct {
        const char *prefix;
        unsigned sections;
    } groups[] = {
        {"4475 3.1.1", 13}, {"4475 3.1.2", 19}, {"4475 3.2", 1},
        {"4475 3.3", 15},   {"4475 3.4", 1},    {"5118 4", 10},
    };
    for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
        for (unsigned i = 1; i <= groups[g].sections; i++) {
            char section[32];
            snprintf(section, sizeof(section), "%s.%u", groups[g].prefix, i);
            if (!has_section(section))
                fail_msg("no message for RFC %s", section);
        }
    }
}

static void every_file_has_a_verdict(void **state)
{
    (void)state;
    DIR *d = opendir(OWN_FOLDER);
    assert_non_null(d);
    for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
        size_t i = 0;
        if (entry->d_name[0] == '.')
            continue;
        while (i < TORTURE_ROWS && strcmp(torture_rows[i].own, entry->d_name) != 0)
            i++;
        if (i == TORTURE_ROWS)
            fail_msg("%s is not in the table", entry->d_name);
    }
    closedir(d);
}

/* Every prefix of every message, at the end of its allocation. */
static void every_prefix(void **state)
{
    (void)state;
    for (size_t i = 0; i < TORTURE_ROWS; i++) {
        char path[1024];
        own_path(&torture_rows[i], path, sizeof(path));
        struct file f = read_file(path);
        size_t most = f.len < 1000 ? f.len : 1000;
        for (size_t n = 0; n < most; n++) {
            struct sip_hdr hdrs[SIP_HDRS_MAX];
            struct sip_fault fault;
            struct sip_msg m;
            char *copy = exact_copy(f.bytes, n);
            int rc = sip_msg_parse(&m, copy, n, n % 2 == 0, hdrs, SIP_HDRS_MAX, NULL, &fault);
            assert_true(rc == 0 || rc == ERR_PARSE);
            free(copy);
        }
        free(f.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_messages),
        cmocka_unit_test(messages_of_the_rfcs),
        cmocka_unit_test(every_section_has_a_message),
        cmocka_unit_test(every_file_has_a_verdict),
        cmocka_unit_test(every_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
