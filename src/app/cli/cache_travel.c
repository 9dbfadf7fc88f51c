/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/cache_travel.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "app/cli/rowformat.h"
#include "util/text.h"

static void print_note(void *arg, const char *text)
{
    g_autofree char *visible = cob_text_visible(text);

    (void)arg;
    fprintf(stderr, "WARNING: %s\n", visible);
}

/* --- what was done --- */

/* Numbers as the texts of fields: scripts compare them, people have the lines. */
struct texts {
    char *items[10];
    unsigned n;
};

static const char *number(struct texts *texts, uint64_t value)
{
    g_assert(texts->n < G_N_ELEMENTS(texts->items));
    texts->items[texts->n] = g_strdup_printf("%" PRIu64, value);
    return texts->items[texts->n++];
}

static struct cob_error *append_row(GString *out, const char *format,
    const struct cob_mountcache_row *row, const struct cob_mountcache_result *result)
{
    struct texts texts = {0};
    const struct rowformat_field fields[] = {
        {"ID", row->id},
        {"Namespace", row->namespace},
        {"Files", number(&texts, row->n_files)},
        {"Bytes", number(&texts, row->n_bytes)},
        {"ReadFiles", number(&texts, row->n_read)},
        {"PlacedFiles", number(&texts, row->n_placed)},
        {"KeptFiles", number(&texts, row->n_kept)},
        {"LeftOutFiles", number(&texts, row->n_left_out)},
        {"Packs", number(&texts, result->n_packs)},
        {"NewPacks", number(&texts, result->n_new_packs)},
        {"FetchedPacks", number(&texts, result->n_fetched_packs)},
        {"MovedBytes", number(&texts, result->moved_bytes)},
        {0},
    };
    struct cob_error *err = rowformat_append(out, format, fields);

    for (unsigned i = 0; i < texts.n; i++)
        g_free(texts.items[i]);
    return err;
}

static void append_sum(
    GString *out, const struct cob_mountcache_result *result, enum cob_cachebackend_way way)
{
    g_autofree char *size = cob_text_size(result->moved_bytes);

    if (way == COB_CACHEBACKEND_IMPORT)
        g_string_append_printf(
            out, "Fetched: %" PRIu64 " packs, %s\n", result->n_fetched_packs, size);
    else
        g_string_append_printf(out, "Sent: %" PRIu64 " new of %" PRIu64 " packs, %s\n",
            result->n_new_packs, result->n_packs, size);
}

static struct cob_error *print_result(const struct cli_call *call,
    const struct cache_travel *travel, const struct cob_mountcache_result *result)
{
    const char *format = cli_call_text(call, "format");
    g_autoptr(GString) out = g_string_new(NULL);

    for (guint i = 0; i < result->rows->len; i++) {
        const struct cob_mountcache_row *row = result->rows->pdata[i];

        if (format) {
            COB_TRY(append_row(out, format, row, result));
            continue;
        }
        g_autofree char *text = cob_mountcache_row_text(row, travel->way);
        g_string_append_printf(out, "%s\n", text);
    }
    if (!format)
        append_sum(out, result, travel->way);
    return cli_print(out);
}

/* --- what is asked for --- */

/* An import takes all that is there when nothing is named. */
static struct cob_error *choose_ids(const struct cli_call *call, const struct cache_travel *travel,
    struct cob_mountcache_request *request)
{
    const bool has_ids = call->args->len > 0 && cli_call_arg(call, 0);

    if (cli_call_flag(call, "all") && has_ids)
        return cob_fail(COB_INVALID, "either ids or --all");
    if (!cli_call_flag(call, "all") && !has_ids && travel->way == COB_CACHEBACKEND_EXPORT)
        return cob_fail(COB_INVALID, "which cache mounts? Name them, or add --all");
    request->ids = has_ids ? (const char *const *)call->args->pdata : NULL;
    return NULL;
}

struct cob_error *cache_travel_run(struct cli_call *call, const struct cache_travel *travel)
{
    const char *place = cli_call_text(call, travel->place);
    g_autoptr(cob_engine) engine = NULL;
    g_autoptr(cob_cachebackend_options) options = NULL;
    g_autoptr(cob_cachebackend) backend = NULL;
    g_autoptr(cob_mountcache_result) result = NULL;
    struct cob_mountcache_request request = {.namespace = cli_call_text(call, "namespace"),
        .on_note = print_note,
        .cancel = call->cancel};

    COB_TRY(choose_ids(call, travel, &request));
    if (!place)
        return cob_fail(COB_INVALID, "where? Add --%s type=local|registry|s3,...", travel->place);
    COB_TRY(cob_wrap(
        cob_cachebackend_options_parse(place, travel->way, &options), "--%s", travel->place));
    if (options->type == COB_CACHEBACKEND_INLINE)
        return cob_fail(COB_INVALID, "--%s: cache mounts cannot be inline", travel->place);
    COB_TRY(cli_engine_open(&engine));
    COB_TRY(cob_cachebackend_open(options, cob_engine_registry(engine), call->cancel, &backend));
    request.store = cob_engine_store(engine);
    request.backend = backend;
    request.is_replacing = travel->way == COB_CACHEBACKEND_EXPORT && cli_call_flag(call, "replace");
    COB_TRY(travel->go(&request, &result));
    return print_result(call, travel, result);
}
