/* SPDX-License-Identifier: Apache-2.0 */
#include "util/error.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "util/text.h"

struct frame {
    struct cob_here here;
    char *text;
    struct frame *inner;
};

struct cob_error {
    enum cob_code code;
    int errnum;
    struct frame *outer;      /* never NULL; the root cause is the innermost */
    struct cob_srcfile *file; /* NULL: the error has no place */
    struct cob_range range;
};

/* A final newline makes one more, empty, line: that is how BuildKit counts. */
static GArray *find_lines(GBytes *data)
{
    GArray *starts = g_array_new(FALSE, FALSE, sizeof(size_t));
    size_t len, start = 0;
    const char *text = g_bytes_get_data(data, &len);
    const char *newline;

    g_array_append_val(starts, start);
    while (start < len && (newline = memchr(text + start, '\n', len - start))) {
        start = (size_t)(newline - text) + 1;
        g_array_append_val(starts, start);
    }
    return starts;
}

struct cob_srcfile *cob_srcfile_new(const char *name, GBytes *data)
{
    struct cob_srcfile *file = g_new(struct cob_srcfile, 1);

    *file = (struct cob_srcfile){
        .refs = 1,
        .name = g_strdup(name),
        .data = g_bytes_ref(data),
        .starts = find_lines(data),
    };
    return file;
}

struct cob_srcfile *cob_srcfile_ref(struct cob_srcfile *file)
{
    g_atomic_int_inc(&file->refs);
    return file;
}

void cob_srcfile_unref(struct cob_srcfile *file)
{
    if (!file || !g_atomic_int_dec_and_test(&file->refs))
        return;
    g_free(file->name);
    g_bytes_unref(file->data);
    g_array_unref(file->starts);
    g_free(file);
}

static enum cob_code code_of_errno(int errnum)
{
    switch (errnum) {
    case ECANCELED:
        return COB_CANCELLED;
    case ETIMEDOUT:
        return COB_TIMEOUT;
    case ENOENT:
        return COB_NOT_FOUND;
    case EEXIST:
        return COB_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return COB_DENIED;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return COB_EXHAUSTED;
    case ENOSYS:
    case EOPNOTSUPP:
        return COB_UNIMPLEMENTED;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
        return COB_UNAVAILABLE;
    default:
        return COB_UNKNOWN;
    }
}

G_GNUC_PRINTF(3, 0)
static struct frame *frame_new(
    struct cob_here here, struct frame *inner, const char *fmt, va_list ap)
{
    struct frame *frame = g_new(struct frame, 1);

    *frame = (struct frame){.here = here, .text = g_strdup_vprintf(fmt, ap), .inner = inner};
    return frame;
}

struct cob_error *cob_error_new(
    struct cob_here here, enum cob_code code, int errnum, const char *fmt, ...)
{
    struct cob_error *err = g_new(struct cob_error, 1);
    va_list ap;

    va_start(ap, fmt);
    *err = (struct cob_error){
        .code = errnum ? code_of_errno(errnum) : code,
        .errnum = errnum,
        .outer = frame_new(here, NULL, fmt, ap),
    };
    va_end(ap);
    return err;
}

struct cob_error *cob_error_wrap(struct cob_here here, struct cob_error *err, const char *fmt, ...)
{
    va_list ap;

    if (!err)
        return NULL;
    va_start(ap, fmt);
    err->outer = frame_new(here, err->outer, fmt, ap);
    va_end(ap);
    return err;
}

struct cob_error *cob_error_at(
    struct cob_error *err, struct cob_srcfile *file, struct cob_range range)
{
    if (err && !err->file) {
        err->file = cob_srcfile_ref(file);
        err->range = range;
    }
    return err;
}

enum cob_code cob_error_code(const struct cob_error *err)
{
    return err->code;
}

int cob_error_errno(const struct cob_error *err)
{
    return err->errnum;
}

struct cob_range cob_error_range(const struct cob_error *err)
{
    return err->file ? err->range : (struct cob_range){0};
}

/* The bytes of a file; "", not NULL, when it is empty. */
static const char *data_of(const struct cob_srcfile *file, size_t *ret_len)
{
    const char *data = g_bytes_get_data(file->data, ret_len);

    return data ? data : "";
}

/* Widen a range by lines of context, above and below in turn. Every round costs one line besides
 * those it adds, so at an edge of the file the other side does not get them all. */
static struct cob_range with_context(struct cob_range range, int32_t n_lines)
{
    int32_t budget = range.first_line == range.last_line ? 4 : 2;

    for (int32_t spent = 0; spent < budget; spent++) {
        if (range.first_line > 1) {
            range.first_line--;
            spent++;
        }
        if (range.last_line < n_lines) {
            range.last_line++;
            spent++;
        }
    }
    return range;
}

/* Append the lines of `shown`, with an arrow at those of `marked`, which lies inside. */
static void append_lines(
    GString *out, const struct cob_srcfile *file, struct cob_range shown, struct cob_range marked)
{
    size_t len;
    const char *data = data_of(file, &len);

    for (int32_t line = shown.first_line; line <= shown.last_line; line++) {
        const char *at = data + g_array_index(file->starts, size_t, line - 1);
        const char *eol = memchr(at, '\n', (size_t)(data + len - at));
        const char *stop = eol ? eol : data + len;
        bool is_marked = line >= marked.first_line && line <= marked.last_line;
        bool is_crlf = stop > at && stop[-1] == '\r';

        g_string_append_printf(out, " %3d | %s ", line, is_marked ? ">>>" : "   ");
        cob_text_append_visible(out, at, stop - at - is_crlf);
        g_string_append_c(out, '\n');
    }
}

void cob_srcfile_append_excerpt(
    GString *out, const struct cob_srcfile *file, struct cob_range range)
{
    static const char rule[] = "--------------------\n";
    int32_t n_lines = (int32_t)file->starts->len;

    if (range.first_line < 1 || range.first_line > n_lines)
        return;
    range.last_line = CLAMP(range.last_line, range.first_line, n_lines);

    cob_text_append_visible(out, file->name, strlen(file->name));
    g_string_append_printf(out, ":%d\n%s", range.first_line, rule);
    append_lines(out, file, with_context(range, n_lines), range);
    g_string_append(out, rule);
}

static void append_message(GString *out, const struct cob_error *err)
{
    for (const struct frame *f = err->outer; f; f = f->inner) {
        cob_text_append_visible(out, f->text, strlen(f->text));
        g_string_append(out, f->inner ? ": " : "");
    }
    if (err->errnum)
        g_string_append_printf(out, ": %s", g_strerror(err->errnum));
}

char *cob_error_message(const struct cob_error *err)
{
    GString *out = g_string_new(NULL);

    append_message(out, err);
    return g_string_free(out, FALSE);
}

char *cob_error_text(const struct cob_error *err)
{
    GString *out = g_string_new(NULL);

    if (err->file)
        cob_srcfile_append_excerpt(out, err->file, err->range);
    g_string_append(out, "ERROR: ");
    append_message(out, err);
    g_string_append_c(out, '\n');
    return g_string_free(out, FALSE);
}

char *cob_error_trace(const struct cob_error *err)
{
    GString *out = g_string_new(NULL);

    for (const struct frame *f = err->outer; f; f = f->inner) {
        g_string_append_printf(out, "  %s:%d: ", f->here.file, f->here.line);
        cob_text_append_visible(out, f->text, strlen(f->text));
        g_string_append_c(out, '\n');
    }
    return g_string_free(out, FALSE);
}

void cob_error_free(struct cob_error *err)
{
    if (!err)
        return;
    while (err->outer) {
        struct frame *f = err->outer;

        err->outer = f->inner;
        g_free(f->text);
        g_free(f);
    }
    cob_srcfile_unref(err->file);
    g_free(err);
}
