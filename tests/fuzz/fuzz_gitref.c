/* SPDX-License-Identifier: Apache-2.0 */
/* Git references: nothing that parses may be an option or a second command to git or ssh. */
#include <stdint.h>
#include <string.h>

#include "spec/gitref/gitref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at(const struct cob_gitref *ref)
{
    g_assert(ref->remote[0] != '-' && ref->host[0] != '-' && ref->path[0] != '-');
    g_assert(!strpbrk(ref->remote, " \r\n\t'\"`"));
    g_assert(!ref->ref || (ref->ref[0] != '-' && !strpbrk(ref->ref, " \r\n:*^~?[")));
    g_assert(!ref->subdir || (ref->subdir[0] && ref->subdir[0] != '/'));
    g_assert(!ref->password || ref->scheme == COB_GITREF_HTTPS || ref->scheme == COB_GITREF_HTTP);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    char *second = strchr(text, '\n');
    g_autoptr(cob_gitref) ref = NULL;
    g_autoptr(cob_gitref) module = NULL;

    if (second)
        *second++ = '\0';
    g_autoptr(cob_error) err = cob_gitref_parse(text, &ref);
    if (err || !ref)
        return 0;
    look_at(ref);
    g_autoptr(cob_error) second_err = cob_gitref_of_url(ref, second ? second : "../x", &module);
    if (!second_err)
        look_at(module);
    return 0;
}
