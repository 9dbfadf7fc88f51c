/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_convert.h"

char *dockerfile_clean_path(const char *path)
{
    GString *out = g_string_new(NULL);

    while (*path) {
        size_t len = strcspn(path, "/");

        if (len == 2 && strncmp(path, "..", 2) == 0) {
            const char *slash = strrchr(out->str, '/');
            g_string_truncate(out, slash ? (gsize)(slash - out->str) : 0);
        } else if (len > 0 && !(len == 1 && *path == '.')) {
            g_string_append_c(out, '/');
            g_string_append_len(out, path, (gssize)len);
        }
        path += len;
        path += strspn(path, "/");
    }
    if (out->len == 0)
        g_string_append_c(out, '/');
    return g_string_free(out, FALSE);
}

char *dockerfile_join_path(const char *dir, const char *path, bool keeps_slash)
{
    g_autofree char *joined = *path == '/' ? g_strdup(path) : g_strconcat(dir, "/", path, NULL);
    g_autofree char *clean = dockerfile_clean_path(joined);
    bool is_root = strcmp(clean, "/") == 0;

    if (keeps_slash && g_str_has_suffix(path, "/") && !is_root)
        return g_strconcat(clean, "/", NULL);
    if (keeps_slash && g_str_has_suffix(path, "/."))
        return g_strconcat(clean, is_root ? "." : "/.", NULL);
    return g_steal_pointer(&clean);
}

static int compare_words(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void dockerfile_merge_sorted(GPtrArray **list, GPtrArray *words)
{
    GPtrArray *merged = g_ptr_array_new_with_free_func(g_free);

    if (*list)
        g_ptr_array_extend_and_steal(words, *list);
    g_ptr_array_sort(words, compare_words);
    for (guint i = 0; i < words->len; i++) {
        const char *word = g_ptr_array_index(words, i);

        if (i == 0 || strcmp(word, g_ptr_array_index(words, i - 1)) != 0)
            g_ptr_array_add(merged, g_strdup(word));
    }
    g_ptr_array_set_size(words, 0);
    *list = merged;
}

void dockerfile_use_context(struct dockerfile_convert *convert, const char *path)
{
    g_hash_table_add(convert->context_used, dockerfile_clean_path(path));
}

struct cob_llb_platform dockerfile_llb_platform(const struct cob_platform *platform)
{
    return (struct cob_llb_platform){
        .os = platform->os,
        .architecture = platform->arch,
        .variant = platform->variant,
        .os_version = platform->os_version,
    };
}
