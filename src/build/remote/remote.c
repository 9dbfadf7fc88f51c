/* SPDX-License-Identifier: Apache-2.0 */
#include "build/remote/remote.h"

#include <poll.h>
#include <string.h>

#include "build/remote/remote_parts.h"

#define ASK_AGAIN_MS 50

struct cob_remote_source *cob_remote_source_new(struct cob_store *store)
{
    struct cob_remote_source *source = g_new0(struct cob_remote_source, 1);

    source->store = store;
    g_mutex_init(&source->lock);
    return source;
}

void cob_remote_source_free(struct cob_remote_source *source)
{
    if (!source)
        return;
    cob_http_close(source->http);
    g_mutex_clear(&source->lock);
    g_free(source);
}

static struct cob_error *take_id(void *arg, const struct cob_db_row *row)
{
    *(char **)arg = g_strdup(cob_db_row_text(row, 0));
    return NULL;
}

struct cob_error *remote_find_snapshot(
    struct cob_remote_source *source, const char *key, struct cob_snapshot **ret_snapshot)
{
    g_autofree char *id = NULL;

    *ret_snapshot = NULL;
    COB_TRY(cob_db_run(cob_store_db(source->store), take_id, &id,
        "SELECT snapshot FROM remotes WHERE key = ?1", COB_DB_T(key)));
    return id ? cob_snapshot_get(source->store, id, ret_snapshot) : NULL;
}

struct cob_error *remote_commit(struct cob_remote_source *source, const char *key,
    const char *description, struct cob_snapshot_draft *draft, struct cob_snapshot **ret_snapshot)
{
    const struct cob_snapshot_facts facts = {.description = description};
    g_autoptr(cob_snapshot) snapshot = NULL;

    COB_TRY(cob_snapshot_commit(draft, &facts, &snapshot));
    COB_TRY(cob_db_run(cob_store_db(source->store), NULL, NULL,
        "INSERT OR REPLACE INTO remotes(key, snapshot, used_us) VALUES(?1, ?2, ?3)", COB_DB_T(key),
        COB_DB_T(cob_snapshot_id(snapshot)), COB_DB_I(g_get_real_time())));
    *ret_snapshot = g_steal_pointer(&snapshot);
    return NULL;
}

struct cob_error *remote_lock(struct cob_remote_source *source, const char *key,
    struct cob_cancel *cancel, struct cob_store_lock **ret_lock)
{
    struct pollfd wish = {.fd = cob_cancel_fd(cancel), .events = POLLIN};

    for (;;) {
        COB_TRY(cob_cancel_check(cancel));
        COB_TRY(cob_store_try_lock(source->store, key, ret_lock));
        if (*ret_lock)
            return NULL;
        poll(&wish, 1, ASK_AGAIN_MS);
    }
}

/* What a header can hold: a secret's file often ends with a newline. */
static struct cob_error *read_line(GBytes *secret, const char *id, char **ret_text)
{
    gsize len = 0;
    const char *data = g_bytes_get_data(secret, &len);
    g_autofree char *text = g_strndup(data ? data : "", len);

    g_strstrip(text);
    for (const char *c = text; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return cob_fail(COB_INVALID, "secret %s has more than one line", id);
    }
    if (strlen(text) != 0)
        *ret_text = g_steal_pointer(&text);
    return NULL;
}

struct cob_error *remote_secret(const struct cob_remote_client *client, const char *name,
    const char *separator, const char *host, char **ret_text)
{
    g_autoptr(GBytes) secret = NULL;

    *ret_text = NULL;
    if (!name || !client->get_secret)
        return NULL;
    g_autofree char *id = g_strconcat(name, host ? separator : NULL, host, NULL);
    COB_TRY(client->get_secret(client->arg, id, &secret));
    return secret ? read_line(secret, id, ret_text) : NULL;
}
