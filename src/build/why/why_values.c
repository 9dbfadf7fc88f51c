/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "build/why/why_parts.h"
#include "util/digest.h"

/* --- commands --- */

static const char *mount_word(Pb__MountType type)
{
    return type == PB__MOUNT_TYPE__CACHE   ? "cache"
           : type == PB__MOUNT_TYPE__TMPFS ? "tmpfs"
                                           : "bind";
}

/* A mount as the user writes it, as far as it is part of the key: neither the id nor the sharing of
 * a cache mount is. */
static json_t *mount_text(const Pb__Mount *mount)
{
    g_autoptr(GString) text = g_string_new(NULL);

    g_string_append_printf(text, "type=%s,target=%s", mount_word(mount->mounttype), mount->dest);
    if (*mount->selector)
        g_string_append_printf(text, ",source=%s", mount->selector);
    if (mount->readonly && mount->mounttype == PB__MOUNT_TYPE__CACHE)
        g_string_append(text, ",readonly");
    else if (!mount->readonly && mount->mounttype == PB__MOUNT_TYPE__BIND)
        g_string_append(text, ",readwrite");
    if (mount->tmpfsopt && mount->tmpfsopt->size)
        g_string_append_printf(text, ",size=%" PRId64, mount->tmpfsopt->size);
    return json_string(text->str);
}

/* Neither the root nor what a secret or an agent is mounted on. */
static bool is_told(const Pb__Mount *mount)
{
    return strcmp(mount->dest, "/") != 0 && mount->mounttype != PB__MOUNT_TYPE__SECRET &&
           mount->mounttype != PB__MOUNT_TYPE__SSH;
}

static void add_mounts(json_t *facts, const Pb__ExecOp *exec)
{
    json_t *mounts = json_array();

    for (size_t i = 0; i < exec->n_mounts; i++) {
        if (is_told(exec->mounts[i]))
            json_array_append_new(mounts, mount_text(exec->mounts[i]));
    }
    json_object_set_new(facts, "mounts", mounts);
}

static void add_env(json_t *facts, const Pb__Meta *meta, GHashTable *args)
{
    for (size_t i = 0; i < meta->n_env; i++) {
        g_auto(GStrv) pair = g_strsplit(meta->env[i], "=", 2);

        if (pair[0] && pair[1])
            why_set_variable(facts, pair[0], pair[1], args);
    }
}

/* What is a list of pairs or limits, as one text. */
static void add_lists(json_t *values, const Pb__Meta *meta)
{
    g_autoptr(GString) hosts = g_string_new(NULL);
    g_autoptr(GString) limits = g_string_new(NULL);

    for (size_t i = 0; i < meta->n_extrahosts; i++)
        g_string_append_printf(
            hosts, "%s%s=%s", i ? " " : "", meta->extrahosts[i]->host, meta->extrahosts[i]->ip);
    for (size_t i = 0; i < meta->n_ulimit; i++)
        g_string_append_printf(limits, "%s%s=%" PRId64 ":%" PRId64, i ? " " : "",
            meta->ulimit[i]->name, meta->ulimit[i]->soft, meta->ulimit[i]->hard);
    why_set(values, "--add-host", hosts->str);
    why_set(values, "--ulimit", limits->str);
}

static const char *network_word(Pb__NetMode mode)
{
    return mode == PB__NET_MODE__HOST ? "host" : mode == PB__NET_MODE__NONE ? "none" : "default";
}

static void add_exec(json_t *facts, const Pb__ExecOp *exec, GHashTable *args)
{
    const Pb__Meta *meta = exec->meta;
    json_t *values = json_object_get(facts, "values");
    g_autoptr(GString) command = g_string_new(NULL);

    for (size_t i = 0; i < meta->n_args; i++)
        g_string_append_printf(command, "%s%s", i ? " " : "", meta->args[i]);
    why_set(values, "command", command->str);
    why_set(values, "user", meta->user);
    why_set(values, "working directory", meta->cwd);
    why_set(values, "hostname", meta->hostname);
    why_set(values, "cgroup parent", meta->cgroupparent);
    why_set(values, "network", network_word(exec->network));
    why_set(
        values, "security", exec->security == PB__SECURITY_MODE__INSECURE ? "insecure" : "sandbox");
    add_lists(values, meta);
    add_env(facts, meta, args);
    add_mounts(facts, exec);
}

/* --- file actions --- */

/* "copy source", of the second one "copy source (2)". */
static void set_part(json_t *values, const char *part, size_t number, const char *value)
{
    g_autofree char *key =
        number > 0 ? g_strdup_printf("%s (%zu)", part, number + 1) : g_strdup(part);

    why_set(values, key, value);
}

static char *owner_text(const Pb__ChownOpt *owner)
{
    const Pb__UserOpt *sides[] = {owner ? owner->user : NULL, owner ? owner->group : NULL};
    GString *text = g_string_new(NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(sides); i++) {
        const Pb__UserOpt *side = sides[i];

        if (i > 0 && side)
            g_string_append_c(text, ':');
        if (side && side->user_case == PB__USER_OPT__USER_BY_NAME && side->byname)
            g_string_append(text, side->byname->name);
        else if (side && side->user_case == PB__USER_OPT__USER_BY_ID)
            g_string_append_printf(text, "%" PRIu32, side->byid);
    }
    return g_string_free(text, FALSE);
}

static void set_patterns(
    json_t *values, const char *part, size_t number, char *const *patterns, size_t n)
{
    g_autoptr(GString) all = g_string_new(NULL);

    for (size_t i = 0; i < n; i++)
        g_string_append_printf(all, "%s%s", i ? " " : "", patterns[i]);
    set_part(values, part, number, all->str);
}

static void add_copy(json_t *values, const Pb__FileActionCopy *copy, size_t number)
{
    g_autofree char *owner = owner_text(copy->owner);
    g_autofree char *mode = copy->mode < 0 ? NULL : g_strdup_printf("%04o", (unsigned)copy->mode);

    set_part(values, "source", number, copy->src);
    set_part(values, "destination", number, copy->dest);
    set_part(values, "--chown", number, owner);
    set_part(values, "--chmod", number, *copy->modestr ? copy->modestr : mode);
    set_patterns(values, "--parents", number, copy->include_patterns, copy->n_include_patterns);
    set_patterns(values, "--exclude", number, copy->exclude_patterns, copy->n_exclude_patterns);
}

static void add_action(json_t *values, const Pb__FileAction *action, size_t number)
{
    g_autofree char *digest = NULL;

    switch (action->action_case) {
    case PB__FILE_ACTION__ACTION_COPY:
        add_copy(values, action->copy, number);
        break;
    case PB__FILE_ACTION__ACTION_MKFILE:
        digest = cob_digest_of(action->mkfile->data.data, action->mkfile->data.len);
        set_part(values, "file", number, action->mkfile->path);
        set_part(values, "content", number, digest);
        break;
    case PB__FILE_ACTION__ACTION_MKDIR:
        set_part(values, "directory", number, action->mkdir->path);
        break;
    case PB__FILE_ACTION__ACTION_RM:
        set_part(values, "removed path", number, action->rm->path);
        break;
    case PB__FILE_ACTION__ACTION_SYMLINK:
        set_part(values, "symlink", number, action->symlink->newpath);
        set_part(values, "symlink's target", number, action->symlink->oldpath);
        break;
    case PB__FILE_ACTION__ACTION__NOT_SET:
    case _PB__FILE_ACTION__ACTION__CASE_IS_INT_SIZE:
        break;
    }
}

static bool is_in_name(char c)
{
    return g_ascii_isalnum(c) || c == '_';
}

/* The arguments that the words of an instruction name: their values are in no op. */
static void add_named_args(json_t *facts, GHashTable *args)
{
    const char *text = json_string_value(json_object_get(facts, "text"));

    for (const char *at = strchr(text, '$'); at; at = strchr(at + 1, '$')) {
        const char *from = at + 1 + (at[1] == '{');
        size_t len = 0;

        while (is_in_name(from[len]))
            len++;
        g_autofree char *name = g_strndup(from, len);
        const char *value = g_hash_table_lookup(args, name);
        if (value)
            why_set_variable(facts, name, value, args);
    }
}

void why_add_values(json_t *facts, const struct cob_llb_vertex *vertex, GHashTable *args)
{
    const Pb__Op *op = vertex->op;
    json_t *values = json_object_get(facts, "values");

    if (op->platform) {
        g_autofree char *platform = g_strjoin("/", op->platform->os, op->platform->architecture,
            *op->platform->variant ? op->platform->variant : NULL, NULL);

        why_set(values, "platform", platform);
    }
    if (op->op_case == PB__OP__OP_EXEC) {
        add_exec(facts, op->exec, args);
        return;
    }
    for (size_t i = 0; op->op_case == PB__OP__OP_FILE && i < op->file->n_actions; i++)
        add_action(values, op->file->actions[i], i);
    if (op->op_case == PB__OP__OP_SOURCE)
        why_set(values, "source", op->source->identifier);
    add_named_args(facts, args);
}
