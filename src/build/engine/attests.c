/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attestations: what a build can be asked to say about itself. None is made yet, so one that is
 * asked for is an error, by whichever way; one that is asked not to be is as it should be.
 *
 *     --attest type=sbom, --sbom=true, --provenance=mode=max     request->attests
 *     --build-arg BUILDKIT_ATTEST_SBOM=generator=...             BuildKit's frontend knows it, too
 *
 * spec: buildx util/buildflags/attests.go; BuildKit frontend/attestations/parse.go. There is no
 *       "disabled" in the latter: here, "false" and "disabled=true" mean that in both.
 */
#include <string.h>

#include "build/engine/engine_private.h"

#define ARG_PREFIX "BUILDKIT_ATTEST_"

/* What is asked of one kind of attestation. */
struct attest {
    char *type;
    bool is_disabled;
};

static struct cob_error *read_disabled(const char *field, const char *value, bool *ret)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True", NULL};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False", NULL};

    if (!g_strv_contains(yes, value) && !g_strv_contains(no, value))
        return cob_fail(COB_INVALID, "invalid value %s", field);
    *ret = g_strv_contains(yes, value);
    return NULL;
}

/* "type=sbom,generator=x". */
static struct cob_error *read_fields(const char *text, struct attest *attest)
{
    g_auto(GStrv) fields = g_strsplit(text, ",", -1);

    for (char **field = fields; *field; field++) {
        const char *equals = strchr(*field, '=');

        if (!equals)
            return cob_fail(COB_INVALID, "invalid value %s", *field);
        g_autofree char *name = g_ascii_strdown(*field, equals - *field);
        g_strstrip(name);
        if (strcmp(name, "type") == 0) {
            g_free(attest->type);
            attest->type = g_strdup(equals + 1);
        } else if (strcmp(name, "disabled") == 0) {
            COB_TRY(read_disabled(*field, equals + 1, &attest->is_disabled));
        }
    }
    if (!attest->type || !*attest->type)
        return cob_fail(COB_INVALID, "attestation type not specified");
    return NULL;
}

/* BUILDKIT_ATTEST_SBOM=... */
static void read_arg(const char *arg, const char *value, struct attest *attest)
{
    static const char *const off[] = {
        "0", "f", "F", "false", "FALSE", "False", "disabled=true", "disabled=1", NULL};

    attest->type = g_ascii_strdown(arg + strlen(ARG_PREFIX), -1);
    attest->is_disabled = g_strv_contains(off, value);
}

static struct cob_error *refuse(const struct attest *attest)
{
    const char *type = attest->type;

    if (strcmp(type, "sbom") != 0 && strcmp(type, "provenance") != 0)
        return cob_fail(COB_INVALID, "unknown attestation type \"%s\"", type);
    if (attest->is_disabled)
        return NULL;
    return cob_fail(COB_UNIMPLEMENTED,
        "attestations are not carried out yet: %s is asked for, --%s=false does without", type,
        type);
}

/* Put what is asked of a type in the place of what was asked before. */
static void put(GHashTable *asked, GPtrArray *order, const struct attest *attest)
{
    struct attest *there = g_hash_table_lookup(asked, attest->type);

    if (there) {
        there->is_disabled = attest->is_disabled;
        g_free(attest->type);
        return;
    }
    there = g_memdup2(attest, sizeof(*attest));
    g_hash_table_insert(asked, there->type, there);
    g_ptr_array_add(order, there);
}

static void attest_free(void *data)
{
    struct attest *attest = data;

    g_free(attest->type);
    g_free(attest);
}

static struct cob_error *read_request(
    const struct cob_engine_request *request, GHashTable *asked, GPtrArray *order)
{
    for (const char *const *text = request->attests; text && *text; text++) {
        struct attest attest = {0};
        struct cob_error *err = read_fields(*text, &attest);

        if (err) {
            g_free(attest.type);
            return cob_wrap(err, "--attest %s", *text);
        }
        put(asked, order, &attest);
    }
    for (const char *const *arg = request->build_args; arg && *arg; arg++) {
        g_autofree char *name = g_strndup(*arg, strcspn(*arg, "="));
        const char *value = cob_engine_build_arg(request, name);
        struct attest attest = {0};

        if (!g_str_has_prefix(name, ARG_PREFIX) || !value)
            continue;
        read_arg(name, value, &attest);
        put(asked, order, &attest);
    }
    return NULL;
}

struct cob_error *cob_engine_check_attests(const struct cob_engine_request *request)
{
    g_autoptr(GHashTable) asked = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) order = g_ptr_array_new_with_free_func(attest_free);

    COB_TRY(read_request(request, asked, order));
    for (guint i = 0; i < order->len; i++) {
        const struct attest *attest = g_ptr_array_index(order, i);

        COB_TRY(refuse(attest));
    }
    return NULL;
}
