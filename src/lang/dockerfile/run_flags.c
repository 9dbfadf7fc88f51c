/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_go.h"
#include "lang/dockerfile/dockerfile_instructions.h"
#include "lang/dockerfile/dockerfile_suggest.h"

void dockerfile_device_free(struct dockerfile_device *device)
{
    if (!device)
        return;
    g_free(device->name);
    g_free(device);
}

static struct cob_error *read_device_field(struct dockerfile_device *device, const char *field)
{
    static const char *const known[] = {"name", "required", NULL};
    const char *equals = strchr(field, '=');
    g_autofree char *key = g_ascii_strdown(field, equals ? (gssize)(equals - field) : -1);

    if (strcmp(key, "required") == 0) {
        device->is_required = true;
        if (equals && !dockerfile_go_bool(equals + 1, &device->is_required))
            return cob_fail(COB_INVALID, "invalid value for %s: %s", key, equals + 1);
    } else if (equals && strcmp(key, "name") == 0) {
        if (device->name)
            return cob_fail(COB_INVALID, "device name already set to %s", device->name);
        device->name = g_strdup(equals + 1);
    } else if (!device->name) {
        device->name = g_strdup(field);
    } else if (!equals) {
        return cob_fail(COB_INVALID, "invalid field '%s' must be a key=value pair", field);
    } else {
        return dockerfile_fail_suggesting(key, known, "unexpected key '%s' in '%s'", key, field);
    }
    return NULL;
}

struct cob_error *dockerfile_device_parse(const char *text, struct dockerfile_device **ret_device)
{
    struct dockerfile_device *device = g_new(struct dockerfile_device, 1);
    g_autoptr(GPtrArray) fields = NULL;

    *device = (struct dockerfile_device){.name = NULL};
    struct cob_error *err =
        cob_wrap(dockerfile_csv_fields(text, &fields), "failed to parse csv devices");
    for (guint i = 0; !err && i < fields->len; i++)
        err = read_device_field(device, g_ptr_array_index(fields, i));
    if (err) {
        dockerfile_device_free(device);
        return err;
    }
    *ret_device = device;
    return NULL;
}

/* Of a mount, only what it is from is looked at now: the rest once its stage is converted, as in
 * BuildKit, where a slip in a stage that nobody builds is no error. */
static struct cob_error *add_mount(struct dockerfile_run *run, const char *text)
{
    struct dockerfile_mount *mount = NULL;

    COB_TRY(dockerfile_mount_parse(text, /* expander= */ NULL, &mount));
    g_ptr_array_add(run->mounts, mount);
    return NULL;
}

static struct cob_error *add_mounts(
    struct dockerfile_run *run, const struct dockerfile_instruction *instruction)
{
    g_autoptr(GPtrArray) mounts = dockerfile_flag_texts(instruction, "mount");
    g_autoptr(GPtrArray) devices = dockerfile_flag_texts(instruction, "device");

    for (guint i = 0; i < mounts->len; i++)
        COB_TRY(add_mount(run, g_ptr_array_index(mounts, i)));
    for (guint i = 0; i < devices->len; i++) {
        struct dockerfile_device *device = NULL;

        COB_TRY(dockerfile_device_parse(g_ptr_array_index(devices, i), &device));
        g_ptr_array_add(run->devices, device);
    }
    return NULL;
}

/* The one of `names` that a flag has, or the first when it is not there; NULL: another. */
static const char *flag_of(
    const struct dockerfile_instruction *instruction, const char *name, const char *const *names)
{
    const char *text = dockerfile_flag_text(instruction, name);

    for (size_t i = 0; names[i]; i++) {
        if (!text || strcmp(text, names[i]) == 0)
            return names[i];
    }
    return NULL;
}

struct cob_error *dockerfile_fill_run(
    struct cob_dockerfile *dockerfile, struct dockerfile_instruction *instruction)
{
    static const char *const networks[] = {"default", "none", "host", NULL};
    static const char *const securities[] = {"sandbox", "insecure", NULL};
    struct dockerfile_run *run = &instruction->run;

    *run = (struct dockerfile_run){
        .mounts = g_ptr_array_new_with_free_func((GDestroyNotify)dockerfile_mount_free),
        .devices = g_ptr_array_new_with_free_func((GDestroyNotify)dockerfile_device_free),
        .network = flag_of(instruction, "network", networks),
        .security = flag_of(instruction, "security", securities),
    };
    (void)dockerfile;
    COB_TRY(add_mounts(run, instruction));
    if (!run->network)
        return cob_fail(COB_INVALID, "invalid network mode \"%s\"",
            dockerfile_flag_text(instruction, "network"));
    if (!run->security)
        return cob_fail(COB_INVALID, "security \"%s\" is not valid",
            dockerfile_flag_text(instruction, "security"));
    return NULL;
}
