/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/dockerfile/dockerfile_lint.h"

#define URL(page) "https://docs.docker.com/go/dockerfile/rule/" page "/"

/* spec: BuildKit linter/ruleset.go; MountShellSyntax and CacheMountSuggested are cob's own. */
const struct dockerfile_rule_spec dockerfile_rules[] = {
    [DOCKERFILE_RULE_STAGE_NAME_CASING] = {"StageNameCasing", "Stage names should be lowercase",
        URL("stage-name-casing"), false},
    [DOCKERFILE_RULE_FROM_AS_CASING] = {"FromAsCasing",
        "The 'as' keyword should match the case of the 'from' keyword", URL("from-as-casing"),
        false},
    [DOCKERFILE_RULE_EMPTY_CONTINUATION] = {"NoEmptyContinuation",
        "Empty continuation lines will become errors in a future release",
        URL("no-empty-continuation"), false},
    [DOCKERFILE_RULE_INSTRUCTION_CASING] = {"ConsistentInstructionCasing",
        "All commands within the Dockerfile should use the same casing (either upper or lower)",
        URL("consistent-instruction-casing"), false},
    [DOCKERFILE_RULE_DUPLICATE_STAGE] = {"DuplicateStageName", "Stage names should be unique",
        URL("duplicate-stage-name"), false},
    [DOCKERFILE_RULE_RESERVED_STAGE] = {"ReservedStageName",
        "Reserved words should not be used as stage names", URL("reserved-stage-name"), false},
    [DOCKERFILE_RULE_JSON_ARGS] = {"JSONArgsRecommended",
        "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to "
        "OS signals",
        URL("json-args-recommended"), false},
    [DOCKERFILE_RULE_MAINTAINER] = {"MaintainerDeprecated",
        "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
        URL("maintainer-deprecated"), false},
    [DOCKERFILE_RULE_UNDEFINED_ARG_IN_FROM] = {"UndefinedArgInFrom",
        "FROM command must use declared ARGs", URL("undefined-arg-in-from"), false},
    [DOCKERFILE_RULE_WORKDIR] = {"WorkdirRelativePath",
        "Relative workdir without an absolute workdir declared within the build can have "
        "unexpected results if the base image changes",
        URL("workdir-relative-path"), false},
    [DOCKERFILE_RULE_UNDEFINED_VAR] = {"UndefinedVar",
        "Variables should be defined before their use", URL("undefined-var"), false},
    [DOCKERFILE_RULE_MULTIPLE] = {"MultipleInstructionsDisallowed",
        "Multiple instructions of the same type should not be used in the same stage",
        URL("multiple-instructions-disallowed"), false},
    [DOCKERFILE_RULE_LEGACY_PAIR] = {"LegacyKeyValueFormat",
        "Legacy key/value format with whitespace separator should not be used",
        URL("legacy-key-value-format"), false},
    [DOCKERFILE_RULE_BASE_PLATFORM] = {"InvalidBaseImagePlatform",
        "Base image platform does not match expected target platform", NULL, false},
    [DOCKERFILE_RULE_REDUNDANT_PLATFORM] = {"RedundantTargetPlatform",
        "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the "
        "default behavior",
        URL("redundant-target-platform"), false},
    [DOCKERFILE_RULE_SECRET] = {"SecretsUsedInArgOrEnv",
        "Sensitive data should not be used in the ARG or ENV commands",
        URL("secrets-used-in-arg-or-env"), false},
    [DOCKERFILE_RULE_DEFAULT_ARG] = {"InvalidDefaultArgInFrom",
        "Default value for global ARG results in an empty or invalid base image name",
        URL("invalid-default-arg-in-from"), false},
    [DOCKERFILE_RULE_CONST_PLATFORM] = {"FromPlatformFlagConstDisallowed",
        "FROM --platform flag should not use a constant value",
        URL("from-platform-flag-const-disallowed"), false},
    [DOCKERFILE_RULE_IGNORED_FILE] = {"CopyIgnoredFile",
        "Attempting to Copy file that is excluded by .dockerignore", URL("copy-ignored-file"),
        false},
    [DOCKERFILE_RULE_DESCRIPTION] = {"InvalidDefinitionDescription",
        "Comment for build stage or argument should follow the format: `# <arg/stage name> "
        "<description>`. If this is not intended to be a description comment, add an empty line "
        "or comment between the instruction and the comment.",
        URL("invalid-definition-description"), true},
    [DOCKERFILE_RULE_EXPOSE_CASING] = {"ExposeProtoCasing",
        "Protocol in EXPOSE instruction should be lowercase", URL("expose-proto-casing"), false},
    [DOCKERFILE_RULE_EXPOSE_FORMAT] = {"ExposeInvalidFormat",
        "IP address and host-port mapping should not be used in EXPOSE instruction. This will "
        "become an error in a future release",
        URL("expose-invalid-format"), false},
    [DOCKERFILE_RULE_MOUNT_SYNTAX] = {"MountShellSyntax",
        "Mount options know variables of the build, but nothing else of a shell's", NULL, false},
    [DOCKERFILE_RULE_CACHE_MOUNT] = {"CacheMountSuggested",
        "Caches of compilers and package managers live on from build to build in cache mounts",
        NULL, false},
    [DOCKERFILE_RULE_TOO_MANY] = {"TooManyWarnings",
        "What comes after the limit of warnings is not shown", NULL, false},
};

G_STATIC_ASSERT(G_N_ELEMENTS(dockerfile_rules) == DOCKERFILE_N_RULES);
