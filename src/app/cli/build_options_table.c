/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/command.h"

/* What docker build has, and cob has not yet. */
#define REFUSED(option, option_kind)                                                               \
    {                                                                                              \
        .name = (option), .kind = (option_kind), .is_refused = true                                \
    }
/* What docker build takes and does nothing with. */
#define IGNORED(option, option_kind)                                                               \
    {                                                                                              \
        .name = (option), .kind = (option_kind)                                                    \
    }

const struct cli_option cli_build_options[] = {
    {"add-host", 0, CLI_LIST, "list", "Add a custom host-to-IP mapping (format: \"host:ip\")",
        false},
    {"allow", 0, CLI_LIST, "stringArray",
        "Allow extra privileged entitlement (e.g., \"network.host\", "
        "\"security.insecure\")",
        false},
    {"attest", 0, CLI_LIST, "stringArray",
        "Attestation parameters: none is made yet (format: \"type=sbom,disabled=true\")", false},
    {"build-arg", 0, CLI_LIST, "stringArray", "Set build-time variables", false},
    {"build-context", 0, CLI_LIST, "stringArray", "Additional build contexts (e.g., name=path)",
        false},
    {"cache-from", 0, CLI_LIST, "stringArray",
        "External cache sources (e.g., \"user/app:cache\", \"type=local,src=path/to/dir\")", false},
    {"cache-mounts", 0, CLI_TEXT, "string",
        "Give RUN steps the caches of the tools they call as mounts: auto or off (default: "
        "$COB_CACHE_MOUNTS, else off)",
        false},
    {"cache-to", 0, CLI_LIST, "stringArray",
        "Cache export destinations (e.g., \"user/app:cache\", \"type=local,dest=path/to/dir\")",
        false},
    {"call", 0, CLI_TEXT, "string",
        "Ask about the Dockerfile instead of building it: check, outline, targets, convertllb or "
        "subrequests.describe (format: \"outline,format=json\")",
        false},
    {"cgroup-parent", 0, CLI_TEXT, "string", "Set the parent cgroup for the RUN instructions",
        false},
    {"check", 0, CLI_FLAG, NULL, "Shorthand for \"--call=check\"", false},
    {"debug", 'D', CLI_FLAG, NULL, "Show warnings with what they mean and their lines", false},
    {"explain", 0, CLI_FLAG, NULL, "Say for each step that runs why it was not cached", false},
    {"file", 'f', CLI_TEXT, "string",
        "Name of the Dockerfile (default: \"PATH/Dockerfile\"); - for standard input", false},
    {"iidfile", 0, CLI_TEXT, "string", "Write the image ID to a file", false},
    {"label", 0, CLI_LIST, "stringArray", "Set metadata for an image", false},
    {"metadata-file", 0, CLI_TEXT, "string", "Write build result metadata to a file", false},
    {"network", 0, CLI_TEXT, "string",
        "Set the networking mode for the RUN instructions: default, host or none", false},
    {"no-cache", 0, CLI_FLAG, NULL, "Run every step again; cache mounts keep what they have",
        false},
    {"no-cache-filter", 0, CLI_LIST, "stringArray", "Do not cache specified stages", false},
    {"no-cache-mounts", 0, CLI_SOME, "[=ID,...]",
        "Empty the cache mounts of all steps, or those of these ids, before the build", false},
    {"output", 'o', CLI_LIST, "stringArray",
        "Output destination (format: \"type=local,dest=path\")", false},
    {"parallel", 0, CLI_TEXT, "int", "Run at most so many steps at the same time", false},
    {"platform", 0, CLI_LIST, "stringArray", "Set target platform for build", false},
    {"progress", 0, CLI_TEXT, "string",
        "Set type of progress output (auto, plain, quiet, rawjson, tty)", false},
    {"provenance", 0, CLI_TEXT, "string", "Shorthand for \"--attest=type=provenance\"", false},
    {"pull", 0, CLI_FLAG, NULL, "Ask the registry for images that are here already", false},
    {"quiet", 'q', CLI_FLAG, NULL, "Suppress the build output and print image ID on success",
        false},
    {"sbom", 0, CLI_TEXT, "string", "Shorthand for \"--attest=type=sbom\"", false},
    {"secret", 0, CLI_LIST, "stringArray",
        "Secret to expose to the build (format: \"id=mysecret[,src=/local/secret]\")", false},
    {"shm-size", 0, CLI_TEXT, "bytes", "Shared memory size for build containers", false},
    {"ssh", 0, CLI_LIST, "stringArray",
        "SSH agent socket or keys to expose to the build (format: "
        "\"default|<id>[=<socket>|<key>[,<key>]]\")",
        false},
    {"tag", 't', CLI_LIST, "stringArray", "Image name and tag (format: \"name:tag\")", false},
    {"target", 0, CLI_TEXT, "string", "Set the target build stage to build", false},
    {"ulimit", 0, CLI_LIST, "ulimit", "Ulimit options", false},
    REFUSED("annotation", CLI_LIST),
    REFUSED("builder", CLI_TEXT),
    REFUSED("policy", CLI_TEXT),
    REFUSED("push", CLI_FLAG),
    IGNORED("compress", CLI_FLAG),
    IGNORED("force-rm", CLI_FLAG),
    IGNORED("load", CLI_FLAG), /* an image that is built is always in the store */
    IGNORED("rm", CLI_FLAG),
    {0},
};
