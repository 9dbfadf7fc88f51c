/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The events as they are, for programs: one JSON object a line.
 *
 * spec: BuildKit client/graph.go, SolveStatus, as Go writes it: times are RFC 3339 in UTC, what a
 *       step printed is base64.
 */
#pragma once

#include <glib.h>

#include "build/event.h"

/* Append one event. */
void rawjson_vertex(GString *out, const struct cob_event_vertex *event);
void rawjson_status(GString *out, const struct cob_event_status *event);
void rawjson_log(GString *out, const struct cob_event_log *event);
void rawjson_warning(GString *out, const struct cob_event_warning *event);
