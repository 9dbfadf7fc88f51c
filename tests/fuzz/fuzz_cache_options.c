/* SPDX-License-Identifier: Apache-2.0 */
/* Options of caches: what is shown of them reads back, and has no secret. */
#include <stdint.h>
#include <string.h>

#include "build/cachebackend/cachebackend.h"
#include "util/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text)
{
    static const char *const secrets[] = {"access_key_id", "secret_access_key", "session_token"};
    g_autoptr(GPtrArray) fields = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(cob_error) err = cob_csv_split(text, fields);

    g_assert(!err);
    for (guint i = 0; i < fields->len; i++) {
        const char *field = g_ptr_array_index(fields, i);
        g_autofree char *raw = g_strndup(field, strcspn(field, "="));
        g_autofree char *key = g_ascii_strdown(g_strstrip(raw), -1);

        for (size_t n = 0; n < G_N_ELEMENTS(secrets); n++)
            g_assert(!strchr(field, '=') || strcmp(key, secrets[n]) != 0);
    }
}

static void try_way(const char *text, enum cob_cachebackend_way way)
{
    g_autoptr(cob_cachebackend_options) options = NULL;
    g_autoptr(cob_cachebackend_options) again = NULL;
    g_autoptr(cob_error) err = cob_cachebackend_options_parse(text, way, &options);

    if (err)
        return;
    check_text(options->text);
    err = cob_cachebackend_options_parse(options->text, way, &again);
    g_assert(!err && again->type == options->type && strcmp(again->text, options->text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);

    try_way(text, COB_CACHEBACKEND_EXPORT);
    try_way(text, COB_CACHEBACKEND_IMPORT);
    return 0;
}
