/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "net/git/git_run.h"
#include "util/limits.h"

/* What .gitmodules says of one submodule. */
struct entry {
    char *path, *url, *update;
};

static void entry_free(void *pointer)
{
    struct entry *entry = pointer;

    g_free(entry->path);
    g_free(entry->url);
    g_free(entry->update);
    g_free(entry);
}

void cob_git_submodule_free(struct cob_git_submodule *module)
{
    if (!module)
        return;
    g_free(module->path);
    g_free(module->commit);
    cob_gitref_free(module->place);
    g_free(module);
}

/* "submodule.<name>.path\n<value>": the name is of no use but to tell them apart. */
static void take_pair(GHashTable *entries, const char *pair)
{
    const char *newline = strchr(pair, '\n');
    const char *first = strchr(pair, '.');
    g_autofree char *key = newline ? g_strndup(pair, (size_t)(newline - pair)) : NULL;
    char *last = key ? strrchr(key, '.') : NULL;

    if (!first || !last || last - key <= first - pair)
        return;
    *last = '\0';
    const char *name = key + (first - pair) + 1;
    struct entry *entry = g_hash_table_lookup(entries, name);
    if (!entry) {
        entry = g_new0(struct entry, 1);
        g_hash_table_insert(entries, g_strdup(name), entry);
    }
    const struct {
        const char *word;
        char **slot;
    } slots[] = {{"path", &entry->path}, {"url", &entry->url}, {"update", &entry->update}};
    for (size_t i = 0; i < G_N_ELEMENTS(slots); i++) {
        if (strcmp(last + 1, slots[i].word) != 0)
            continue;
        g_free(*slots[i].slot);
        *slots[i].slot = g_strdup(newline + 1);
    }
}

/* .gitmodules of a commit.
 * ret_entries: name -> struct entry, owned. */
static struct cob_error *read_entries(const struct cob_git_remote *remote, const char *commit,
    struct cob_cancel *cancel, GHashTable **ret_entries)
{
    g_autofree char *blob = g_strconcat(commit, ":.gitmodules", NULL);
    g_autofree char *option = g_strconcat("--blob=", blob, NULL);
    const struct git_call exists = {.args = {"cat-file", "-e", blob, NULL}};
    const struct git_call call = {
        .args = {"config", "--null", option, "--get-regexp", "^submodule\\..*$", NULL}};
    g_autoptr(GHashTable) entries =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, entry_free);
    g_autoptr(GString) text = NULL;
    bool is_there = false;

    COB_TRY(git_succeeds(remote, &exists, cancel, &is_there));
    if (is_there)
        COB_TRY(git_succeeds(remote, &call, cancel, &is_there)); /* it may name none */
    if (is_there)
        COB_TRY(git_run(remote, &call, cancel, &text));
    for (size_t at = 0; text && at < text->len; at += strlen(text->str + at) + 1)
        take_pair(entries, text->str + at);
    *ret_entries = g_steal_pointer(&entries);
    return NULL;
}

/* The commit that a tree has at a path, "160000 commit <id>\t<path>"; NULL: it has something else
 * there, or nothing. */
static struct cob_error *find_commit(const struct cob_git_remote *remote, const char *commit,
    const char *path, struct cob_cancel *cancel, char **ret_id)
{
    static const char link[] = "160000 commit ";
    const struct git_call call = {
        .args = {"ls-tree", "-z", "--full-tree", commit, "--", path, NULL}};
    g_autoptr(GString) text = NULL;

    *ret_id = NULL;
    COB_TRY(git_run(remote, &call, cancel, &text));
    if (!g_str_has_prefix(text->str, link))
        return NULL;
    const char *id = text->str + strlen(link);
    const char *tab = strchr(id, '\t');
    if (!tab || strcmp(tab + 1, path) != 0)
        return NULL;
    *ret_id = g_strndup(id, (size_t)(tab - id));
    if (!cob_gitref_is_commit(*ret_id))
        g_clear_pointer(ret_id, g_free);
    return NULL;
}

static struct cob_error *add_module(const struct cob_git_remote *remote, const char *commit,
    const struct entry *entry, struct cob_cancel *cancel, GPtrArray *modules)
{
    g_autofree char *id = NULL;
    struct cob_gitref *place = NULL;

    if (!entry->path || !entry->url || g_strcmp0(entry->update, "none") == 0)
        return NULL;
    COB_TRY(find_commit(remote, commit, entry->path, cancel, &id));
    if (!id)
        return NULL;
    COB_TRY(cob_wrap(
        cob_gitref_of_url(remote->place, entry->url, &place), "submodule at %.200s", entry->path));
    struct cob_git_submodule *module = g_new(struct cob_git_submodule, 1);
    *module = (struct cob_git_submodule){
        .path = g_strdup(entry->path), .commit = g_steal_pointer(&id), .place = place};
    g_ptr_array_add(modules, module);
    return NULL;
}

static int compare_paths(const void *a, const void *b)
{
    const struct cob_git_submodule *const *one = a, *const *other = b;

    return strcmp((*one)->path, (*other)->path);
}

static struct cob_error *list_modules(const struct cob_git_remote *remote, const char *commit,
    struct cob_cancel *cancel, GPtrArray *modules)
{
    g_autoptr(GHashTable) entries = NULL;
    GHashTableIter iter;
    gpointer entry;

    COB_TRY(read_entries(remote, commit, cancel, &entries));
    if (g_hash_table_size(entries) > COB_LIMIT_SUBMODULES)
        return cob_fail(COB_EXHAUSTED, "more than %d submodules", COB_LIMIT_SUBMODULES);
    g_hash_table_iter_init(&iter, entries);
    while (g_hash_table_iter_next(&iter, NULL, &entry))
        COB_TRY(add_module(remote, commit, entry, cancel, modules));
    g_ptr_array_sort(modules, compare_paths);
    return NULL;
}

struct cob_error *cob_git_submodules(const struct cob_git_remote *remote,
    const struct cob_git_commit *commit, struct cob_cancel *cancel, GPtrArray **ret_modules)
{
    g_autoptr(GPtrArray) modules =
        g_ptr_array_new_with_free_func((GDestroyNotify)cob_git_submodule_free);

    COB_TRY(cob_wrap(
        list_modules(remote, commit->commit, cancel, modules), "%s", remote->place->remote));
    *ret_modules = g_steal_pointer(&modules);
    return NULL;
}
