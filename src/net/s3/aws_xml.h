/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is read of S3's XML: the text of one element that has no others in it. The documents are
 * small and flat, and what does not look like them has nothing.
 *
 * threads:  any.
 * spec:     Amazon S3 API Reference, "Error Responses".
 */
#pragma once

#include <glib.h>

#define AWS_XML_TEXT_BYTES 1024 /* more of an element is cut off */

/* The text of the first element of a name, entities read; NULL when there is none. The caller frees
 * it. */
char *aws_xml_text(const char *xml, size_t len, const char *element);
