/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/llb/llb_private.h"
#include "util/digest.h"

static void built_free(void *data)
{
    struct llb_built *built = data;

    llb_op_free(built->op);
    g_array_unref(built->inputs);
    g_free(built);
}

static void file_free(void *data)
{
    cob_srcfile_unref(data);
}

static const char *this_architecture(void)
{
#if defined(__x86_64__)
    return "amd64";
#elif defined(__aarch64__)
    return "arm64";
#elif defined(__arm__)
    return "arm";
#elif defined(__i386__)
    return "386";
#elif defined(__riscv)
    return "riscv64";
#elif defined(__powerpc64__)
    return "ppc64le";
#else
    return "s390x";
#endif
}

struct cob_llb_builder *cob_llb_builder_new(const struct cob_llb_platform *platform)
{
    const struct cob_llb_platform here = {.os = "linux", .architecture = this_architecture()};
    struct cob_llb_builder *builder = g_new(struct cob_llb_builder, 1);

    if (!platform)
        platform = &here;
    *builder = (struct cob_llb_builder){
        .os = g_strdup(platform->os),
        .architecture = g_strdup(platform->architecture),
        .variant = g_strdup(platform->variant),
        .os_version = g_strdup(platform->os_version),
        .built = g_ptr_array_new_with_free_func(built_free),
        .by_digest = g_hash_table_new(g_str_hash, g_str_equal),
        .files = g_ptr_array_new_with_free_func(file_free),
    };
    return builder;
}

void cob_llb_builder_free(struct cob_llb_builder *builder)
{
    if (!builder)
        return;
    g_hash_table_unref(builder->by_digest);
    g_ptr_array_unref(builder->built);
    g_ptr_array_unref(builder->files);
    g_free(builder->os);
    g_free(builder->architecture);
    g_free(builder->variant);
    g_free(builder->os_version);
    g_free(builder);
}

struct cob_llb_op *llb_op_new(GBytes *bytes)
{
    struct cob_llb_op *op = g_new(struct cob_llb_op, 1);
    size_t len = 0;
    const void *data = g_bytes_get_data(bytes, &len);

    *op = (struct cob_llb_op){
        .digest = cob_digest_of(data, len),
        .bytes = bytes,
        .places = g_array_new(false, false, sizeof(struct cob_llb_place)),
    };
    return op;
}

struct cob_llb_op *llb_op_copy(const struct cob_llb_op *op)
{
    struct cob_llb_op *copy = g_new(struct cob_llb_op, 1);

    *copy = (struct cob_llb_op){
        .digest = g_strdup(op->digest),
        .bytes = g_bytes_ref(op->bytes),
        .name = g_strdup(op->name),
        .is_ignoring_cache = op->is_ignoring_cache,
        .group_id = g_strdup(op->group_id),
        .group_name = g_strdup(op->group_name),
        .is_weak_group = op->is_weak_group,
        .places = g_array_copy(op->places),
    };
    return copy;
}

void llb_op_free(struct cob_llb_op *op)
{
    if (!op)
        return;
    g_free(op->digest);
    g_bytes_unref(op->bytes);
    g_free(op->name);
    g_free(op->group_id);
    g_free(op->group_name);
    g_array_unref(op->places);
    g_free(op);
}

void llb_set_text(char **field, const char *text)
{
    if (text && *text)
        *field = g_strdup(text);
}

void llb_set_list(char ***field, size_t *n_field, const char *const *list)
{
    size_t n = 0;

    while (list && list[n])
        n++;
    if (n == 0)
        return;
    *field = g_new(char *, n);
    *n_field = n;
    for (size_t i = 0; i < n; i++)
        (*field)[i] = g_strdup(list[i]);
}

struct llb_draft llb_draft_begin(struct cob_llb_builder *builder)
{
    Pb__Op *op = g_new(Pb__Op, 1);

    pb__op__init(op);
    op->constraints = g_new(Pb__WorkerConstraints, 1); /* empty, and there: as BuildKit's client */
    pb__worker_constraints__init(op->constraints);
    return (struct llb_draft){
        .builder = builder,
        .op = op,
        .inputs = g_array_new(false, false, sizeof(struct cob_llb_ref)),
    };
}

int64_t llb_draft_new_input(struct llb_draft *draft, struct cob_llb_ref ref)
{
    g_assert(ref.vertex >= 0 && (unsigned)ref.vertex < draft->builder->built->len);
    g_array_append_val(draft->inputs, ref);
    return draft->inputs->len - 1;
}

int64_t llb_draft_input(struct llb_draft *draft, struct cob_llb_ref ref)
{
    if (ref.vertex < 0)
        return -1;
    for (unsigned i = 0; i < draft->inputs->len; i++) {
        const struct cob_llb_ref *other = &g_array_index(draft->inputs, struct cob_llb_ref, i);

        if (other->vertex == ref.vertex && other->output == ref.output)
            return i;
    }
    return llb_draft_new_input(draft, ref);
}

void llb_draft_set_platform(struct llb_draft *draft, const struct cob_llb_platform *platform)
{
    const struct cob_llb_builder *builder = draft->builder;
    Pb__Platform *message = g_new(Pb__Platform, 1);

    pb__platform__init(message);
    llb_set_text(&message->os, platform ? platform->os : builder->os);
    llb_set_text(&message->architecture, platform ? platform->architecture : builder->architecture);
    llb_set_text(&message->variant, platform ? platform->variant : builder->variant);
    llb_set_text(&message->osversion, platform ? platform->os_version : builder->os_version);
    draft->op->platform = message;
}

static void set_inputs(
    Pb__Op *op, const struct cob_llb_builder *builder, const struct cob_llb_ref *refs, size_t n)
{
    if (n == 0)
        return;
    op->inputs = g_new(Pb__Input *, n);
    op->n_inputs = n;
    for (size_t i = 0; i < n; i++) {
        const struct llb_built *built = g_ptr_array_index(builder->built, refs[i].vertex);

        op->inputs[i] = g_new(Pb__Input, 1);
        pb__input__init(op->inputs[i]);
        op->inputs[i]->digest = g_strdup(built->op->digest);
        op->inputs[i]->index = refs[i].output;
    }
}

/* The bytes of an op, which is freed. */
static GBytes *pack(Pb__Op *op)
{
    size_t len = pb__op__get_packed_size(op);
    uint8_t *data = g_malloc(len);

    pb__op__pack(op, data);
    pb__op__free_unpacked(op, NULL);
    return g_bytes_new_take(data, len);
}

static int file_index(struct cob_llb_builder *builder, struct cob_srcfile *file)
{
    unsigned index = 0;

    if (!g_ptr_array_find(builder->files, file, &index)) {
        index = builder->files->len;
        g_ptr_array_add(builder->files, cob_srcfile_ref(file));
    }
    return (int)index;
}

/* Add what is known about an op to what was known about an equal one: the last name counts. */
static void add_about(
    struct cob_llb_builder *builder, struct cob_llb_op *op, const struct cob_llb_about *about)
{
    if (!about)
        return;
    op->is_ignoring_cache |= about->is_ignoring_cache;
    if (about->name) {
        g_free(op->name);
        op->name = g_strdup(about->name);
    }
    if (about->group_id) {
        g_free(op->group_id);
        g_free(op->group_name);
        op->group_id = g_strdup(about->group_id);
        op->group_name = g_strdup(about->group_name);
        op->is_weak_group = about->is_weak_group;
    }
    for (size_t i = 0; about->file && i < about->n_ranges; i++) {
        struct cob_llb_place place = {file_index(builder, about->file), about->ranges[i]};

        g_array_append_val(op->places, place);
    }
}

int llb_draft_end(struct llb_draft *draft, const struct cob_llb_about *about)
{
    struct cob_llb_builder *builder = draft->builder;
    g_autoptr(GArray) inputs = g_steal_pointer(&draft->inputs);

    set_inputs(draft->op, builder, (void *)inputs->data, inputs->len);
    struct cob_llb_op *op = llb_op_new(pack(g_steal_pointer(&draft->op)));
    int number = GPOINTER_TO_INT(g_hash_table_lookup(builder->by_digest, op->digest)) - 1;
    if (number >= 0) {
        const struct llb_built *built = g_ptr_array_index(builder->built, number);

        llb_op_free(op);
        add_about(builder, built->op, about);
        return number;
    }
    struct llb_built *built = g_new(struct llb_built, 1);
    *built = (struct llb_built){.op = op, .inputs = g_steal_pointer(&inputs)};
    number = (int)builder->built->len;
    g_ptr_array_add(builder->built, built);
    g_hash_table_insert(builder->by_digest, op->digest, GINT_TO_POINTER(number + 1));
    add_about(builder, op, about);
    return number;
}

/* Which vertices does the result need? A bool each; the caller frees it. */
static bool *find_needed(const struct cob_llb_builder *builder, struct cob_llb_ref result)
{
    bool *is_needed = g_new0(bool, builder->built->len);

    is_needed[result.vertex] = true;
    for (int i = result.vertex; i >= 0; i--) { /* inputs come before users */
        const struct llb_built *built = g_ptr_array_index(builder->built, i);

        for (unsigned k = 0; is_needed[i] && k < built->inputs->len; k++)
            is_needed[g_array_index(built->inputs, struct cob_llb_ref, k).vertex] = true;
    }
    return is_needed;
}

struct cob_llb_definition *cob_llb_builder_finish(
    struct cob_llb_builder *builder, struct cob_llb_ref result)
{
    struct cob_llb_definition *definition = g_new(struct cob_llb_definition, 1);

    *definition = (struct cob_llb_definition){
        .ops = g_ptr_array_new_with_free_func((GDestroyNotify)llb_op_free),
        .files = g_ptr_array_new_with_free_func(file_free),
    };
    if (result.vertex < 0)
        return definition;
    g_assert((unsigned)result.vertex < builder->built->len);
    for (unsigned i = 0; i < builder->files->len; i++)
        g_ptr_array_add(definition->files, cob_srcfile_ref(g_ptr_array_index(builder->files, i)));
    g_autofree bool *is_needed = find_needed(builder, result);
    for (int i = 0; i <= result.vertex; i++) {
        const struct llb_built *built = g_ptr_array_index(builder->built, i);

        if (is_needed[i])
            g_ptr_array_add(definition->ops, llb_op_copy(built->op));
    }
    Pb__Op *last = g_new(Pb__Op, 1);
    pb__op__init(last);
    set_inputs(last, builder, &result, 1);
    g_ptr_array_add(definition->ops, llb_op_new(pack(last)));
    return definition;
}
