/* SPDX-License-Identifier: Apache-2.0 */
#include "net/s3/aws_xml.h"

#include <string.h>

/* One of XML's five own entities, or a number of ASCII; others stay as they are. */
static size_t read_entity(const char *text, size_t len, char *ret_c)
{
    static const struct {
        const char *name;
        char c;
    } entities[] = {
        {"&lt;", '<'},
        {"&gt;", '>'},
        {"&amp;", '&'},
        {"&quot;", '"'},
        {"&apos;", '\''},
        {"&#34;", '"'},
        {"&#39;", '\''},
        {"&#x22;", '"'},
        {"&#x27;", '\''},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(entities); i++) {
        size_t n = strlen(entities[i].name);

        if (n <= len && strncmp(text, entities[i].name, n) == 0) {
            *ret_c = entities[i].c;
            return n;
        }
    }
    *ret_c = text[0];
    return 1;
}

static char *unescape(const char *text, size_t len)
{
    g_autoptr(GString) out = g_string_new(NULL);

    while (len > 0 && out->len < AWS_XML_TEXT_BYTES) {
        char c = *text;
        size_t n = c == '&' ? read_entity(text, len, &c) : 1;

        if (c)
            g_string_append_c(out, c);
        text += n;
        len -= n;
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

char *aws_xml_text(const char *xml, size_t len, const char *element)
{
    g_autofree char *open = g_strdup_printf("<%s>", element);
    size_t n_open = strlen(open);

    if (len == 0)
        return NULL;
    const char *start = memmem(xml, len, open, n_open);
    if (!start)
        return NULL;
    start += n_open;
    size_t left = len - (size_t)(start - xml);
    const char *end = memchr(start, '<', left);
    return end ? unescape(start, (size_t)(end - start)) : NULL;
}
