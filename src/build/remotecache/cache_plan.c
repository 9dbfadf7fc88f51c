/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "build/remotecache/remotecache_private.h"

static void step_free(void *data)
{
    struct plan_step *step = data;

    for (size_t i = 0; i < step->n_inputs; i++)
        g_ptr_array_unref(step->inputs[i].roots);
    g_free(step->inputs);
    g_free(step->digest);
    g_free(step->created);
    cob_snapshot_unref(step->snapshot);
    g_free(step);
}

struct cob_remotecache_plan *cob_remotecache_plan_new(
    struct cob_store *store, struct cob_remotecache *cache)
{
    struct cob_remotecache_plan *plan = g_new(struct cob_remotecache_plan, 1);

    *plan = (struct cob_remotecache_plan){
        .store = store, .cache = cache, .steps = g_ptr_array_new_with_free_func(step_free)};
    return plan;
}

void cob_remotecache_plan_free(struct cob_remotecache_plan *plan)
{
    if (!plan)
        return;
    g_ptr_array_unref(plan->steps);
    g_free(plan);
}

/* The files of an input as an imported record of the step has them: a step that was found by its
 * definition alone was never asked for them here. */
static void add_imported_roots(
    const struct cob_remotecache_plan *plan, const GArray *records, size_t input, GPtrArray *roots)
{
    for (guint i = 0; plan->cache && records && i < records->len; i++) {
        guint number = 0;
        const struct cache_source *source =
            cache_source_of(plan->cache, g_array_index(records, guint, i), &number);

        if (!source)
            continue;
        const struct cob_cacheconfig_record *record =
            g_ptr_array_index(source->config->records, number);
        const GArray *links = g_ptr_array_index(record->inputs, input);
        for (guint j = 0; j < links->len; j++) {
            const struct cob_cacheconfig_link *link =
                &g_array_index(links, struct cob_cacheconfig_link, j);
            const struct cob_cacheconfig_record *root =
                g_ptr_array_index(source->config->records, link->record);

            if (root->inputs->len == 0 && !*link->selector)
                g_ptr_array_add(roots, g_strdup(root->digest));
        }
    }
}

char *plan_time_text(int64_t time_us)
{
    g_autoptr(GDateTime) seconds = g_date_time_new_from_unix_utc(time_us / 1000000);
    g_autoptr(GDateTime) time = g_date_time_add(seconds, time_us % 1000000);

    return g_date_time_format(
        time, time_us % 1000000 ? "%Y-%m-%dT%H:%M:%S.%fZ" : "%Y-%m-%dT%H:%M:%SZ");
}

/* When a step's result was made. The caller frees it; NULL: not known, which harms nobody. */
static char *created_of(const struct plan_step *step)
{
    struct cob_snapshot_archive archive;
    char *created = NULL;

    if (!step->snapshot)
        return step->chain ? g_strdup(step->chain->created) : NULL;
    struct cob_error *err = cob_snapshot_archive(step->snapshot, &archive);
    if (!err) {
        created = plan_time_text(archive.created_us);
        cob_snapshot_archive_done(&archive);
    }
    cob_error_free(err);
    return created;
}

static bool is_record(const struct cob_remotecache_plan *plan, int step)
{
    return step >= 0 && ((struct plan_step *)g_ptr_array_index(plan->steps, step))->digest;
}

int cob_remotecache_plan_add(
    struct cob_remotecache_plan *plan, const struct cob_remotecache_step *step)
{
    struct plan_step *added = g_new(struct plan_step, 1);
    bool has_all = step->op != NULL;

    *added = (struct plan_step){.inputs = g_new0(struct plan_input, step->n_inputs + 1),
        .n_inputs = step->n_inputs,
        .snapshot = step->snapshot ? cob_snapshot_ref(step->snapshot) : NULL,
        .chain = step->chain};
    for (size_t i = 0; i < step->n_inputs; i++) {
        const struct cob_remotecache_input *input = &step->inputs[i];
        struct plan_input *mine = &added->inputs[i];

        *mine = (struct plan_input){.step = is_record(plan, input->step) ? input->step : -1,
            .roots = g_ptr_array_new_with_free_func(g_free)};
        if (input->content)
            g_ptr_array_add(
                mine->roots, cob_cacheconfig_record_digest(input->content, COB_CACHECONFIG_FILES));
        else
            add_imported_roots(plan, step->records, i, mine->roots);
        has_all = has_all && (mine->step >= 0 || mine->roots->len > 0);
    }
    added->created = created_of(added);
    if (has_all)
        added->digest = cob_cacheconfig_record_digest(step->op, 0);
    g_ptr_array_add(plan->steps, added);
    return (int)plan->steps->len - 1;
}

void cob_remotecache_plan_mark(struct cob_remotecache_plan *plan, int step)
{
    ((struct plan_step *)g_ptr_array_index(plan->steps, step))->is_result = true;
}

/* --- as records --- */

/* The steps that one stands on, itself among them; NULL: all. The caller frees it. */
static bool *reach(const struct cob_remotecache_plan *plan, int last)
{
    bool *reached = g_new0(bool, plan->steps->len + 1);

    for (int i = (int)plan->steps->len; i-- > 0;) {
        const struct plan_step *step = g_ptr_array_index(plan->steps, i);

        reached[i] |= last < 0 || i == last;
        for (size_t j = 0; reached[i] && j < step->n_inputs; j++)
            if (step->inputs[j].step >= 0)
                reached[step->inputs[j].step] = true;
    }
    return reached;
}

/* The record of a step or of files without inputs: one, however often it is named. */
static int root_record(struct cob_cacheconfig *config, GHashTable *roots, const char *digest)
{
    void *number = NULL;

    if (g_hash_table_lookup_extended(roots, digest, NULL, &number))
        return GPOINTER_TO_INT(number);
    int added = cob_cacheconfig_add_record(config, digest, 0);
    g_hash_table_insert(roots, g_strdup(digest), GINT_TO_POINTER(added));
    return added;
}

static void add_links(const struct plan_step *step, int record, const int *numbers,
    struct cob_cacheconfig *config, GHashTable *roots)
{
    for (unsigned i = 0; i < step->n_inputs; i++) {
        const struct plan_input *input = &step->inputs[i];

        if (input->step >= 0)
            cob_cacheconfig_add_link(config, record, i, "", numbers[input->step]);
        for (guint j = 0; j < input->roots->len; j++)
            cob_cacheconfig_add_link(config, record, i, "",
                root_record(config, roots, g_ptr_array_index(input->roots, j)));
    }
}

void plan_add_records(const struct cob_remotecache_plan *plan, int last,
    struct cob_cacheconfig *config, plan_layer_fn layer, void *arg)
{
    g_autofree bool *reached = reach(plan, last);
    g_autofree int *numbers = g_new0(int, plan->steps->len + 1);
    g_autoptr(GHashTable) roots = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < plan->steps->len; i++) {
        const struct plan_step *step = g_ptr_array_index(plan->steps, i);

        if (!step->digest || !reached[i])
            continue;
        numbers[i] = step->n_inputs == 0 ? root_record(config, roots, step->digest)
                                         : cob_cacheconfig_add_record(
                                               config, step->digest, (unsigned)step->n_inputs);
        add_links(step, numbers[i], numbers, config, roots);
        int top = layer(arg, step);
        if (top >= 0)
            cob_cacheconfig_add_result(config, numbers[i], top, step->created);
    }
}

/* --- inline --- */

/* What the layers of an image are, by the snapshots that they are here. */
struct image_layers {
    GHashTable *depths; /* id of a snapshot -> its depth, borrowed */
};

static int layer_in_image(void *arg, const struct plan_step *step)
{
    const struct image_layers *image = arg;
    const char *id = step->snapshot ? cob_snapshot_id(step->snapshot) : NULL;

    return id ? GPOINTER_TO_INT(g_hash_table_lookup(image->depths, id)) - 1 : -1;
}

static bool has_result(const struct cob_cacheconfig *config)
{
    for (guint i = 0; i < config->records->len; i++)
        if (((struct cob_cacheconfig_record *)g_ptr_array_index(config->records, i))->results->len)
            return true;
    return false;
}

GBytes *cob_remotecache_inline(const struct cob_remotecache_plan *plan, int step)
{
    const struct plan_step *last = g_ptr_array_index(plan->steps, step);
    g_autoptr(GHashTable) depths = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(cob_cacheconfig) config = cob_cacheconfig_new();
    struct image_layers image = {.depths = depths};

    for (struct cob_snapshot *at = last->snapshot; at; at = cob_snapshot_parent(at))
        g_hash_table_insert(depths, (void *)(uintptr_t)cob_snapshot_id(at),
            GINT_TO_POINTER((int)cob_snapshot_depth(at)));
    for (guint i = 0; i < g_hash_table_size(depths); i++) { /* so that numbers hold when sorted */
        g_autofree char *place = g_strdup_printf("%08u", i);

        cob_cacheconfig_add_layer(config, place, -1);
    }
    plan_add_records(plan, step, config, layer_in_image, &image);
    if (!has_result(config))
        return NULL;
    cob_cacheconfig_sort(config);
    return cob_cacheconfig_inline_bytes(config);
}
