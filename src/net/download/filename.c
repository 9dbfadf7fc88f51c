/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "net/download/download.h"
#include "util/limits.h"

#define UNNAMED "download"

char *cob_download_safe_name(const char *path)
{
    g_autofree char *text = g_strstrip(g_strdup(path));
    size_t len = strlen(text);

    while (len > 0 && text[len - 1] == '/')
        text[--len] = '\0';
    const char *slash = strrchr(text, '/');
    const char *name = slash ? slash + 1 : text;
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        strlen(name) > COB_LIMIT_NAME_BYTES || !g_utf8_validate(name, -1, NULL))
        return g_strdup(UNNAMED);
    for (const char *c = name; *c; c += g_utf8_skip[(unsigned char)*c]) {
        if (g_unichar_iscntrl(g_utf8_get_char(c)))
            return g_strdup(UNNAMED);
    }
    return g_strdup(name);
}

/* A token, or text in quotes with backslashes.  ret_end: behind it. NULL: it has no end. */
static char *read_value(const char *text, const char **ret_end)
{
    GString *value = g_string_new(NULL);

    if (*text != '"') {
        size_t len = strcspn(text, "; \t");

        g_string_append_len(value, text, (gssize)len);
        *ret_end = text + len;
        return g_string_free(value, FALSE);
    }
    for (text++; *text && *text != '"'; text++) {
        if (*text == '\\' && text[1])
            text++;
        g_string_append_c(value, *text);
    }
    *ret_end = *text ? text + 1 : text;
    return g_string_free(value, FALSE);
}

/* "filename" of "attachment; filename=x"; NULL when it has none. The extended form, filename*=, is
 * not read: servers send the plain one beside it. */
static char *disposition_name(const char *text)
{
    const char *at = text + strcspn(text, ";");

    while (*at == ';') {
        at += 1 + strspn(at + 1, " \t");
        size_t n_key = strcspn(at, "=;");
        bool is_name =
            n_key == strlen("filename") && g_ascii_strncasecmp(at, "filename", n_key) == 0;

        if (at[n_key] != '=') {
            at += n_key;
            continue;
        }
        g_autofree char *value = read_value(at + n_key + 1, &at);
        if (is_name)
            return g_steal_pointer(&value);
        at += strcspn(at, ";");
    }
    return NULL;
}

char *cob_download_filename(const char *path, const char *disposition)
{
    g_autofree char *said = disposition ? disposition_name(disposition) : NULL;
    g_autofree char *plain = NULL;

    if (said && *said && !g_str_has_suffix(said, "/"))
        return cob_download_safe_name(said);
    plain = g_uri_unescape_string(path, NULL);
    return cob_download_safe_name(plain ? plain : UNNAMED);
}
