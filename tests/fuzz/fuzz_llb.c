/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/llb/llb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever the bytes are: an error, or a graph that can be walked, written and shown. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, size);
    g_autoptr(cob_llb_definition) definition = NULL;
    g_autoptr(cob_llb_graph) graph = NULL;
    g_autofree char *dump = NULL;
    g_autoptr(cob_error) err = cob_llb_definition_parse(bytes, &definition);

    if (err)
        return 0;
    g_autoptr(GBytes) again = cob_llb_definition_bytes(definition);
    g_autoptr(cob_error) dump_err = cob_llb_dump(definition, &dump);
    g_autoptr(cob_error) graph_err = cob_llb_graph_new(definition, &graph);
    (void)again, (void)dump_err;
    if (!graph_err && g_array_index(graph->results, struct cob_llb_ref, 0).vertex >= 0)
        g_assert((unsigned)g_array_index(graph->results, struct cob_llb_ref, 0).vertex + 1 ==
                 graph->vertices->len);
    return 0;
}
