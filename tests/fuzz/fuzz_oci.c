/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/oci/oci.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip_index(GBytes *bytes)
{
    g_autoptr(cob_oci_index) index = NULL, again = NULL;
    g_autoptr(cob_platform) platform = cob_platform_new("linux", "amd64", NULL, NULL);
    const struct cob_oci_descriptor *chosen = NULL;
    g_autoptr(cob_error) err = cob_oci_index_parse(bytes, NULL, &index);

    if (err)
        return;
    g_autoptr(cob_error) choose_err = cob_oci_index_choose(index, platform, &chosen);
    g_autoptr(GBytes) written = cob_oci_index_bytes(index);
    g_autoptr(cob_error) again_err = cob_oci_index_parse(written, NULL, &again);
    (void)choose_err;
    g_assert(!again_err || g_bytes_get_size(written) > g_bytes_get_size(bytes));
}

static void round_trip_manifest(GBytes *bytes)
{
    g_autoptr(cob_oci_manifest) manifest = NULL;
    g_autoptr(cob_error) err = cob_oci_manifest_parse(bytes, NULL, &manifest);

    if (err)
        return;
    g_autoptr(GBytes) written = cob_oci_manifest_bytes(manifest);
    (void)written;
}

/* Any bytes as any document: an error, or what can be written again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, size);
    g_autoptr(cob_oci_config) config = NULL;
    g_autoptr(cob_error) err = cob_oci_config_parse(bytes, &config);

    if (!err) {
        g_autoptr(cob_oci_config) copy = cob_oci_config_copy(config);
        g_autoptr(GBytes) a = cob_oci_config_bytes(config), b = cob_oci_config_bytes(copy);

        g_assert(g_bytes_equal(a, b));
    }
    round_trip_index(bytes);
    round_trip_manifest(bytes);
    return 0;
}
