/* SPDX-License-Identifier: Apache-2.0 */
/* WWW-Authenticate headers: whatever is found, its parts are clean text. */
#include <stdint.h>
#include <string.h>

#include "net/registry/challenge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_clean(const char *text)
{
    for (; text && *text; text++)
        g_assert(!g_ascii_iscntrl(*text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *header = g_strndup((const char *)data, size);
    g_autoptr(GPtrArray) challenges = registry_challenges_new();

    registry_challenge_parse(header, challenges);
    g_assert(challenges->len <= 16);
    for (unsigned i = 0; i < challenges->len; i++) {
        const struct challenge *challenge = g_ptr_array_index(challenges, i);

        check_clean(challenge->scheme);
        check_clean(challenge->realm);
        check_clean(challenge->service);
        check_clean(challenge->scope);
    }
    return 0;
}
