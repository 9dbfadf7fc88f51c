/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_plan.h"

/* What a variable costs beside its name and its value, more or less: a stage copies those of its
 * base. */
#define COST_BYTES 160

static void pair_free(void *data)
{
    struct dockerfile_pair *pair = data;

    g_free(pair->key);
    g_free(pair->value);
    g_free(pair);
}

static size_t cost_of(const struct dockerfile_pair *pair)
{
    return strlen(pair->key) + strlen(pair->value) + COST_BYTES;
}

struct dockerfile_vars *dockerfile_vars_new(void)
{
    struct dockerfile_vars *vars = g_new(struct dockerfile_vars, 1);

    *vars = (struct dockerfile_vars){.by_name = g_hash_table_new(g_str_hash, g_str_equal)};
    return vars;
}

void dockerfile_vars_free(struct dockerfile_vars *vars)
{
    if (!vars)
        return;
    g_hash_table_unref(vars->by_name);
    g_queue_clear_full(&vars->order, pair_free);
    g_free(vars);
}

void dockerfile_vars_unset(struct dockerfile_vars *vars, const char *name)
{
    GList *old = g_hash_table_lookup(vars->by_name, name);

    if (!old)
        return;
    struct dockerfile_pair *gone = old->data;

    vars->n_bytes -= cost_of(gone);
    g_hash_table_remove(vars->by_name, name);
    g_queue_delete_link(&vars->order, old);
    pair_free(gone);
}

void dockerfile_vars_set(struct dockerfile_vars *vars, const char *name, const char *value)
{
    struct dockerfile_pair *pair = g_new(struct dockerfile_pair, 1);

    *pair = (struct dockerfile_pair){.key = g_strdup(name), .value = g_strdup(value)};
    dockerfile_vars_unset(vars, name);
    g_queue_push_tail(&vars->order, pair);
    g_hash_table_insert(vars->by_name, pair->key, g_queue_peek_tail_link(&vars->order));
    vars->n_bytes += cost_of(pair);
}

struct dockerfile_vars *dockerfile_vars_copy(const struct dockerfile_vars *vars)
{
    struct dockerfile_vars *copy = dockerfile_vars_new();

    for (const GList *at = vars->order.head; at; at = at->next) {
        const struct dockerfile_pair *pair = at->data;

        dockerfile_vars_set(copy, pair->key, pair->value);
    }
    return copy;
}

const char *dockerfile_vars_get(const struct dockerfile_vars *vars, const char *name)
{
    const GList *at = g_hash_table_lookup(vars->by_name, name);

    return at ? ((const struct dockerfile_pair *)at->data)->value : NULL;
}

static const char *get(const void *arg, const char *name)
{
    return dockerfile_vars_get(arg, name);
}

struct dockerfile_env dockerfile_vars_env(const struct dockerfile_vars *vars)
{
    return (struct dockerfile_env){.get = get, .arg = vars};
}

char **dockerfile_vars_list(const struct dockerfile_vars *vars)
{
    GPtrArray *list = g_ptr_array_new();

    for (const GList *at = vars->order.head; at; at = at->next) {
        const struct dockerfile_pair *pair = at->data;

        g_ptr_array_add(list, g_strconcat(pair->key, "=", pair->value, NULL));
    }
    g_ptr_array_add(list, NULL);
    return (char **)g_ptr_array_free(list, FALSE);
}
