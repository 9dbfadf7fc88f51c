/* SPDX-License-Identifier: Apache-2.0 */
#include "app/progress/notes.h"

#include "util/text.h"

#define YELLOW "\033[33m"
#define RESET "\033[0m"
#define MAX_BYTES (1 << 20) /* of expanded warnings; past it they come without their lines */

struct note {
    char *text, *detail, *url; /* detail, url: NULL: none */
    struct cob_srcfile *file;  /* NULL: no place */
    struct cob_range range;
};

static void note_free(void *data)
{
    struct note *note = data;

    g_free(note->text);
    g_free(note->detail);
    g_free(note->url);
    cob_srcfile_unref(note->file);
    g_free(note);
}

void notes_init(struct notes *notes)
{
    *notes = (struct notes){.list = g_ptr_array_new_with_free_func(note_free),
        .seen = g_hash_table_new(g_str_hash, g_str_equal)};
}

void notes_done(struct notes *notes)
{
    g_clear_pointer(&notes->seen, g_hash_table_unref);
    g_clear_pointer(&notes->list, g_ptr_array_unref);
}

void notes_add(struct notes *notes, const struct cob_event_warning *event)
{
    g_autofree char *text = cob_text_visible(event->text);
    struct note *note;

    if (g_hash_table_contains(notes->seen, text))
        return;
    note = g_new(struct note, 1);
    *note = (struct note){.text = g_steal_pointer(&text),
        .detail = event->detail ? cob_text_visible(event->detail) : NULL,
        .url = event->url ? cob_text_visible(event->url) : NULL,
        .file = event->file ? cob_srcfile_ref(event->file) : NULL,
        .range = event->range};
    g_ptr_array_add(notes->list, note);
    g_hash_table_add(notes->seen, note->text);
}

static int by_line(const void *a, const void *b, void *unused)
{
    const struct note *const *one = a, *const *other = b;

    (void)unused;
    return (*one)->range.first_line - (*other)->range.first_line;
}

static void append_expansion(GString *out, const struct note *note)
{
    if (note->detail)
        g_string_append_printf(out, "%s\n", note->detail);
    if (note->url)
        g_string_append_printf(out, "More info: %s\n", note->url);
    if (note->file && out->len < MAX_BYTES)
        cob_srcfile_append_excerpt(out, note->file, note->range);
    g_string_append_c(out, '\n');
}

void notes_append(GString *out, const struct notes *notes, bool has_colours)
{
    const guint n = notes->list->len;

    if (n == 0)
        return;
    g_qsort_with_data(notes->list->pdata, (int)n, sizeof(void *), by_line, NULL); /* stable */
    g_string_append_printf(out, "\n %s%u warning%s found%s:\n%s", has_colours ? YELLOW : "", n,
        n > 1 ? "s" : "", notes->is_expanded ? "" : " (use cob --debug to expand)",
        has_colours ? RESET : "");
    for (guint i = 0; i < n; i++) {
        const struct note *note = g_ptr_array_index(notes->list, i);

        g_string_append_printf(out, " - %s\n", note->text);
        if (notes->is_expanded)
            append_expansion(out, note);
    }
}
