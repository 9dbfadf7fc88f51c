/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "build/why/why_parts.h"

#define SHORT_DIGITS 12
#define MAX_VALUE_CHARS 40
#define MAX_TEXT_CHARS 72
#define MAX_LINES 12 /* of variables, or of values, that are different */
#define IMAGE_PREFIX "docker-image://"

/* What differs weighs: a step with the same words is nearer than one with the same files. */
enum weight { WEIGHT_KIND = 1000, WEIGHT_TEXT = 20, WEIGHT_VALUE = 2, WEIGHT_OTHER = 1 };

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static bool is_same(const json_t *before, const json_t *now, const char *key)
{
    return g_strcmp0(text_of(before, key), text_of(now, key)) == 0;
}

static G_GNUC_PRINTF(2, 3) void say(GPtrArray *reasons, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(reasons, g_strdup_vprintf(format, args));
    va_end(args);
}

/* --- short forms --- */

/* At most so many characters, from `from` on. The caller frees it. */
static char *shorten(const char *text, glong from, glong max)
{
    const glong len = g_utf8_strlen(text, -1);
    const glong end = MIN(len, from + max);
    g_autofree char *part = g_utf8_substring(text, from, end);

    return g_strdup_printf("%s%s%s", from > 0 ? "…" : "", part, end < len ? "…" : "");
}

static char *short_value(const char *value)
{
    return *value ? shorten(value, 0, MAX_VALUE_CHARS) : g_strdup("\"\"");
}

/* Where two texts begin to differ, and some before it, so that a change far behind is seen. */
static glong first_difference(const char *a, const char *b)
{
    glong n = 0;

    while (*a && g_utf8_get_char(a) == g_utf8_get_char(b)) {
        a += g_utf8_skip[(guchar)*a];
        b += g_utf8_skip[(guchar)*b];
        n++;
    }
    return n < MAX_TEXT_CHARS * 2 / 3 ? 0 : n - MAX_TEXT_CHARS / 3;
}

static void say_texts(GPtrArray *reasons, const char *what, const char *before, const char *now)
{
    const glong from = first_difference(before, now);
    g_autofree char *old = shorten(before, from, MAX_TEXT_CHARS);
    g_autofree char *new = shorten(now, from, MAX_TEXT_CHARS);

    say(reasons, "%s changed: %s → %s", what, old, new);
}

/* --- sources --- */

/* "golang:1.21" of "docker-image://docker.io/library/golang:1.21@sha256:...". The caller's. */
static char *image_name(const char *identifier)
{
    static const char *const prefixes[] = {"docker.io/library/", "docker.io/"};
    const char *name = identifier + strlen(IMAGE_PREFIX);

    for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++) {
        if (g_str_has_prefix(name, prefixes[i])) {
            name += strlen(prefixes[i]);
            break;
        }
    }
    return g_strndup(name, strcspn(name, "@"));
}

/* The first digits of its digest; "" without one. */
static char *short_digest(const char *identifier)
{
    const char *at = strchr(identifier, '@');
    const char *colon = at ? strchr(at, ':') : NULL;

    return colon ? g_strdup_printf("%.*s…", SHORT_DIGITS, colon + 1) : g_strdup("");
}

static void say_image(GPtrArray *reasons, const char *before, const char *now)
{
    g_autofree char *old = image_name(before), *new = image_name(now);
    g_autofree char *old_digest = short_digest(before), *new_digest = short_digest(now);

    if (strcmp(old, new) == 0)
        say(reasons, "base image %s moved %s → %s", new, *old_digest ? old_digest : "?",
            *new_digest ? new_digest : "?");
    else
        say(reasons, "base image %s → %s", old, new);
}

/* What a step stands on or copies from was fetched from somewhere, and is another thing now. */
static void say_source(GPtrArray *reasons, const char *before, const char *now)
{
    if (g_str_has_prefix(before, IMAGE_PREFIX) && g_str_has_prefix(now, IMAGE_PREFIX)) {
        say_image(reasons, before, now);
        return;
    }
    g_autofree char *old = shorten(before, 0, MAX_TEXT_CHARS);
    g_autofree char *new = shorten(now, 0, MAX_TEXT_CHARS);
    say(reasons, "source %s → %s", old, new);
}

/* --- the op itself --- */

static int by_text(const void *a, const void *b)
{
    const char *const *one = a, *const *other = b;

    return strcmp(*one, *other);
}

/* The keys of two objects, each once, sorted; borrowed from them. */
static GPtrArray *all_keys(const json_t *before, const json_t *now)
{
    GPtrArray *keys = g_ptr_array_new();
    const json_t *const sides[] = {before, now};

    for (size_t i = 0; i < G_N_ELEMENTS(sides); i++) {
        void *side = (void *)(uintptr_t)sides[i]; /* jansson's iterators do not know const */

        for (void *at = json_object_iter(side); at; at = json_object_iter_next(side, at)) {
            const char *key = json_object_iter_key(at);

            if (i == 0 || !json_object_get(before, key))
                g_ptr_array_add(keys, (void *)(uintptr_t)key);
        }
    }
    g_ptr_array_sort(keys, by_text);
    return keys;
}

static void say_value(GPtrArray *reasons, const char *label, const char *before, const char *now)
{
    const bool is_secret = g_str_has_prefix(before ? before : now, WHY_SECRET_PREFIX);
    g_autofree char *old = before ? short_value(before) : NULL;
    g_autofree char *new = now ? short_value(now) : NULL;

    if (!before)
        say(reasons, is_secret ? "%s added" : "%s added: %s", label, new);
    else if (!now)
        say(reasons, "%s removed", label);
    else if (is_secret)
        say(reasons, "%s changed", label);
    else
        say(reasons, "%s %s → %s", label, old, new);
}

/* One line for each member of the object `part` that differs.
 * except: these are told in another way. */
static void say_members(const json_t *before, const json_t *now, const char *part,
    const char *const *except, GPtrArray *reasons)
{
    const json_t *old = json_object_get(before, part), *new = json_object_get(now, part);
    g_autoptr(GPtrArray) keys = all_keys(old, new);
    guint n = 0;

    for (guint i = 0; i < keys->len; i++) {
        const char *key = g_ptr_array_index(keys, i);

        if (is_same(old, new, key) || g_strv_contains(except, key))
            continue;
        if (n++ < MAX_LINES)
            say_value(reasons, key, text_of(old, key), text_of(new, key));
    }
    if (n > MAX_LINES)
        say(reasons, "and %u more", n - MAX_LINES);
}

static bool has_text(const json_t *array, const char *text)
{
    const json_t *item;
    size_t i;

    json_array_foreach(array, i, item)
    {
        if (g_strcmp0(json_string_value(item), text) == 0)
            return true;
    }
    return false;
}

/* target: "type=cache,target=/x,..." -> "target=/x". */
static bool is_same_target(const char *one, const char *other)
{
    const char *a = strstr(one, "target="), *b = strstr(other, "target=");

    return a && b && strcspn(a, ",") == strcspn(b, ",") && strncmp(a, b, strcspn(a, ",")) == 0;
}

/* The mount of `list` that is on the same target; NULL: none. */
static const char *find_target(const json_t *list, const char *mount)
{
    const json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        if (json_is_string(item) && is_same_target(json_string_value(item), mount))
            return json_string_value(item);
    }
    return NULL;
}

static void say_mounts(const json_t *before, const json_t *now, GPtrArray *reasons)
{
    const json_t *old = json_object_get(before, "mounts"), *new = json_object_get(now, "mounts");
    const json_t *item;
    size_t i;

    json_array_foreach(new, i, item)
    {
        const char *mount = json_string_value(item);
        const char *other = mount ? find_target(old, mount) : NULL;

        if (!mount || has_text(old, mount))
            continue;
        if (other)
            say(reasons, "mount changed: %s → %s", other, mount);
        else
            say(reasons, "mount %s added", mount);
    }
    json_array_foreach(old, i, item)
    {
        const char *mount = json_string_value(item);

        if (mount && !find_target(new, mount))
            say(reasons, "mount %s removed", mount);
    }
}

/* What is different beside the words: variables, mounts, and the values that those leave open. */
static void compare_parts(const json_t *before, const json_t *now, GPtrArray *reasons)
{
    static const char *const none[] = {NULL}, *const except[] = {"command", "source", NULL};
    const char *kind = text_of(now, "kind");
    const bool is_file = g_strcmp0(kind, "exec") != 0 && g_strcmp0(kind, "source") != 0;

    say_members(before, now, "env", none, reasons);
    say_mounts(before, now, reasons);
    if (!is_file)
        say_members(before, now, "values", except, reasons);
    else if (reasons->len == 0 && is_same(before, now, "text"))
        say_members(before, now, "values", none, reasons);
}

/* The words of a RUN that changed in its flags alone are told by what the flags do. */
static bool is_told_by_text(const json_t *before, const json_t *now, bool has_parts)
{
    const json_t *old = json_object_get(before, "values"), *new = json_object_get(now, "values");

    if (is_same(before, now, "text"))
        return false;
    return g_strcmp0(text_of(now, "kind"), "exec") != 0 || !has_parts ||
           !is_same(old, new, "command");
}

static void compare_op(const json_t *before, const json_t *now, GPtrArray *reasons)
{
    const json_t *old = json_object_get(before, "values"), *new = json_object_get(now, "values");
    g_autoptr(GPtrArray) parts = g_ptr_array_new_with_free_func(g_free);
    const bool is_source = g_strcmp0(text_of(now, "kind"), "source") == 0;
    const guint n_before = reasons->len;

    compare_parts(before, now, parts);
    if (is_source && text_of(old, "source") && text_of(new, "source")) {
        if (!is_same(old, new, "source"))
            say_source(reasons, text_of(old, "source"), text_of(new, "source"));
    } else if (is_told_by_text(before, now, parts->len > 0)) {
        say_texts(reasons, "the instruction's text", text_of(before, "text"), text_of(now, "text"));
    } else if (text_of(old, "command") && text_of(new, "command") &&
               !is_same(old, new, "command")) {
        say_texts(reasons, "the command", text_of(old, "command"), text_of(new, "command"));
    }
    g_ptr_array_extend_and_steal(reasons, g_steal_pointer(&parts));
    if (reasons->len == n_before)
        say(reasons, "the step's definition changed");
}

/* --- inputs --- */

/* What a user calls an input: a base image by its name, a step by its number. */
static void say_earlier(const json_t *now, const struct cob_why_input *input, GPtrArray *reasons)
{
    const char *name = text_of(now, "name");

    if (input->has_run && input->number > 0)
        say(reasons, "an earlier step ran: #%d", input->number);
    else if (input->has_run)
        say(reasons, "an earlier step ran: %s", name ? name : "scratch");
    else if (input->number > 0)
        say(reasons, "an earlier step is another one now: #%d", input->number);
    else
        say(reasons, "an earlier step is another one now: %s", name ? name : "scratch");
}

static void compare_input(
    const json_t *before, const json_t *now, const struct cob_why_input *input, GPtrArray *reasons)
{
    const char *old_source = text_of(before, "source"), *source = text_of(now, "source");

    if (text_of(now, "content")) {
        if (!is_same(before, now, "content") &&
            !cob_why_compare_files(input->files_before, input->files_now, reasons))
            say(reasons, "files of %s changed", text_of(now, "name") ? text_of(now, "name") : "it");
        return;
    }
    if (is_same(before, now, "result"))
        return;
    if (old_source && source && strcmp(old_source, source) != 0)
        say_source(reasons, old_source, source);
    else
        say_earlier(now, input, reasons);
}

/* --- both --- */

static unsigned n_different(const json_t *before, const json_t *now)
{
    g_autoptr(GPtrArray) keys = all_keys(before, now);
    unsigned n = 0;

    for (guint i = 0; i < keys->len; i++)
        n += !is_same(before, now, g_ptr_array_index(keys, i));
    return n;
}

static unsigned input_distance(const json_t *before, const json_t *now)
{
    if (text_of(now, "content") && text_of(before, "content"))
        return is_same(before, now, "content") ? 0 : WEIGHT_OTHER;
    return is_same(before, now, "result") ? 0 : WEIGHT_OTHER;
}

unsigned cob_why_distance(const json_t *before, const json_t *now)
{
    const json_t *old = json_object_get(before, "inputs"), *new = json_object_get(now, "inputs");
    unsigned distance = is_same(before, now, "kind") ? 0 : WEIGHT_KIND;

    if (!is_same(before, now, "op")) {
        distance += WEIGHT_OTHER;
        distance += is_same(before, now, "text") ? 0 : WEIGHT_TEXT;
        distance += WEIGHT_VALUE *
                    n_different(json_object_get(before, "values"), json_object_get(now, "values"));
        distance +=
            n_different(json_object_get(before, "env"), json_object_get(now, "env")) * WEIGHT_OTHER;
    }
    for (size_t i = 0; i < MAX(json_array_size(old), json_array_size(new)); i++)
        distance += input_distance(json_array_get(old, i), json_array_get(new, i));
    return distance;
}

void cob_why_compare(
    const json_t *before, const json_t *now, const struct cob_why_input *inputs, GPtrArray *reasons)
{
    const json_t *old = json_object_get(before, "inputs"), *item;
    size_t i;

    if (!is_same(before, now, "op"))
        compare_op(before, now, reasons);
    json_array_foreach(json_object_get(now, "inputs"), i, item)
    {
        if (text_of(item, "content"))
            compare_input(json_array_get(old, i), item, &inputs[i], reasons);
    }
    json_array_foreach(json_object_get(now, "inputs"), i, item)
    {
        if (!text_of(item, "content"))
            compare_input(json_array_get(old, i), item, &inputs[i], reasons);
    }
}
