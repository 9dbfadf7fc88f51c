/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/dockerfile/dockerfile_instructions.h"

#define BOOL(name)                                                                                 \
    {                                                                                              \
        name, DOCKERFILE_FLAG_BOOL                                                                 \
    }
#define TEXT(name)                                                                                 \
    {                                                                                              \
        name, DOCKERFILE_FLAG_TEXT                                                                 \
    }
#define TEXTS(name)                                                                                \
    {                                                                                              \
        name, DOCKERFILE_FLAG_TEXTS                                                                \
    }

const struct dockerfile_instruction_spec dockerfile_instruction_specs[] = {
    {"ADD", DOCKERFILE_ADD, DOCKERFILE_FORM_JSON_OR_WORDS, true,
        {TEXT("chown"), TEXT("chmod"), BOOL("link"), BOOL("keep-git-dir"), TEXT("checksum"),
            BOOL("unpack"), TEXTS("exclude")},
        dockerfile_fill_files},
    {"ARG", DOCKERFILE_ARG, DOCKERFILE_FORM_NAMES, false, {{0}}, dockerfile_fill_arg},
    {"CMD", DOCKERFILE_CMD, DOCKERFILE_FORM_COMMAND, false, {{0}}, NULL},
    {"COPY", DOCKERFILE_COPY, DOCKERFILE_FORM_JSON_OR_WORDS, true,
        {TEXT("chown"), TEXT("from"), TEXT("chmod"), BOOL("link"), TEXTS("exclude"),
            BOOL("parents")},
        dockerfile_fill_files},
    {"ENTRYPOINT", DOCKERFILE_ENTRYPOINT, DOCKERFILE_FORM_COMMAND, false, {{0}}, NULL},
    {"ENV", DOCKERFILE_ENV, DOCKERFILE_FORM_PAIRS, false, {{0}}, dockerfile_fill_pairs},
    {"EXPOSE", DOCKERFILE_EXPOSE, DOCKERFILE_FORM_WORDS, false, {{0}}, dockerfile_fill_expose},
    {"FROM", DOCKERFILE_FROM, DOCKERFILE_FORM_WORDS, false, {TEXT("platform")},
        dockerfile_fill_from},
    {"HEALTHCHECK", DOCKERFILE_HEALTHCHECK, DOCKERFILE_FORM_HEALTH, false,
        {TEXT("interval"), TEXT("timeout"), TEXT("start-period"), TEXT("start-interval"),
            TEXT("retries")},
        dockerfile_fill_health},
    {"LABEL", DOCKERFILE_LABEL, DOCKERFILE_FORM_PAIRS, false, {{0}}, dockerfile_fill_pairs},
    {"MAINTAINER", DOCKERFILE_MAINTAINER, DOCKERFILE_FORM_TEXT, false, {{0}},
        dockerfile_fill_one_word},
    {"ONBUILD", DOCKERFILE_ONBUILD, DOCKERFILE_FORM_INSTRUCTION, false, {{0}},
        dockerfile_fill_onbuild},
    {"RUN", DOCKERFILE_RUN, DOCKERFILE_FORM_COMMAND, true,
        {TEXTS("mount"), TEXT("network"), TEXT("security"), TEXTS("device")}, dockerfile_fill_run},
    {"SHELL", DOCKERFILE_SHELL, DOCKERFILE_FORM_COMMAND, false, {{0}}, dockerfile_fill_shell},
    {"STOPSIGNAL", DOCKERFILE_STOPSIGNAL, DOCKERFILE_FORM_TEXT, false, {{0}},
        dockerfile_fill_one_word},
    {"USER", DOCKERFILE_USER, DOCKERFILE_FORM_TEXT, false, {{0}}, dockerfile_fill_one_word},
    {"VOLUME", DOCKERFILE_VOLUME, DOCKERFILE_FORM_JSON_OR_WORDS, false, {{0}},
        dockerfile_fill_volume},
    {"WORKDIR", DOCKERFILE_WORKDIR, DOCKERFILE_FORM_TEXT, false, {{0}}, dockerfile_fill_one_word},
};
const size_t dockerfile_n_instruction_specs = G_N_ELEMENTS(dockerfile_instruction_specs);
