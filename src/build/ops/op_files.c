/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/stat.h>

#include "build/ops/ops_private.h"
#include "build/why/why.h"

/* A list on its way: entries of one tree. */
struct listing {
    struct op_tree *tree;
    struct cob_why_list *list;
    const char *name; /* of a file that was found through a symlink; NULL: its own */
};

/* What stands for the content of an entry: of its bytes or its target the beginning of a digest. */
static uint32_t mark_of(struct cob_context *context, size_t index)
{
    const struct cob_context_entry entry = cob_context_get(context, index);
    struct cob_sha256 sha = {0};
    uint32_t mark = 0;

    if (entry.target)
        sha = cob_sha256_of(entry.target, strlen(entry.target));
    else if (S_ISCHR(entry.mode) || S_ISBLK(entry.mode))
        return (uint32_t)entry.rdev;
    else if (!S_ISREG(entry.mode) || !cob_context_known_digest(context, index, &sha))
        return 0;
    memcpy(&mark, sha.bytes, sizeof(mark));
    return mark;
}

static void add_entry(void *arg, size_t index)
{
    struct listing *listing = arg;
    const struct cob_context_entry entry = cob_context_get(listing->tree->context, index);
    const struct cob_why_file file = {.path = listing->name ? listing->name : entry.path,
        .mode = entry.mode,
        .uid = entry.uid,
        .gid = entry.gid,
        .mark = mark_of(listing->tree->context, index)};

    cob_why_list_add(listing->list, &file);
}

static struct cob_error *add_match(
    struct listing *listing, const struct cob_context_match *match, struct copy_filter *filter)
{
    const bool is_filtered = filter->included || filter->excluded;
    struct cob_context *context = listing->tree->context;
    const bool is_dir = S_ISDIR(cob_context_get(context, match->index).mode);

    listing->name = match->named != match->index && !is_dir
                        ? cob_context_get(context, match->named).path
                        : NULL;
    return cob_context_each(context, match->index, is_filtered ? cob_ops_copy_filter : NULL, filter,
        add_entry, listing);
}

static struct cob_error *add_copy(struct listing *listing, const Pb__FileActionCopy *copy)
{
    g_autoptr(GArray) matches = NULL;
    struct copy_filter filter;
    struct cob_error *err = NULL;

    COB_TRY(cob_ops_copy_sources(listing->tree, copy, &matches));
    COB_TRY(cob_ops_copy_filter_init(copy, &filter));
    for (guint i = 0; i < matches->len && !err; i++)
        err = add_match(listing, &g_array_index(matches, struct cob_context_match, i), &filter);
    cob_ops_copy_filter_done(&filter);
    return err;
}

static struct cob_error *add_mount(struct listing *listing, const Pb__Mount *mount)
{
    g_autoptr(GArray) matches = NULL;
    struct copy_filter all = {0};

    COB_TRY(cob_context_select(
        listing->tree->context, cob_ops_selector(mount), COB_CONTEXT_FOLLOW_LINKS, &matches));
    if (matches->len == 0)
        return NULL;
    return add_match(listing, &g_array_index(matches, struct cob_context_match, 0), &all);
}

static struct cob_error *list_tree(
    struct op_tree *tree, const struct cob_llb_vertex *vertex, size_t input, GBytes **ret_list)
{
    g_autoptr(cob_why_list) list = cob_why_list_new();
    struct listing listing = {.tree = tree, .list = list};
    const Pb__Op *op = vertex->op;

    *ret_list = NULL;
    if (!tree->context)
        return NULL;
    for (size_t i = 0; op->op_case == PB__OP__OP_FILE && i < op->file->n_actions; i++) {
        const Pb__FileAction *action = op->file->actions[i];

        if (action->action_case == PB__FILE_ACTION__ACTION_COPY &&
            action->secondaryinput == (int64_t)input)
            COB_TRY(add_copy(&listing, action->copy));
    }
    for (size_t i = 0; op->op_case == PB__OP__OP_EXEC && i < op->exec->n_mounts; i++) {
        if (op->exec->mounts[i]->input == (int64_t)input)
            COB_TRY(add_mount(&listing, op->exec->mounts[i]));
    }
    *ret_list = cob_why_list_finish(list);
    return NULL;
}

void cob_ops_keep_list(struct cob_ops *ops, struct op_tree *tree,
    const struct cob_llb_vertex *vertex, size_t input, const char *content)
{
    GBytes *list = NULL;

    cob_error_free(list_tree(tree, vertex, input, &list)); /* the list is for people alone */
    g_mutex_lock(&ops->lists_lock);
    g_hash_table_replace(ops->lists, g_strdup(content), list);
    g_mutex_unlock(&ops->lists_lock);
}

struct cob_error *cob_ops_files(struct cob_ops *ops, const struct cob_llb_vertex *vertex,
    size_t input, struct cob_solver_result *from, const char *content, GBytes **ret_list)
{
    struct op_tree tree = {.context = cob_ops_context_of(from)};
    GBytes *list;

    if (tree.context)
        return list_tree(&tree, vertex, input, ret_list);
    g_mutex_lock(&ops->lists_lock);
    list = g_hash_table_lookup(ops->lists, content);
    *ret_list = list ? g_bytes_ref(list) : NULL;
    g_mutex_unlock(&ops->lists_lock);
    return NULL;
}
