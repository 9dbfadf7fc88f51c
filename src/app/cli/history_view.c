/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/history_view.h"

#include <fcntl.h>
#include <string.h>

#include "util/fs.h"
#include "util/limits.h"

char *history_view_duration(const struct cob_history_build *build)
{
    const bool is_running = build->status == COB_HISTORY_RUNNING;
    const int64_t end_us = is_running ? g_get_real_time() : build->completed_us;
    const double seconds = (double)MAX(end_us - build->started_us, 0) / 1e6;
    const char *more = is_running ? "+" : "";

    if (seconds < 60)
        return g_strdup_printf("%.1fs%s", seconds, more);
    return g_strdup_printf("%dm %2ds%s", (int)(seconds / 60), (int)seconds % 60, more);
}

char *history_view_time(int64_t at_us)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(at_us / G_USEC_PER_SEC);
    g_autofree char *text = time ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%S") : g_strdup("");

    return g_strdup_printf("%s.%06dZ", text, (int)(at_us % G_USEC_PER_SEC));
}

const char *history_view_about(const struct cob_history_build *build, const char *key)
{
    const char *text = json_string_value(json_object_get(build->about, key));

    return text ? text : "";
}

char *history_view_ref(const struct cob_history_build *build)
{
    return g_strconcat("default/default/", build->id, NULL);
}

/* --- repositories --- */

char *history_view_top(const char *dir)
{
    g_autofree char *at = g_strdup(dir);

    for (;;) {
        g_autofree char *git = g_build_filename(at, ".git", NULL);
        g_autofree char *up = g_path_get_dirname(at);

        if (g_file_test(git, G_FILE_TEST_EXISTS))
            return g_steal_pointer(&at);
        if (strcmp(up, at) == 0)
            return g_strdup(dir);
        g_free(at);
        at = g_steal_pointer(&up);
    }
}

bool history_view_is_below(const struct cob_history_build *build, const char *top)
{
    const char *context = history_view_about(build, "context");
    const size_t len = strcmp(top, "/") == 0 ? 0 : strlen(top);

    return json_is_true(json_object_get(build->about, "is_dir")) &&
           strncmp(context, top, len) == 0 && (context[len] == '/' || context[len] == '\0');
}

/* The url of [remote "origin"] in a git configuration. The caller frees it; NULL: none. */
static char *origin_of(const char *config)
{
    g_auto(GStrv) lines = g_strsplit(config, "\n", -1);
    bool is_origin = false;

    for (char **line = lines; *line; line++) {
        const char *text = g_strstrip(*line);

        if (*text == '[')
            is_origin = g_str_has_prefix(text, "[remote \"origin\"]");
        else if (is_origin && g_str_has_prefix(text, "url") && strchr(text, '='))
            return g_strdup(g_strstrip(strchr(*line, '=') + 1));
    }
    return NULL;
}

char *history_view_repository(const struct cob_history_build *build)
{
    const char *context = history_view_about(build, "context");
    g_autoptr(GBytes) bytes = NULL;

    if (!json_is_true(json_object_get(build->about, "is_dir")))
        return strcmp(context, "-") == 0 ? NULL : g_strndup(context, strcspn(context, "#?"));
    g_autofree char *top = history_view_top(context);
    g_autofree char *path = g_build_filename(top, ".git", "config", NULL);
    cob_error_free(cob_fs_read_file(AT_FDCWD, path, COB_LIMIT_CONFIG_BYTES, &bytes));
    if (!bytes)
        return NULL;
    g_autofree char *text = g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    return origin_of(text);
}
