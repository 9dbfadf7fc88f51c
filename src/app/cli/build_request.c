/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "app/cli/cli_engine.h"
#include "disk/layer/layer.h"
#include "lang/llb/llb.h"
#include "util/fs.h"
#include "util/limits.h"

#define MAX_PARALLEL 1024

/* Keep a text for as long as the request. text: taken. */
static const char *keep(struct cli_build_request *build, char *text)
{
    g_ptr_array_add(build->texts, text);
    return text;
}

/* The texts of a list, NULL-terminated; NULL when it is empty. texts: char *, kept; cleared. */
static const char *const *keep_list(struct cli_build_request *build, GPtrArray *texts)
{
    char **list = g_new0(char *, texts->len + 1);
    const bool is_empty = texts->len == 0;

    for (guint i = 0; i < texts->len; i++)
        list[i] = texts->pdata[i];
    g_ptr_array_set_size(texts, 0);
    g_ptr_array_add(build->texts, list);
    return is_empty ? NULL : (const char *const *)list;
}

/* One field of "id=x,src=y". */
static struct cob_error *parse_secret_field(struct cli_build_request *build, const char *field,
    struct cob_engine_secret *secret, bool *is_env)
{
    const char *equals = strchr(field, '=');
    const char *value = equals ? keep(build, g_strdup(equals + 1)) : NULL;
    g_autofree char *key = equals ? g_ascii_strdown(field, equals - field) : NULL;

    if (!equals)
        return cob_fail(COB_INVALID, "invalid field '%s': must be a key=value pair", field);
    if (!strcmp(key, "id"))
        secret->id = value;
    else if (!strcmp(key, "src") || !strcmp(key, "source"))
        secret->path = value;
    else if (!strcmp(key, "env"))
        secret->env = value;
    else if (!strcmp(key, "type") && (!strcmp(value, "file") || !strcmp(value, "env")))
        *is_env = !strcmp(value, "env");
    else if (!strcmp(key, "type"))
        return cob_fail(COB_INVALID, "unsupported secret type %s: use file or env", value);
    else
        return cob_fail(COB_INVALID, "unexpected key '%s': use id, src, env or type", key);
    return NULL;
}

/* "id=x", "id=x,src=file", "id=x,env=NAME", "id=x,type=env,src=NAME". An id alone is the name of a
 * variable if there is one, else of a file.
 * spec: buildx docs/reference/buildx_build.md, --secret. */
static struct cob_error *add_secret(struct cli_build_request *build, const char *text)
{
    g_auto(GStrv) fields = g_strsplit(text, ",", -1);
    struct cob_engine_secret secret = {0};
    bool is_env = false;

    for (char **field = fields; *field; field++)
        COB_TRY(parse_secret_field(build, *field, &secret, &is_env));
    if (!secret.id || !*secret.id)
        return cob_fail(COB_INVALID, "no id in it: write id=NAME,src=FILE");
    if (is_env && !secret.env) {
        secret.env = secret.path ? secret.path : secret.id;
        secret.path = NULL;
    }
    if (secret.env && secret.path)
        return cob_fail(COB_INVALID, "src and env exclude each other");
    if (!secret.env && !secret.path) {
        if (g_getenv(secret.id))
            secret.env = secret.id;
        else
            secret.path = secret.id;
    }
    g_array_append_val(build->secrets, secret);
    return NULL;
}

static struct cob_error *add_secrets(struct cli_build_request *build, const char *const *texts)
{
    for (; texts && *texts; texts++)
        COB_TRY(cob_wrap(add_secret(build, *texts), "--secret"));
    build->request.secrets = (const struct cob_engine_secret *)(void *)build->secrets->data;
    build->request.n_secrets = build->secrets->len;
    return NULL;
}

/* "-o dir" is type=local,dest=dir and "-o -" a tar on standard output, as buildx has it. */
static struct cob_error *add_outputs(struct cli_build_request *build, const char *const *texts)
{
    g_autoptr(GPtrArray) outputs = g_ptr_array_new();

    for (; texts && *texts; texts++) {
        char *output = !strcmp(*texts, "-")  ? g_strdup("type=tar,dest=-")
                       : strchr(*texts, '=') ? g_strdup(*texts)
                                             : g_strdup_printf("type=local,dest=%s", *texts);

        keep(build, output);
        g_ptr_array_add(outputs, output);
        if (g_str_has_suffix(output, "dest=-") && isatty(1))
            return cob_fail(COB_INVALID,
                "--output %s: standard output is a terminal: send it to a file or a pipe", *texts);
    }
    build->request.outputs = keep_list(build, outputs);
    return NULL;
}

/* The words of an option that can be given several times, with commas between words, too. */
static const char *const *keep_words(struct cli_build_request *build, const char *const *texts)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();

    for (; texts && *texts; texts++) {
        g_auto(GStrv) words = g_strsplit(*texts, ",", -1);

        for (char **word = words; *word; word++) {
            char *text = g_strdup(g_strstrip(*word));

            keep(build, text);
            g_ptr_array_add(all, text);
        }
    }
    return keep_list(build, all);
}

/* As many bytes as there are, up to COB_LAYER_HEAD_BYTES. */
static struct cob_error *read_head(int fd, GBytes **ret_bytes)
{
    char buffer[COB_LAYER_HEAD_BYTES];
    size_t len = 0;
    ssize_t n = 1;

    while (len < sizeof(buffer) && n > 0) {
        n = TEMP_FAILURE_RETRY(read(fd, buffer + len, sizeof(buffer) - len));
        if (n < 0)
            return cob_fail_errno(errno, "read standard input");
        len += (size_t)n;
    }
    *ret_bytes = g_bytes_new(buffer, len);
    return NULL;
}

/* What was read already, and all that is to come. */
static struct cob_error *read_dockerfile(GBytes *head, GBytes **ret_bytes)
{
    g_autoptr(GByteArray) all = g_byte_array_new();
    g_autoptr(GBytes) rest = NULL;

    COB_TRY(cob_wrap(cob_fs_read_fd(0, COB_LIMIT_DOCKERFILE_BYTES - COB_LAYER_HEAD_BYTES, &rest),
        "read the Dockerfile from standard input"));
    g_byte_array_append(all, g_bytes_get_data(head, NULL), (guint)g_bytes_get_size(head));
    g_byte_array_append(all, g_bytes_get_data(rest, NULL), (guint)g_bytes_get_size(rest));
    *ret_bytes = g_byte_array_free_to_bytes(g_steal_pointer(&all));
    return NULL;
}

/* "cob build -": an archive with the context, or a Dockerfile without one. */
static struct cob_error *take_stdin_as_context(struct cli_build_request *build, const char *file)
{
    struct cob_engine_request *request = &build->request;
    g_autoptr(GBytes) head = NULL;

    if (isatty(0))
        return cob_fail(COB_INVALID, "standard input is a terminal: send an archive with the "
                                     "context or a Dockerfile to it");
    COB_TRY(read_head(0, &head));
    if (cob_layer_begins_archive(g_bytes_get_data(head, NULL), g_bytes_get_size(head))) {
        request->context_head = g_steal_pointer(&head);
        request->context_fd = 0;
        request->dockerfile = file;
        return NULL;
    }
    if (file)
        return cob_fail(COB_INVALID,
            "ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles");
    return read_dockerfile(head, &request->dockerfile_bytes);
}

static struct cob_error *set_context(const struct cli_call *call, struct cli_build_request *build)
{
    const char *context = cli_call_arg(call, 0), *file = cli_call_text(call, "file");
    const bool is_stdin_file = file && !strcmp(file, "-");
    g_autoptr(GBytes) nothing = g_bytes_new(NULL, 0);

    build->request.context = context;
    build->request.build_contexts = cli_call_list(call, "build-context");
    if (!strcmp(context, "-") && is_stdin_file)
        return cob_fail(
            COB_INVALID, "invalid argument: can't use stdin for both build context and dockerfile");
    if (!strcmp(context, "-"))
        return take_stdin_as_context(build, file);
    if (is_stdin_file)
        return read_dockerfile(nothing, &build->request.dockerfile_bytes);
    build->request.dockerfile = file;
    return NULL;
}

static struct cob_error *set_parallel(const struct cli_call *call, struct cli_build_request *build)
{
    const char *text = cli_call_text(call, "parallel");
    guint64 number = 0;

    if (text && !g_ascii_string_to_unsigned(text, 10, 1, MAX_PARALLEL, &number, NULL))
        return cob_fail(
            COB_INVALID, "--parallel %s: it must be a number from 1 to %d", text, MAX_PARALLEL);
    build->request.n_parallel = (unsigned)number;
    return NULL;
}

/* --sbom and --provenance are --attest: "true", "false", or fields.
 * spec: buildx util/buildflags/attests.go, CanonicalizeAttest. */
static void add_attest(const struct cli_call *call, struct cli_build_request *build,
    const char *type, GPtrArray *attests)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True", NULL};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False", NULL};
    const char *value = cli_call_text(call, type);
    const char *rest = value;

    if (!value || !*value)
        return;
    if (g_strv_contains(yes, value) || g_strv_contains(no, value))
        rest = g_strv_contains(no, value) ? "disabled=true" : "disabled=false";
    char *text = g_strdup_printf("type=%s,%s", type, rest);
    keep(build, text);
    g_ptr_array_add(attests, text);
}

static void add_attests(const struct cli_call *call, struct cli_build_request *build)
{
    g_autoptr(GPtrArray) attests = g_ptr_array_new();

    for (const char *const *text = cli_call_list(call, "attest"); text && *text; text++) {
        if (**text)
            g_ptr_array_add(attests, (void *)(uintptr_t)*text);
    }
    add_attest(call, build, "provenance", attests);
    add_attest(call, build, "sbom", attests);
    build->request.attests = keep_list(build, attests);
}

/* SOURCE_DATE_EPOCH of the environment is a build argument without being asked for, as in buildx.
 * spec: buildx build/opt.go; reproducible-builds.org/docs/source-date-epoch */
static void add_build_args(struct cli_build_request *build, const char *const *given)
{
    static const char epoch[] = "SOURCE_DATE_EPOCH";
    bool is_given = !g_getenv(epoch);

    for (; given && *given; given++) {
        is_given |= strcmp(*given, epoch) == 0 || g_str_has_prefix(*given, "SOURCE_DATE_EPOCH=");
        g_ptr_array_add(build->build_args, (void *)(uintptr_t)*given);
    }
    if (!is_given)
        g_ptr_array_add(build->build_args, (void *)(uintptr_t)epoch);
    g_ptr_array_add(build->build_args, NULL);
    build->request.build_args = (const char *const *)build->build_args->pdata;
}

/* --cache-mounts, else COB_CACHE_MOUNTS. */
static struct cob_error *set_auto_mounts(
    const struct cli_call *call, struct cli_build_request *build)
{
    const char *given = cli_call_text(call, "cache-mounts"), *set = g_getenv("COB_CACHE_MOUNTS");
    const char *value = given ? given : set && *set ? set : "off";

    build->request.has_auto_mounts = strcmp(value, "auto") == 0;
    if (build->request.has_auto_mounts || strcmp(value, "off") == 0)
        return NULL;
    return cob_fail(COB_INVALID, "%s%s: it must be auto or off",
        given ? "--cache-mounts " : "COB_CACHE_MOUNTS=", value);
}

/* Without a value it is about all of them, whatever else is said. */
static void set_no_cache_mounts(const struct cli_call *call, struct cli_build_request *build)
{
    const char *const *given = cli_call_list(call, "no-cache-mounts");

    build->request.is_no_cache_mounts = given != NULL;
    if (given && !g_strv_contains(given, ""))
        build->request.no_cache_mounts = keep_words(build, given);
}

static struct cob_error *fill(const struct cli_call *call, struct cli_build_request *build)
{
    add_build_args(build, cli_call_list(call, "build-arg"));
    add_attests(call, build);
    COB_TRY(set_parallel(call, build));
    COB_TRY(set_auto_mounts(call, build));
    COB_TRY(cli_run_limits_fill(call, build));
    COB_TRY(add_secrets(build, cli_call_list(call, "secret")));
    COB_TRY(add_outputs(build, cli_call_list(call, "output")));
    build->request.no_cache_stages = keep_words(build, cli_call_list(call, "no-cache-filter"));
    set_no_cache_mounts(call, build);
    build->request.platforms = keep_words(build, cli_call_list(call, "platform"));
    return set_context(call, build);
}

struct cob_error *cli_build_request_init(
    const struct cli_call *call, struct cli_build_request *build)
{
    struct cob_error *err;

    *build = (struct cli_build_request){
        .request =
            {
                .target = cli_call_text(call, "target"),
                .labels = cli_call_list(call, "label"),
                .tags = cli_call_list(call, "tag"),
                .is_no_cache = cli_call_flag(call, "no-cache"),
                .is_pulling = cli_call_flag(call, "pull"),
                .is_explaining = cli_call_flag(call, "explain"),
                .network = cli_call_text(call, "network"),
                .allow = cli_call_list(call, "allow"),
                .ssh = cli_call_list(call, "ssh"),
                .cache_from = cli_call_list(call, "cache-from"),
                .cache_to = cli_call_list(call, "cache-to"),
            },
        .secrets = g_array_new(FALSE, FALSE, sizeof(struct cob_engine_secret)),
        .ulimits = g_array_new(FALSE, FALSE, sizeof(struct cob_llb_ulimit)),
        .build_args = g_ptr_array_new(),
        .texts = g_ptr_array_new_with_free_func(g_free),
    };
    err = fill(call, build);
    if (err)
        cli_build_request_done(build);
    return err;
}

void cli_build_request_done(struct cli_build_request *build)
{
    g_clear_pointer(&build->request.dockerfile_bytes, g_bytes_unref);
    g_clear_pointer(&build->secrets, g_array_unref);
    g_clear_pointer(&build->ulimits, g_array_unref);
    g_clear_pointer(&build->build_args, g_ptr_array_unref);
    g_clear_pointer(&build->texts, g_ptr_array_unref);
    g_clear_pointer(&build->request.context_head, g_bytes_unref);
}
