/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a cob.toml: values or an error with a line in the file, and never anything else. */
#include <stddef.h>

#include "build/gc/gc.h"
#include "lang/toml/toml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct cob_toml_value *value)
{
    g_assert_cmpint(value->line, >=, 1);
    if (value->type == COB_TOML_TEXT)
        g_assert_true(g_utf8_validate(value->text, -1, NULL));
    for (guint i = 0; value->type == COB_TOML_ARRAY && i < value->items->len; i++)
        check(value->items->pdata[i]);
    for (guint i = 0; value->type == COB_TOML_TABLE && i < value->keys->len; i++)
        check(cob_toml_get(value, value->keys->pdata[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, size);
    g_autoptr(cob_srcfile) file = cob_srcfile_new("cob.toml", bytes);
    g_autoptr(cob_toml_value) root = NULL;
    struct cob_gc_policy policy = cob_gc_policy_default();
    g_autoptr(cob_error) err = cob_toml_parse(file, &root);
    g_autoptr(cob_error) policy_err = cob_gc_policy_parse(file, &policy);

    g_assert_true((err == NULL) == (root != NULL));
    if (root)
        check(root);
    if (err) {
        g_assert_cmpint(cob_error_code(err), ==, COB_INVALID);
        g_assert_cmpint(cob_error_range(err).first_line, >=, 1);
        g_assert_nonnull(policy_err);
    }
    return 0;
}
