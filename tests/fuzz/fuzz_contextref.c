/* SPDX-License-Identifier: Apache-2.0 */
/* Named contexts: a key that is read is read as itself again. */
#include <stdint.h>
#include <string.h>

#include "spec/contextref/contextref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(cob_contextref) ref = NULL;
    g_autoptr(cob_contextref) again = NULL;
    struct cob_layoutref layout = {0};
    g_autoptr(cob_error) err = cob_contextref_parse(text, &ref);

    if (err)
        return 0;
    g_autofree char *canonical = g_strconcat(ref->key, "=", ref->value, NULL);
    g_autoptr(cob_error) second = cob_contextref_parse(canonical, &again);
    g_assert(!second && strcmp(again->key, ref->key) == 0);
    g_assert(strcmp(again->value, ref->value) == 0);
    g_autoptr(cob_error) third = cob_layoutref_parse(ref->value, &layout);
    g_assert(third || (*layout.path && (layout.tag || layout.digest)));
    cob_layoutref_done(&layout);
    return 0;
}
