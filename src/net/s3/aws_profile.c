/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>

#include "net/s3/aws_keys.h"
#include "util/fs.h"
#include "util/limits.h"

#define MAX_FILE_BYTES COB_MIB

void aws_profile_done(struct aws_profile *profile)
{
    g_clear_pointer(&profile->keys, aws_keys_free);
    g_clear_pointer(&profile->region, g_free);
    g_clear_pointer(&profile->unsupported, g_free);
}

static void set_once(char **text, const char *value)
{
    if (!*text)
        *text = g_strdup(value);
}

static void take_setting(struct aws_profile *profile, const char *key, const char *value)
{
    static const char *const unsupported[] = {"role_arn", "sso_session", "sso_start_url",
        "sso_account_id", "credential_process", "web_identity_token_file", "login_session", NULL};
    struct aws_keys *keys = profile->keys;

    if (strcmp(key, "region") == 0)
        set_once(&profile->region, value);
    else if (g_strv_contains(unsupported, key))
        set_once(&profile->unsupported, key);
    else if (strcmp(key, "aws_access_key_id") == 0)
        set_once(&keys->access_key_id, value);
    else if (strcmp(key, "aws_secret_access_key") == 0)
        set_once(&keys->secret_access_key, value);
    else if (strcmp(key, "aws_session_token") == 0)
        set_once(&keys->session_token, value);
}

/* "[profile x]" -> "profile x", with one space; NULL: another line. The caller frees it. */
static char *read_section(const char *line)
{
    const char *end = strchr(line, ']');

    if (line[0] != '[' || !end)
        return NULL;
    g_autofree char *inner = g_strndup(line + 1, (gsize)(end - line - 1));
    g_auto(GStrv) words = g_strsplit_set(g_strstrip(inner), " \t", -1);
    g_autoptr(GString) name = g_string_new(NULL);
    for (char **word = words; *word; word++) {
        if ((*word)[0])
            g_string_append_printf(name, "%s%s", name->len ? " " : "", *word);
    }
    return g_string_free(g_steal_pointer(&name), FALSE);
}

/* A comment begins with '#' or ';' behind a space; in a key these do not occur. */
static void cut_comment(char *value)
{
    for (char *at = value; *at; at++) {
        if ((*at == '#' || *at == ';') && at > value && g_ascii_isspace(at[-1])) {
            *at = '\0';
            return;
        }
    }
}

static void take_line(struct aws_profile *profile, const char *line)
{
    const char *equals = strchr(line, '=');

    if (!equals || g_ascii_isspace(line[0]) || line[0] == '#' || line[0] == ';')
        return; /* what is indented belongs to a setting of settings */
    g_autofree char *raw = g_strndup(line, (gsize)(equals - line));
    g_autofree char *key = g_ascii_strdown(g_strstrip(raw), -1);
    g_autofree char *value = g_strdup(equals + 1);
    cut_comment(value);
    take_setting(profile, key, g_strstrip(value));
}

void aws_profile_parse(
    const char *text, size_t len, const char *section, struct aws_profile *profile, bool *ret_found)
{
    g_autofree char *whole = g_strndup(text, len);
    g_auto(GStrv) lines = g_strsplit(whole, "\n", -1);
    struct aws_keys *before = profile->keys;
    struct aws_profile found = {.keys = g_new0(struct aws_keys, 1),
        .region = profile->region,
        .unsupported = profile->unsupported};
    bool is_in = false;

    for (char **line = lines; *line; line++) {
        g_autofree char *name = read_section(*line);

        if (name)
            is_in = strcmp(name, section) == 0;
        if (name && is_in)
            *ret_found = true;
        if (!name && is_in)
            take_line(&found, *line);
    }
    if (before || !found.keys->access_key_id || !found.keys->secret_access_key)
        g_clear_pointer(&found.keys, aws_keys_free); /* keys are of one file, whole */
    *profile = found;
    if (before)
        profile->keys = before;
}

static char *file_path(const char *variable, const char *name)
{
    const char *path = g_getenv(variable);

    if (path && path[0])
        return g_strdup(path);
    return g_build_filename(g_get_home_dir(), ".aws", name, NULL);
}

static struct cob_error *read_file(
    const char *path, const char *section, struct aws_profile *profile, bool *ret_found)
{
    g_autoptr(GBytes) bytes = NULL;
    gsize len = 0;

    COB_TRY(cob_fs_read_file(AT_FDCWD, path, MAX_FILE_BYTES, &bytes));
    if (!bytes)
        return NULL;
    const char *text = g_bytes_get_data(bytes, &len);
    if (len > 0)
        aws_profile_parse(text, len, section, profile, ret_found);
    return NULL;
}

static struct cob_error *read_both(const char *name, bool is_wanted, struct aws_profile *profile)
{
    g_autofree char *credentials = file_path("AWS_SHARED_CREDENTIALS_FILE", "credentials");
    g_autofree char *config = file_path("AWS_CONFIG_FILE", "config");
    g_autofree char *long_name = g_strconcat("profile ", name, NULL);
    bool is_found = false;

    COB_TRY(read_file(credentials, name, profile, &is_found));
    COB_TRY(read_file(config, long_name, profile, &is_found));
    if (strcmp(name, "default") == 0)
        COB_TRY(read_file(config, name, profile, &is_found));
    if (is_wanted && !is_found)
        return cob_fail(COB_INVALID, "AWS_PROFILE: there is no profile %s in %s or %s", name,
            credentials, config);
    return NULL;
}

struct cob_error *aws_profile_read(struct aws_profile *ret_profile)
{
    const char *name = g_getenv("AWS_PROFILE");
    struct aws_profile profile = {0};

    if (!name || !name[0])
        name = g_getenv("AWS_DEFAULT_PROFILE");
    bool is_wanted = name && name[0];
    struct cob_error *err = read_both(is_wanted ? name : "default", is_wanted, &profile);
    if (err) {
        aws_profile_done(&profile);
        return err;
    }
    *ret_profile = profile;
    return NULL;
}
