/* SPDX-License-Identifier: Apache-2.0 */
#include "build/cachebackend/backend_parts.h"

struct cob_cachebackend_puts {
    GMutex lock;       /* guards names */
    GHashTable *names; /* char *, owned */
};

struct cob_cachebackend_puts *cob_backend_puts_new(void)
{
    struct cob_cachebackend_puts *puts = g_new0(struct cob_cachebackend_puts, 1);

    g_mutex_init(&puts->lock);
    puts->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return puts;
}

void cob_backend_puts_free(struct cob_cachebackend_puts *puts)
{
    if (!puts)
        return;
    g_hash_table_unref(puts->names);
    g_mutex_clear(&puts->lock);
    g_free(puts);
}

void cob_backend_puts_add(struct cob_cachebackend_puts *puts, const char *name)
{
    g_mutex_lock(&puts->lock);
    g_hash_table_add(puts->names, g_strdup(name));
    g_mutex_unlock(&puts->lock);
}

bool cob_backend_puts_has(struct cob_cachebackend_puts *puts, const char *name)
{
    g_mutex_lock(&puts->lock);
    bool has = g_hash_table_contains(puts->names, name);
    g_mutex_unlock(&puts->lock);
    return has;
}
