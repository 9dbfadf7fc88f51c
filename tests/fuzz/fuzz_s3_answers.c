/* SPDX-License-Identifier: Apache-2.0 */
/* What a bucket's server answers, and what stands in files of credentials. */
#include <stdint.h>
#include <string.h>

#include "net/s3/aws_keys.h"
#include "net/s3/aws_xml.h"
#include "net/s3/sign.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_xml(const char *xml, size_t len)
{
    static const char *const elements[] = {"Code", "Message", "Region", "UploadId"};

    for (size_t i = 0; i < G_N_ELEMENTS(elements); i++) {
        g_autofree char *text = aws_xml_text(xml, len, elements[i]);

        g_assert(!text || (strlen(text) <= AWS_XML_TEXT_BYTES && strlen(text) <= len));
    }
}

static void try_profile(const char *text, size_t len)
{
    struct aws_profile profile = {0};
    bool is_found = false;

    aws_profile_parse(text, len, "default", &profile, &is_found);
    g_assert(is_found || (!profile.keys && !profile.region && !profile.unsupported));
    aws_profile_parse(text, len, "profile x", &profile, &is_found);
    g_assert(!profile.keys || (profile.keys->access_key_id && profile.keys->secret_access_key));
    aws_profile_done(&profile);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(GString) encoded = g_string_new(NULL);

    try_xml((const char *)data, size);
    if (size > 0)
        try_profile((const char *)data, size);
    s3_append_encoded(encoded, text, '/');
    g_assert(encoded->len <= 3 * strlen(text) && !strpbrk(encoded->str, "?#&= \r\n"));
    return 0;
}
