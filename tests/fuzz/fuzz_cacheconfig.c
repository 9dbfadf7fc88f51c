/* SPDX-License-Identifier: Apache-2.0 */
/* Cache configs: what parses is sound, and what is written of it parses to the same again. */
#include <stdint.h>

#include "spec/cacheconfig/cacheconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at_record(
    const struct cob_cacheconfig *config, const struct cob_cacheconfig_record *record)
{
    for (guint i = 0; i < record->inputs->len; i++) {
        const GArray *links = g_ptr_array_index(record->inputs, i);

        g_assert(links->len > 0);
        for (guint j = 0; j < links->len; j++)
            g_assert((guint)g_array_index(links, struct cob_cacheconfig_link, j).record <
                     config->records->len);
    }
    for (guint i = 0; i < record->results->len; i++) {
        const struct cob_cacheconfig_result *result = g_ptr_array_index(record->results, i);

        g_assert(result->is_chain || result->layers->len == 1);
        for (guint j = 0; j < result->layers->len; j++)
            g_assert((guint)g_array_index(result->layers, int, j) < config->layers->len);
    }
}

static void look_at(const struct cob_cacheconfig *config)
{
    for (guint i = 0; i < config->layers->len; i++) {
        guint n = 0;

        for (int at = (int)i; at >= 0; n++) {
            g_assert(n <= config->layers->len);
            at = ((struct cob_cacheconfig_layer *)g_ptr_array_index(config->layers, at))->parent;
        }
    }
    for (guint i = 0; i < config->records->len; i++)
        look_at_record(config, g_ptr_array_index(config->records, i));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const blobs[] = {
        "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"};
    g_autoptr(GBytes) bytes = g_bytes_new(data, size);
    g_autoptr(cob_cacheconfig) config = NULL;
    g_autoptr(cob_cacheconfig) again = NULL;
    g_autoptr(cob_cacheconfig) within = NULL;

    g_autoptr(cob_error) inline_err = cob_cacheconfig_parse_inline(bytes, blobs, 2, &within);
    if (!inline_err)
        look_at(within);
    g_autoptr(cob_error) err = cob_cacheconfig_parse(bytes, &config);
    if (err)
        return 0;
    look_at(config);
    cob_cacheconfig_sort(config);
    look_at(config);
    g_autoptr(GBytes) written = cob_cacheconfig_bytes(config);
    g_autoptr(cob_error) again_err = cob_cacheconfig_parse(written, &again);
    g_assert(!again_err);
    g_autoptr(GBytes) twice = cob_cacheconfig_bytes(again);
    g_assert(g_bytes_equal(written, twice));
    return 0;
}
