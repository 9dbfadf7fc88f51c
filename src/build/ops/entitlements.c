/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a step may have beyond the sandbox takes two keys: the step's wish and the user's leave. All
 * that starts a process passes here.
 * spec: BuildKit solver/llbsolver/vertex.go, ValidateEntitlements.
 */
#include "build/ops/ops_private.h"

static struct cob_error *check(bool is_wanted, bool is_allowed, const char *entitlement)
{
    if (!is_wanted || is_allowed)
        return NULL;
    return cob_fail(COB_DENIED, "%s is not allowed: add --allow %s", entitlement, entitlement);
}

struct cob_error *cob_ops_check_exec(const struct cob_ops_config *config, const Pb__ExecOp *exec)
{
    COB_TRY(check(
        exec->network == PB__NET_MODE__HOST, config->is_host_network_allowed, "network.host"));
    COB_TRY(check(exec->security == PB__SECURITY_MODE__INSECURE, config->is_insecure_allowed,
        "security.insecure"));
    return check(exec->n_cdidevices > 0, false, "device");
}

struct cob_error *cob_ops_check_graph(
    const struct cob_ops_config *config, const struct cob_llb_graph *graph)
{
    for (guint i = 0; i < graph->vertices->len; i++) {
        const struct cob_llb_vertex *vertex = g_ptr_array_index(graph->vertices, i);

        if (vertex->op->op_case != PB__OP__OP_EXEC)
            continue;
        const Pb__ExecOp *exec = vertex->op->exec;
        struct cob_error *err = cob_ops_check_exec(config, exec);
        if (err && vertex->file)
            err = cob_error_at(err, vertex->file, vertex->range);
        COB_TRY(err);
        if (exec->security == PB__SECURITY_MODE__INSECURE) {
            g_autofree char *text = g_strdup_printf(
                "%s: runs without a sandbox, as --allow security.insecure permits", vertex->name);
            const struct cob_event_warning event = {
                .text = text, .file = vertex->file, .range = vertex->range};

            config->observer->warning(config->observer->arg, &event);
        }
    }
    return NULL;
}
