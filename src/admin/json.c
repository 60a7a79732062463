/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/json.h"

static bool put(void *user, const void *ptr, size_t len)
{
    return admin_text_add(user, ptr, len);
}

bool json_text(struct admin_text *out, struct slice s)
{
    size_t before = out->len;
    if (put(out, "\"", 1) && field_escape(FIELD_JSON, s, put, out) && put(out, "\"", 1))
        return true;
    out->len = before;
    return false;
}

bool json_row(struct admin_text *out, unsigned n, const struct field *fields)
{
    size_t before = out->len;
    bool ok = put(out, "{", 1);
    for (unsigned i = 0; ok && i < n; i++)
        ok = (i == 0 || put(out, ",", 1)) && json_text(out, slice_str(fields[i].name)) &&
             put(out, ":", 1) && field_json(&fields[i], put, out);
    ok = ok && put(out, "}", 1);
    if (!ok)
        out->len = before;
    return ok;
}
