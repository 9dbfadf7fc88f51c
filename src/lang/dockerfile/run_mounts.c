/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_go.h"
#include "lang/dockerfile/dockerfile_instructions.h"
#include "lang/dockerfile/dockerfile_suggest.h"
#include "util/text.h"

static const char *const type_names[] = {"bind", "cache", "tmpfs", "secret", "ssh", NULL};
static const char *const sharing_names[] = {"shared", "private", "locked", NULL};

/* A mount while its fields are read, in order: the type counts from where it is said. */
struct mount_parse {
    struct dockerfile_mount *mount;
    const char *field, *key, *value; /* value: expanded; NULL: no "=" */
    bool is_readonly_said;
};

typedef struct cob_error *(*read_field)(struct mount_parse *parse);

void dockerfile_mount_free(struct dockerfile_mount *mount)
{
    if (!mount)
        return;
    g_free(mount->text);
    g_free(mount->from);
    g_free(mount->source);
    g_free(mount->target);
    g_free(mount->id);
    g_free(mount->env);
    g_free(mount);
}

static struct cob_error *fail_value(const struct mount_parse *parse)
{
    return cob_fail(COB_INVALID, "invalid value for %s: %s", parse->key, parse->value);
}

static struct cob_error *fail_key_of_type(const struct mount_parse *parse)
{
    return cob_fail(COB_INVALID, "unexpected key '%s' for mount type '%s'", parse->key,
        type_names[parse->mount->type]);
}

static int find_name(const char *value, const char *const *names)
{
    for (int i = 0; names[i]; i++) {
        if (g_ascii_strcasecmp(names[i], value) == 0)
            return i;
    }
    return -1;
}

static struct cob_error *read_type(struct mount_parse *parse)
{
    int type = find_name(parse->value, type_names);

    if (type < 0)
        return dockerfile_fail_suggesting(
            parse->value, type_names, "unsupported mount type \"%s\"", parse->value);
    parse->mount->type = (enum dockerfile_mount_type)type;
    return NULL;
}

static struct cob_error *read_sharing(struct mount_parse *parse)
{
    int sharing = find_name(parse->value, sharing_names);

    if (sharing < 0)
        return dockerfile_fail_suggesting(
            parse->value, sharing_names, "unsupported sharing value \"%s\"", parse->value);
    parse->mount->sharing = (enum dockerfile_sharing)(sharing + 1);
    return NULL;
}

static struct cob_error *keep_text(struct mount_parse *parse, char **text)
{
    g_free(*text);
    *text = g_strdup(parse->value);
    return NULL;
}

static struct cob_error *read_from(struct mount_parse *parse)
{
    return keep_text(parse, &parse->mount->from);
}

static struct cob_error *read_source(struct mount_parse *parse)
{
    return keep_text(parse, &parse->mount->source);
}

static struct cob_error *read_target(struct mount_parse *parse)
{
    return keep_text(parse, &parse->mount->target);
}

static struct cob_error *read_id(struct mount_parse *parse)
{
    return keep_text(parse, &parse->mount->id);
}

static struct cob_error *read_env(struct mount_parse *parse)
{
    return keep_text(parse, &parse->mount->env);
}

static struct cob_error *read_readonly(struct mount_parse *parse)
{
    bool is_readonly = true;

    if (parse->value && !dockerfile_go_bool(parse->value, &is_readonly))
        return fail_value(parse);
    parse->mount->is_readonly = is_readonly;
    parse->is_readonly_said = true;
    return NULL;
}

static struct cob_error *read_readwrite(struct mount_parse *parse)
{
    COB_TRY(read_readonly(parse));
    parse->mount->is_readonly = !parse->mount->is_readonly;
    return NULL;
}

static struct cob_error *read_required(struct mount_parse *parse)
{
    enum dockerfile_mount_type type = parse->mount->type;
    bool is_required = true;

    if (type != DOCKERFILE_MOUNT_SECRET && type != DOCKERFILE_MOUNT_SSH)
        return fail_key_of_type(parse);
    if (parse->value && !dockerfile_go_bool(parse->value, &is_required))
        return fail_value(parse);
    parse->mount->is_required = is_required;
    return NULL;
}

static struct cob_error *read_size(struct mount_parse *parse)
{
    if (parse->mount->type != DOCKERFILE_MOUNT_TMPFS)
        return fail_key_of_type(parse);
    if (!cob_text_read_size(parse->value, &parse->mount->size_bytes))
        return fail_value(parse);
    return NULL;
}

static struct cob_error *read_number(
    struct mount_parse *parse, unsigned base, uint32_t *number, bool *is_there)
{
    guint64 value;

    if (!g_ascii_string_to_unsigned(parse->value, base, 0, G_MAXUINT32, &value, NULL))
        return cob_fail(COB_INVALID, "invalid value %s for %s", parse->value, parse->key);
    *number = (uint32_t)value;
    *is_there = true;
    return NULL;
}

static struct cob_error *read_mode(struct mount_parse *parse)
{
    return read_number(parse, 8, &parse->mount->mode, &parse->mount->has_mode);
}

static struct cob_error *read_uid(struct mount_parse *parse)
{
    return read_number(parse, 10, &parse->mount->uid, &parse->mount->has_uid);
}

static struct cob_error *read_gid(struct mount_parse *parse)
{
    return read_number(parse, 10, &parse->mount->gid, &parse->mount->has_gid);
}

static const struct {
    const char *key;
    read_field read;
    bool may_lack_value;
} fields[] = {
    {"type", read_type, false},
    {"from", read_from, false},
    {"source", read_source, false},
    {"src", read_source, false},
    {"target", read_target, false},
    {"dst", read_target, false},
    {"destination", read_target, false},
    {"readonly", read_readonly, true},
    {"ro", read_readonly, true},
    {"readwrite", read_readwrite, true},
    {"rw", read_readwrite, true},
    {"id", read_id, false},
    {"sharing", read_sharing, false},
    {"required", read_required, true},
    {"size", read_size, false},
    {"mode", read_mode, false},
    {"uid", read_uid, false},
    {"gid", read_gid, false},
    {"env", read_env, false},
};

static struct cob_error *fail_key(const struct mount_parse *parse)
{
    const char *known[G_N_ELEMENTS(fields) + 1] = {NULL};

    if (!parse->value)
        return cob_fail(COB_INVALID, "invalid field '%s' must be a key=value pair", parse->field);
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
        known[i] = fields[i].key;
    return dockerfile_fail_suggesting(
        parse->key, known, "unexpected key '%s' in '%s'", parse->key, parse->field);
}

static struct cob_error *read_known(struct mount_parse *parse)
{
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        if (strcmp(fields[i].key, parse->key) == 0 && (parse->value || fields[i].may_lack_value))
            return fields[i].read(parse);
    }
    return fail_key(parse);
}

/* What is known before anything is expanded: the stage or image that a mount comes from. */
static struct cob_error *read_early(struct mount_parse *parse)
{
    const char *dollar = parse->value ? strchr(parse->value, '$') : NULL;

    if (strcmp(parse->key, "from") != 0 || !parse->value)
        return NULL;
    if (dollar && dollar[1])
        return cob_fail(
            COB_INVALID, "'from' doesn't support variable expansion, define alias stage instead");
    return read_from(parse);
}

static struct cob_error *read_one(
    struct mount_parse *parse, const struct dockerfile_expander *expander)
{
    const char *equals = strchr(parse->field, '=');
    g_autofree char *key =
        g_ascii_strdown(parse->field, equals ? (gssize)(equals - parse->field) : -1);
    g_autofree char *value = NULL;

    if (equals && expander)
        COB_TRY(dockerfile_expand(expander, equals + 1, &value));
    parse->key = key;
    parse->value = value ? value : equals ? equals + 1 : NULL;
    struct cob_error *err = expander ? read_known(parse) : read_early(parse);
    parse->key = parse->value = NULL;
    return err;
}

static struct cob_error *check_secret(const struct dockerfile_mount *mount)
{
    bool has_source = mount->source && *mount->source, has_id = mount->id && *mount->id;

    if (mount->from && *mount->from)
        return cob_fail(COB_INVALID, "secret mount should not have a from");
    if (mount->sharing)
        return cob_fail(COB_INVALID, "secret mount should not define sharing");
    if (!has_source && !has_id && !(mount->target && *mount->target))
        return cob_fail(COB_INVALID, "invalid secret mount. one of source, target required");
    if (has_source && has_id)
        return cob_fail(COB_INVALID, "both source and id can't be set");
    return NULL;
}

static struct cob_error *check_owner(const struct dockerfile_mount *mount)
{
    const char *key = mount->has_mode  ? "mode"
                      : mount->has_uid ? "uid"
                      : mount->has_gid ? "gid"
                                       : NULL;

    if (key && (mount->type == DOCKERFILE_MOUNT_BIND || mount->type == DOCKERFILE_MOUNT_TMPFS))
        return cob_fail(
            COB_INVALID, "%s not allowed for \"%s\" type mounts", key, type_names[mount->type]);
    return NULL;
}

static struct cob_error *check_mount(const struct dockerfile_mount *mount)
{
    COB_TRY(check_owner(mount));
    if (mount->type == DOCKERFILE_MOUNT_SECRET)
        return check_secret(mount);
    if (mount->sharing && mount->type != DOCKERFILE_MOUNT_CACHE)
        return cob_fail(
            COB_INVALID, "invalid cache sharing set for %s mount", type_names[mount->type]);
    return NULL;
}

struct cob_error *dockerfile_mount_parse(const char *text,
    const struct dockerfile_expander *expander, struct dockerfile_mount **ret_mount)
{
    g_autoptr(dockerfile_mount) mount = g_new(struct dockerfile_mount, 1);
    g_autoptr(GPtrArray) parts = NULL;
    struct mount_parse parse = {.mount = mount};

    *mount = (struct dockerfile_mount){.text = g_strdup(text), .type = DOCKERFILE_MOUNT_BIND};
    COB_TRY(cob_wrap(dockerfile_csv_fields(text, &parts), "failed to parse csv mounts"));
    for (guint i = 0; i < parts->len; i++) {
        parse.field = g_ptr_array_index(parts, i);
        COB_TRY(read_one(&parse, expander));
    }
    if (!parse.is_readonly_said)
        mount->is_readonly =
            mount->type != DOCKERFILE_MOUNT_CACHE && mount->type != DOCKERFILE_MOUNT_TMPFS;
    if (expander)
        COB_TRY(check_mount(mount));
    *ret_mount = g_steal_pointer(&mount);
    return NULL;
}
