/* SPDX-License-Identifier: Apache-2.0 */
/* spec: buildx util/buildflags/cache.go; BuildKit cache/remotecache/{local,registry,s3}. */
#include <string.h>

#include "build/cachebackend/options_parts.h"
#include "util/csv.h"
#include "util/digest.h"

#define MAX_NAME_BYTES 255
#define MAX_LEVEL 22 /* of zstd */
#define REFRESH_S (24 * 60 * 60)
#define N_PARALLEL 4
#define TIMEOUT_S 60
#define MAX_DURATION_S 1000000000

static const char *const type_names[] = {[COB_CACHEBACKEND_LOCAL] = "local",
    [COB_CACHEBACKEND_REGISTRY] = "registry",
    [COB_CACHEBACKEND_S3] = "s3",
    [COB_CACHEBACKEND_INLINE] = "inline",
    NULL};

/* What was read of a text so far. */
struct reading {
    struct cob_cachebackend_options *options;
    bool has_image_manifest; /* the user said which */
};

/* --- values --- */

static struct cob_error *read_ref(struct cob_ref **ref, const char *value)
{
    g_clear_pointer(ref, cob_ref_free);
    return cob_ref_parse(value, ref);
}

/* spec: OCI image-spec annotations.md, org.opencontainers.image.ref.name. */
static bool is_tag(const char *value)
{
    size_t len = strlen(value);

    for (size_t i = 0; i < len; i++) {
        if (!g_ascii_isalnum(value[i]) && !strchr("-._:@/+", value[i]))
            return false;
    }
    return len > 0 && len <= MAX_NAME_BYTES;
}

/* Is it http://host or https://host, and without a password? libcurl reads it later. */
static struct cob_error *check_url(const char *value)
{
    const char *rest = NULL;

    if (g_str_has_prefix(value, "https://"))
        rest = value + strlen("https://");
    else if (g_str_has_prefix(value, "http://"))
        rest = value + strlen("http://");
    if (!rest || strcspn(rest, "/?#") == 0)
        return cob_fail(COB_INVALID, "endpoint_url must be https://HOST or http://HOST");
    if (memchr(rest, '@', strcspn(rest, "/?#")))
        return cob_fail(COB_INVALID,
            "endpoint_url has a user or a password: use access_key_id and secret_access_key");
    if (strpbrk(rest, "?#"))
        return cob_fail(COB_INVALID, "endpoint_url has a query");
    return NULL;
}

/* "a;b": the first is what an import reads, the others are written, too. */
static struct cob_error *read_names(struct cob_cachebackend_options *options, const char *value)
{
    g_auto(GStrv) names = g_strsplit(value, ";", -1);

    for (char **name = names; *name; name++) {
        if ((*name)[0] == '\0' || strlen(*name) > MAX_NAME_BYTES)
            return cob_fail(COB_INVALID, "name has an empty or overlong part");
    }
    if (!names[0])
        return cob_fail(COB_INVALID, "name is empty");
    g_free(options->name);
    g_strfreev(options->other_names);
    options->name = g_strdup(names[0]);
    options->other_names = names[1] ? g_strdupv(names + 1) : NULL;
    return NULL;
}

static struct cob_error *read_mode(enum cob_cachebackend_mode *mode, const char *value)
{
    static const char *const known[] = {"min", "max", NULL};
    g_autofree char *low = g_ascii_strdown(value, -1);

    if (!g_strv_contains(known, low))
        return cob_csv_unknown("mode", value, known);
    *mode = strcmp(low, "max") == 0 ? COB_CACHEBACKEND_MAX : COB_CACHEBACKEND_MIN;
    return NULL;
}

static struct cob_error *read_compression(char **compression, const char *value)
{
    static const char *const known[] = {"gzip", "zstd", "uncompressed", NULL};

    if (strcmp(value, "estargz") == 0)
        return cob_fail(COB_UNIMPLEMENTED, "compression estargz is not supported");
    if (!g_strv_contains(known, value))
        return cob_csv_unknown("compression", value, known);
    g_free(*compression);
    *compression = g_strdup(value);
    return NULL;
}

static struct cob_error *read_level(int *level, const char *value)
{
    gint64 number = 0;

    if (!g_ascii_string_to_signed(value, 10, 0, MAX_LEVEL, &number, NULL))
        return cob_fail(
            COB_INVALID, "compression-level=%s: a number from 0 to %d", value, MAX_LEVEL);
    *level = (int)number;
    return NULL;
}

static struct cob_error *read_count(const char *key, const char *value, unsigned *count)
{
    guint64 number = 0;

    if (!g_ascii_string_to_unsigned(value, 10, 1, 1000, &number, NULL))
        return cob_fail(COB_INVALID, "%s=%s: a number from 1 to 1000", key, value);
    *count = (unsigned)number;
    return NULL;
}

/* Go's durations, in whole seconds: "24h", "1h30m", "0". */
static bool read_duration(const char *value, int64_t *ret_s)
{
    int64_t total = 0;

    if (strcmp(value, "0") == 0) {
        *ret_s = 0;
        return true;
    }
    for (const char *at = value; *at;) {
        char *end = NULL;
        guint64 number = g_ascii_isdigit(*at) ? g_ascii_strtoull(at, &end, 10) : G_MAXUINT64;
        int64_t unit_s = !end ? 0 : *end == 'h' ? 3600 : *end == 'm' ? 60 : *end == 's' ? 1 : 0;

        if (unit_s == 0 || number > 1000000)
            return false;
        total += (int64_t)number * unit_s;
        if (total > MAX_DURATION_S)
            return false;
        at = end + 1;
    }
    *ret_s = total;
    return value[0] != '\0';
}

/* "true", "false", or the ids: "mounts=go;npm". */
static struct cob_error *read_mounts(struct cob_cachebackend_options *options, const char *value)
{
    g_auto(GStrv) ids = g_strsplit(value, ";", -1);
    g_autoptr(GPtrArray) named = g_ptr_array_new_with_free_func(g_free);

    g_clear_pointer(&options->mounts, g_strfreev);
    options->has_all_mounts = false;
    if (ids[0] && !ids[1]) {
        g_autoptr(cob_error) not_flag =
            cob_csv_read_flag("mounts", value, &options->has_all_mounts);

        if (!not_flag)
            return NULL;
    }
    for (char **id = ids; *id; id++) {
        if ((*id)[0])
            g_ptr_array_add(named, g_strdup(*id));
    }
    if (named->len == 0)
        return cob_fail(COB_INVALID, "mounts is empty: mounts=true, or mounts=ID;ID");
    g_ptr_array_add(named, NULL);
    options->mounts = (char **)g_ptr_array_free(g_steal_pointer(&named), FALSE);
    return NULL;
}

static struct cob_error *read_text(const char *key, char **text, const char *value)
{
    for (const char *at = value; *at; at++) {
        if (g_ascii_iscntrl(*at))
            return cob_fail(COB_INVALID, "%s has a control character", key);
    }
    g_free(*text);
    *text = g_strdup(value);
    return NULL;
}

static struct cob_error *read_checked(const struct option_row *row, char **text, const char *value)
{
    if (row->kind == OPTION_TAG && !is_tag(value))
        return cob_fail(COB_INVALID, "tag=%s: not a tag", value);
    if (row->kind == OPTION_DIGEST && !cob_digest_is_valid(value))
        return cob_fail(COB_INVALID, "digest=%s: not a digest", value);
    if (row->kind == OPTION_URL)
        COB_TRY(check_url(value));
    return read_text(row->key, text, value);
}

static struct cob_error *read_retry_mode(const char *value)
{
    static const char *const known[] = {"standard", "adaptive", NULL};

    return g_strv_contains(known, value) ? NULL : cob_csv_unknown("retry_mode", value, known);
}

static struct cob_error *read_value(
    struct reading *reading, const struct option_row *row, const char *value)
{
    void *member = (char *)reading->options + row->offset;
    bool unused = false;

    switch (row->kind) {
    case OPTION_TEXT:
    case OPTION_SECRET:
    case OPTION_TAG:
    case OPTION_DIGEST:
    case OPTION_URL:
        return read_checked(row, member, value);
    case OPTION_FLAG:
        reading->has_image_manifest |= strcmp(row->key, "image-manifest") == 0;
        return cob_csv_read_flag(row->key, value, member);
    case OPTION_REF:
        return read_ref(member, value);
    case OPTION_NAMES:
        return read_names(reading->options, value);
    case OPTION_MODE:
        return read_mode(member, value);
    case OPTION_COMPRESSION:
        return read_compression(member, value);
    case OPTION_LEVEL:
        return read_level(member, value);
    case OPTION_MOUNTS:
        return read_mounts(reading->options, value);
    case OPTION_COUNT:
        return read_count(row->key, value, member);
    case OPTION_DURATION:
        return read_duration(value, member)
                   ? NULL
                   : cob_fail(COB_INVALID, "%s=%s: a duration such as 24h", row->key, value);
    case OPTION_RETRY_MODE:
        return read_retry_mode(value);
    case OPTION_UNUSED_FLAG:
        return cob_csv_read_flag(row->key, value, &unused);
    }
    return cob_fail(COB_INTERNAL, "option %s", row->key);
}

/* --- keys --- */

static bool is_here(const struct option_row *row, const struct cob_cachebackend_options *options)
{
    return (row->types & 1U << options->type) && (row->ways & 1U << options->way);
}

/* The error for a key: of another type, of the other way, or of none. */
static struct cob_error *fail_key(const struct cob_cachebackend_options *options, const char *key)
{
    bool is_export = options->way == COB_CACHEBACKEND_EXPORT;
    g_autoptr(GPtrArray) known = g_ptr_array_new();
    const struct option_row *found = NULL;

    g_ptr_array_add(known, (gpointer)(uintptr_t) "type");
    for (const struct option_row *row = cob_cachebackend_options_table; row->key; row++) {
        if (is_here(row, options))
            g_ptr_array_add(known, (gpointer)(uintptr_t)row->key);
        if (strcmp(row->key, key) == 0)
            found = row;
    }
    g_ptr_array_add(known, NULL);
    if (found && !(found->types & 1U << options->type))
        return cob_fail(
            COB_INVALID, "option %s is not for type %s", key, type_names[options->type]);
    if (found)
        return cob_fail(COB_INVALID, "option %s is not for %s%s", key,
            is_export ? "an export" : "an import",
            strcmp(key, "dest") == 0  ? ": did you mean src?"
            : strcmp(key, "src") == 0 ? ": did you mean dest?"
                                      : "");
    return cob_csv_unknown("option", key, (const char *const *)known->pdata);
}

static struct cob_error *set_option(struct reading *reading, const char *key, const char *value)
{
    for (const struct option_row *row = cob_cachebackend_options_table; row->key; row++) {
        if (strcmp(row->key, key) == 0 && is_here(row, reading->options))
            return read_value(reading, row, value);
    }
    return fail_key(reading->options, key);
}

static bool is_secret(const char *key)
{
    for (const struct option_row *row = cob_cachebackend_options_table; row->key; row++) {
        if (strcmp(row->key, key) == 0)
            return row->kind == OPTION_SECRET;
    }
    return false;
}

/* What stands before '=', in lower case. A field without one is not shown: it may be the rest of a
 * secret that had a comma. */
static struct cob_error *take_key(const char *field, guint n, char **ret_key)
{
    const char *equals = strchr(field, '=');

    if (!equals)
        return cob_fail(COB_INVALID, "option %u has no value: key=value is wanted", n + 1);
    g_autofree char *raw = g_strndup(field, (gsize)(equals - field));
    *ret_key = g_ascii_strdown(g_strstrip(raw), -1);
    return NULL;
}

static struct cob_error *set_options(struct reading *reading, const GPtrArray *fields)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < fields->len; i++) {
        const char *field = g_ptr_array_index(fields, i);
        g_autofree char *key = NULL;

        COB_TRY(take_key(field, i, &key));
        if (strcmp(key, "type") != 0)
            COB_TRY(set_option(reading, key, strchr(field, '=') + 1));
        if (!is_secret(key))
            cob_csv_append(text, field);
    }
    g_free(reading->options->text);
    reading->options->text = g_strdup(text->str);
    return NULL;
}

/* --- the whole --- */

static struct cob_error *find_type(const GPtrArray *fields, enum cob_cachebackend_type *ret_type)
{
    static const char *const foreign[] = {"gha", "azblob", NULL};
    const char *type = NULL;

    for (guint i = 0; i < fields->len; i++) {
        const char *field = g_ptr_array_index(fields, i);

        if (g_ascii_strncasecmp(field, "type=", 5) == 0)
            type = field + 5;
    }
    if (!type || type[0] == '\0')
        return cob_fail(COB_INVALID, "type is required: type=local, registry, s3 or inline");
    if (g_strv_contains(foreign, type))
        return cob_fail(COB_UNIMPLEMENTED,
            "type %s is not supported; there is: local, registry, s3, inline", type);
    for (size_t i = 0; type_names[i]; i++) {
        if (strcmp(type_names[i], type) == 0) {
            *ret_type = (enum cob_cachebackend_type)i;
            return NULL;
        }
    }
    return cob_csv_unknown("type", type, type_names);
}

static struct cob_error *require(const struct cob_cachebackend_options *options, const char *key,
    const char *value, const char *example)
{
    bool is_export = options->way == COB_CACHEBACKEND_EXPORT;

    if (value && value[0])
        return NULL;
    return cob_fail(COB_INVALID, "%s is required for type %s: --cache-%s type=%s,%s", key,
        type_names[options->type], is_export ? "to" : "from", type_names[options->type], example);
}

static struct cob_error *check_s3(struct cob_cachebackend_options *options)
{
    if (!options->bucket)
        options->bucket = g_strdup(g_getenv("AWS_BUCKET"));
    COB_TRY(require(options, "bucket", options->bucket, "bucket=NAME"));
    if (!options->access_key_id != !options->secret_access_key)
        return cob_fail(COB_INVALID, "access_key_id and secret_access_key go together");
    if (options->session_token && !options->access_key_id)
        return cob_fail(COB_INVALID, "session_token needs access_key_id and secret_access_key");
    return NULL;
}

static struct cob_error *check_whole(const struct reading *reading)
{
    struct cob_cachebackend_options *options = reading->options;
    bool is_export = options->way == COB_CACHEBACKEND_EXPORT;

    if (!options->is_oci_types && !reading->has_image_manifest)
        options->is_image_manifest = false;
    if (!options->is_oci_types && options->is_image_manifest)
        return cob_fail(COB_INVALID, "image-manifest=true needs oci-mediatypes=true");
    switch (options->type) {
    case COB_CACHEBACKEND_LOCAL:
        return is_export ? require(options, "dest", options->folder, "dest=FOLDER")
                         : require(options, "src", options->folder, "src=FOLDER");
    case COB_CACHEBACKEND_REGISTRY:
        COB_TRY(require(options, "ref", options->ref ? options->ref->path : NULL, "ref=IMAGE:TAG"));
        if (is_export && options->ref->digest)
            return cob_fail(COB_INVALID, "ref has a digest: an export goes to a tag");
        return NULL;
    case COB_CACHEBACKEND_S3:
        return check_s3(options);
    case COB_CACHEBACKEND_INLINE:
        return is_export
                   ? NULL
                   : cob_fail(COB_INVALID,
                         "an inline cache is imported with its image: type=registry,ref=IMAGE");
    }
    return NULL;
}

static struct cob_error *parse(const char *text, struct cob_cachebackend_options *options)
{
    g_autoptr(GPtrArray) fields = g_ptr_array_new_with_free_func(g_free);
    struct reading reading = {.options = options};

    COB_TRY(cob_csv_split(text, fields));
    if (fields->len == 0)
        return cob_fail(COB_INVALID, "it is empty");
    if (fields->len == 1 && !strchr(g_ptr_array_index(fields, 0), '=')) {
        options->type = COB_CACHEBACKEND_REGISTRY;
        COB_TRY(read_ref(&options->ref, g_ptr_array_index(fields, 0)));
        options->text = g_strdup(g_ptr_array_index(fields, 0));
    } else {
        COB_TRY(find_type(fields, &options->type));
        COB_TRY(set_options(&reading, fields));
    }
    return check_whole(&reading);
}

struct cob_error *cob_cachebackend_options_parse(
    const char *text, enum cob_cachebackend_way way, struct cob_cachebackend_options **ret_options)
{
    g_autoptr(cob_cachebackend_options) options = g_new(struct cob_cachebackend_options, 1);

    *options = (struct cob_cachebackend_options){.way = way,
        .tag = g_strdup("latest"),
        .name = g_strdup("buildkit"),
        .prefix = g_strdup(""),
        .blobs_prefix = g_strdup("blobs/"),
        .manifests_prefix = g_strdup("manifests/"),
        .touch_refresh_s = REFRESH_S,
        .n_parallel = N_PARALLEL,
        .timeout_s = TIMEOUT_S,
        .puts = cob_backend_puts_new(),
        .is_image_manifest = true,
        .is_oci_types = true,
        .compression_level = -1,
        .is_ignoring_errors = true};
    COB_TRY(cob_wrap(
        parse(text, options), "cache %s", way == COB_CACHEBACKEND_EXPORT ? "export" : "import"));
    *ret_options = g_steal_pointer(&options);
    return NULL;
}

void cob_cachebackend_options_free(struct cob_cachebackend_options *options)
{
    if (!options)
        return;
    g_free(options->text);
    g_free(options->folder);
    g_free(options->tag);
    g_free(options->digest);
    cob_ref_free(options->ref);
    g_free(options->bucket);
    g_free(options->region);
    g_free(options->prefix);
    g_free(options->blobs_prefix);
    g_free(options->manifests_prefix);
    g_free(options->endpoint_url);
    g_free(options->access_key_id);
    g_free(options->secret_access_key);
    g_free(options->session_token);
    g_free(options->name);
    g_strfreev(options->other_names);
    g_free(options->compression);
    g_strfreev(options->mounts);
    cob_backend_puts_free(options->puts);
    g_free(options);
}
