/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of BuildKit's protocols as C structs, made by protoc-c into the build folder.
 *
 * An Op of package pb is a Pb__Op, with pb__op__pack(), pb__op__unpack() and so on. Text that is
 * not set is "", a message that is not set is NULL.
 *
 * spec: BuildKit solver/pb/ops.proto; protobuf-c's manual.
 */
#pragma once

#include <map_entry.pb-c.h>
#include <ops.pb-c.h>
