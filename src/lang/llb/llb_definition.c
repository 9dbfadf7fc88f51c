/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lang/llb/llb_private.h"
#include "util/limits.h"

void cob_llb_definition_free(struct cob_llb_definition *definition)
{
    if (!definition)
        return;
    g_ptr_array_unref(definition->ops);
    g_ptr_array_unref(definition->files);
    g_free(definition);
}

static void *budget_alloc(void *data, size_t size)
{
    struct llb_budget *budget = data;

    if (size + 16 > budget->left_bytes) /* what each allocation costs besides */
        return NULL;
    budget->left_bytes -= size + 16;
    return g_try_malloc(size);
}

static void budget_free(void *data, void *memory)
{
    (void)data;
    g_free(memory);
}

/* A message of two bytes can ask for a struct of a hundred: what all of them may take is bounded by
 * what an honest message of that length needs. */
void llb_budget_init(struct llb_budget *budget, size_t message_bytes)
{
    *budget = (struct llb_budget){
        .allocator = {.alloc = budget_alloc, .free = budget_free, .allocator_data = budget},
        .left_bytes = 8 * COB_MIB + 16 * message_bytes,
    };
}

struct cob_error *llb_op_decode(GBytes *bytes, Pb__Op **ret_op)
{
    size_t len = 0;
    const uint8_t *data = g_bytes_get_data(bytes, &len);
    static const uint8_t nothing;
    struct llb_budget budget;

    if (len > COB_LIMIT_LLB_OP_BYTES)
        return cob_fail(COB_EXHAUSTED, "it has %zu bytes, more than %" PRIu64, len,
            (uint64_t)COB_LIMIT_LLB_OP_BYTES);
    llb_budget_init(&budget, len);
    Pb__Op *op = pb__op__unpack(&budget.allocator, len, data ? data : &nothing);
    if (!op)
        return cob_fail(COB_INVALID, "its bytes are not an op");
    if (pb__op__get_packed_size(op) != len) {
        pb__op__free_unpacked(op, NULL);
        return cob_fail(
            COB_INVALID, "its bytes hold a NUL in a text, a field twice, or an overlong number");
    }
    *ret_op = op;
    return NULL;
}

/* ---- writing ---- */

/* Places of one file, in a run of an op's places; moves *at behind them. */
static Pb__Location *new_location(const struct cob_llb_op *op, unsigned *at)
{
    int file = g_array_index(op->places, struct cob_llb_place, *at).file;
    Pb__Location *location = g_new(Pb__Location, 1);

    pb__location__init(location);
    location->sourceindex = file;
    location->ranges = g_new(Pb__Range *, op->places->len);
    for (; *at < op->places->len; (*at)++) {
        const struct cob_llb_place *place = &g_array_index(op->places, struct cob_llb_place, *at);
        Pb__Range *range = NULL;

        if (place->file != file)
            break;
        range = g_new(Pb__Range, 1);
        pb__range__init(range);
        range->start = g_new(Pb__Position, 1);
        pb__position__init(range->start);
        range->start->line = place->range.first_line;
        range->end = g_new(Pb__Position, 1);
        pb__position__init(range->end);
        range->end->line = place->range.last_line;
        location->ranges[location->n_ranges++] = range;
    }
    return location;
}

static Pb__LocationsEntry *new_locations(const struct cob_llb_op *op)
{
    Pb__LocationsEntry *entry = g_new(Pb__LocationsEntry, 1);

    pb__locations_entry__init(entry);
    entry->key = g_strdup(op->digest);
    entry->value = g_new(Pb__Locations, 1);
    pb__locations__init(entry->value);
    entry->value->locations = g_new(Pb__Location *, op->places->len);
    for (unsigned at = 0; at < op->places->len;)
        entry->value->locations[entry->value->n_locations++] = new_location(op, &at);
    return entry;
}

static Pb__TextEntry *new_name(const char *name)
{
    Pb__TextEntry *entry = g_new(Pb__TextEntry, 1);

    pb__text_entry__init(entry);
    entry->key = g_strdup("llb.customname");
    entry->value = g_strdup(name);
    return entry;
}

static Pb__OpMetadataEntry *new_metadata(const struct cob_llb_op *op)
{
    Pb__OpMetadataEntry *entry = g_new(Pb__OpMetadataEntry, 1);
    Pb__OpMetadata *metadata = g_new(Pb__OpMetadata, 1);

    pb__op_metadata_entry__init(entry);
    pb__op_metadata__init(metadata);
    entry->key = g_strdup(op->digest);
    entry->value = metadata;
    metadata->ignore_cache = op->is_ignoring_cache;
    if (op->name) {
        metadata->n_description = 1;
        metadata->description = g_new(Pb__TextEntry *, 1);
        metadata->description[0] = new_name(op->name);
    }
    if (op->group_id) {
        metadata->progress_group = g_new(Pb__ProgressGroup, 1);
        pb__progress_group__init(metadata->progress_group);
        llb_set_text(&metadata->progress_group->id, op->group_id);
        llb_set_text(&metadata->progress_group->name, op->group_name);
        metadata->progress_group->weak = op->is_weak_group;
    }
    return entry;
}

static int by_digest(const void *a, const void *b)
{
    const struct cob_llb_op *const *one = a, *const *other = b;

    return strcmp((*one)->digest, (*other)->digest);
}

static Pb__SourceInfo *new_file(const struct cob_srcfile *file)
{
    Pb__SourceInfo *info = g_new(Pb__SourceInfo, 1);

    pb__source_info__init(info);
    llb_set_text(&info->filename, file->name);
    info->data.len = g_bytes_get_size(file->data);
    if (info->data.len > 0)
        info->data.data = g_memdup2(g_bytes_get_data(file->data, NULL), info->data.len);
    return info;
}

/* sorted: the ops by digest, since maps are written sorted by key. */
static Pb__Source *new_source(const struct cob_llb_definition *definition, GPtrArray *sorted)
{
    Pb__Source *source = g_new(Pb__Source, 1);

    pb__source__init(source);
    source->infos = g_new(Pb__SourceInfo *, definition->files->len + 1);
    for (unsigned i = 0; i < definition->files->len; i++)
        source->infos[source->n_infos++] = new_file(g_ptr_array_index(definition->files, i));
    source->locations = g_new(Pb__LocationsEntry *, sorted->len + 1);
    for (unsigned i = 0; i < sorted->len; i++) {
        const struct cob_llb_op *op = g_ptr_array_index(sorted, i);

        if (op->places->len > 0)
            source->locations[source->n_locations++] = new_locations(op);
    }
    return source;
}

static bool has_metadata(const struct cob_llb_op *op)
{
    return op->name || op->group_id || op->is_ignoring_cache;
}

GBytes *cob_llb_definition_bytes(const struct cob_llb_definition *definition)
{
    Pb__Definition *message = g_new(Pb__Definition, 1);
    unsigned n = definition->ops->len;
    g_autoptr(GPtrArray) sorted = g_ptr_array_copy(definition->ops, NULL, NULL);

    g_ptr_array_set_free_func(sorted, NULL);
    pb__definition__init(message);
    message->def = g_new0(ProtobufCBinaryData, n + 1);
    message->n_def = n;
    for (unsigned i = 0; i < n; i++) {
        const struct cob_llb_op *op = g_ptr_array_index(definition->ops, i);
        size_t len = g_bytes_get_size(op->bytes);

        message->def[i].len = len;
        message->def[i].data = len ? g_memdup2(g_bytes_get_data(op->bytes, NULL), len) : NULL;
    }
    g_ptr_array_sort(sorted, by_digest);
    message->metadata = g_new(Pb__OpMetadataEntry *, n + 1);
    for (unsigned i = 0; i < n; i++)
        if (has_metadata(g_ptr_array_index(sorted, i)))
            message->metadata[message->n_metadata++] = new_metadata(g_ptr_array_index(sorted, i));
    if (definition->files->len > 0)
        message->source = new_source(definition, sorted);
    size_t len = pb__definition__get_packed_size(message);
    uint8_t *data = g_malloc(len + 1);
    pb__definition__pack(message, data);
    pb__definition__free_unpacked(message, NULL);
    return g_bytes_new_take(data, len);
}

/* ---- reading ---- */

static void take_metadata(struct cob_llb_op *op, const Pb__OpMetadata *metadata)
{
    op->is_ignoring_cache = metadata->ignore_cache;
    for (size_t i = 0; i < metadata->n_description; i++) {
        const Pb__TextEntry *entry = metadata->description[i];

        if (g_strcmp0(entry->key, "llb.customname") != 0)
            continue;
        g_free(op->name);
        op->name = g_strdup(entry->value ? entry->value : "");
    }
    if (!metadata->progress_group || op->group_id)
        return;
    op->group_id = g_strdup(metadata->progress_group->id);
    op->group_name = g_strdup(metadata->progress_group->name);
    op->is_weak_group = metadata->progress_group->weak;
}

static struct cob_error *take_locations(
    struct cob_llb_op *op, const Pb__Locations *locations, unsigned n_files)
{
    for (size_t i = 0; i < locations->n_locations; i++) {
        const Pb__Location *location = locations->locations[i];

        if (location->sourceindex < 0 || (unsigned)location->sourceindex >= n_files)
            return cob_fail(COB_INVALID, "%s comes from source file %d of %u", op->digest,
                location->sourceindex, n_files);
        for (size_t k = 0; k < location->n_ranges; k++) {
            const Pb__Range *range = location->ranges[k];
            struct cob_llb_place place = {.file = location->sourceindex};

            if (!range->start || range->start->line < 1)
                continue;
            place.range.first_line = range->start->line;
            place.range.last_line =
                MAX(range->start->line, range->end ? range->end->line : range->start->line);
            g_array_append_val(op->places, place);
        }
    }
    return NULL;
}

static struct cob_error *take_source(
    struct cob_llb_definition *definition, GHashTable *ops, const Pb__Source *source)
{
    for (size_t i = 0; i < source->n_infos; i++) {
        const Pb__SourceInfo *info = source->infos[i];
        g_autoptr(GBytes) data = g_bytes_new(info->data.data, info->data.len);

        g_ptr_array_add(definition->files, cob_srcfile_new(info->filename, data));
    }
    for (size_t i = 0; i < source->n_locations; i++) {
        const Pb__LocationsEntry *entry = source->locations[i];
        struct cob_llb_op *op = g_hash_table_lookup(ops, entry->key);

        if (op && entry->value)
            COB_TRY(take_locations(op, entry->value, definition->files->len));
    }
    return NULL;
}

static struct cob_error *take_definition(
    struct cob_llb_definition *definition, const Pb__Definition *message)
{
    g_autoptr(GHashTable) ops = g_hash_table_new(g_str_hash, g_str_equal);

    if (message->n_def > COB_LIMIT_LLB_OPS)
        return cob_fail(
            COB_EXHAUSTED, "it has %zu ops, more than %d", message->n_def, COB_LIMIT_LLB_OPS);
    for (size_t i = 0; i < message->n_def; i++) {
        struct cob_llb_op *op = llb_op_new(g_bytes_new(message->def[i].data, message->def[i].len));

        g_ptr_array_add(definition->ops, op);
        if (!g_hash_table_contains(ops, op->digest))
            g_hash_table_insert(ops, op->digest, op);
    }
    for (size_t i = 0; i < message->n_metadata; i++) {
        const Pb__OpMetadataEntry *entry = message->metadata[i];
        struct cob_llb_op *op = g_hash_table_lookup(ops, entry->key);

        if (op && entry->value)
            take_metadata(op, entry->value);
    }
    return message->source ? take_source(definition, ops, message->source) : NULL;
}

struct cob_error *cob_llb_definition_parse(
    GBytes *bytes, struct cob_llb_definition **ret_definition)
{
    g_autoptr(cob_llb_definition) definition = g_new(struct cob_llb_definition, 1);
    size_t len = 0;
    const uint8_t *data = g_bytes_get_data(bytes, &len);
    static const uint8_t nothing;
    struct llb_budget budget;

    *definition = (struct cob_llb_definition){
        .ops = g_ptr_array_new_with_free_func((GDestroyNotify)llb_op_free),
        .files = g_ptr_array_new_with_free_func((GDestroyNotify)cob_srcfile_unref),
    };
    llb_budget_init(&budget, len);
    Pb__Definition *message =
        pb__definition__unpack(&budget.allocator, len, data ? data : &nothing);
    if (!message)
        return cob_fail(COB_INVALID, "parse LLB definition: the bytes are not one");
    struct cob_error *err = take_definition(definition, message);
    pb__definition__free_unpacked(message, NULL);
    if (!err)
        *ret_definition = g_steal_pointer(&definition);
    return cob_wrap(err, "parse LLB definition");
}
