/* SPDX-License-Identifier: Apache-2.0 */
/* References and platforms: what parses must read back as itself. */
#include <stdint.h>
#include <string.h>

#include "spec/ref/ref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_ref(const char *text)
{
    g_autoptr(cob_ref) ref = NULL;
    g_autoptr(cob_ref) again = NULL;
    g_autoptr(cob_error) err = cob_ref_parse(text, &ref);

    if (err)
        return;
    g_autofree char *full = cob_ref_text(ref);
    g_autofree char *familiar = cob_ref_familiar(ref);
    g_assert(!strpbrk(full, "\r\n \t?#%\\\"<>"));
    err = cob_ref_parse(familiar, &again);
    if (err)
        return; /* a familiar form of 64 hex digits is no name */
    g_autofree char *full_again = cob_ref_text(again);
    g_assert(strcmp(full, full_again) == 0);
}

static void try_platform(const char *text)
{
    g_autoptr(cob_platform) host = cob_platform_of_machine("x86_64");
    g_autoptr(cob_platform) platform = NULL;
    g_autoptr(cob_platform) again = NULL;
    g_autoptr(cob_error) err = cob_platform_parse(text, host, &platform);

    if (err)
        return;
    g_autofree char *full = cob_platform_text(platform);
    err = cob_platform_parse(full, host, &again);
    g_assert(!err && cob_platform_equal(platform, again));
    g_assert(cob_platform_rank(platform, again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);

    try_ref(text);
    try_platform(text);
    return 0;
}
