/* SPDX-License-Identifier: Apache-2.0 */
/* What a context gives to the stat cache and takes from it. */
#include <sys/stat.h>

#include "build/context/context_private.h"

struct cob_statcache_file context_stat_of(const struct context_entry *entry)
{
    return (struct cob_statcache_file){.dev = entry->dev,
        .inode = entry->inode,
        .size = entry->size,
        .mtime_ns = entry->mtime_ns,
        .ctime_ns = entry->ctime_ns};
}

GBytes *context_cache_write(struct cob_context *context)
{
    g_autoptr(cob_statcache_draft) draft = cob_statcache_draft_new();

    cob_statcache_rewind(context->known);
    for (size_t i = 0; i < context->entries->len; i++) {
        const struct context_entry *entry = context_at(context, i);
        const struct cob_statcache_file file = context_stat_of(entry);
        struct cob_sha256 sha;
        bool is_known = context->has_sha && context->has_sha[i];

        if (!S_ISREG(entry->mode))
            continue;
        if (is_known)
            sha = context->shas[i];
        else
            is_known = cob_statcache_find(context->known, &file, &sha, NULL);
        if (cob_statcache_is_racy(&file, context->start_ns))
            is_known = false;
        cob_statcache_draft_add(draft, &file, is_known ? &sha : NULL, 0);
    }
    return cob_statcache_draft_finish(draft, context->known);
}
