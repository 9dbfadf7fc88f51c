/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits on what comes from outside. A size, count or depth is held against one of these before it
 * reaches an allocation, a loop or a recursion. Past a limit is an error that names it.
 */
#pragma once

#define COB_KIB ((uint64_t)1 << 10)
#define COB_MIB ((uint64_t)1 << 20)
#define COB_GIB ((uint64_t)1 << 30)

/* lang/: what the user writes */
#define COB_LIMIT_DOCKERFILE_BYTES (16 * COB_MIB)
#define COB_LIMIT_INSTRUCTIONS 100000
#define COB_LIMIT_WORD_BYTES (1 * COB_MIB) /* one word after expansion */
#define COB_LIMIT_EXPAND_DEPTH 64          /* ${a:-${b:-...}} */
#define COB_LIMIT_IGNORE_BYTES (16 * COB_MIB)
#define COB_LIMIT_IGNORE_PATTERNS 100000
#define COB_LIMIT_TOML_BYTES (1 * COB_MIB) /* of a configuration */
#define COB_LIMIT_TOML_DEPTH 64            /* arrays and tables in each other */
#define COB_LIMIT_TOML_VALUES 100000
#define COB_LIMIT_LINT_WARNINGS 1000 /* of one Dockerfile */
#define COB_LIMIT_LLB_OPS 1000000
#define COB_LIMIT_LLB_OP_BYTES (16 * COB_MIB)

/* spec/: documents of images */
#define COB_LIMIT_MANIFEST_BYTES (4 * COB_MIB)
#define COB_LIMIT_CONFIG_BYTES (8 * COB_MIB)
#define COB_LIMIT_DESCRIPTORS 10000
#define COB_LIMIT_LAYERS 1024
#define COB_LIMIT_JSON_DEPTH 128
#define COB_LIMIT_CACHECONFIG_BYTES (8 * COB_MIB)
#define COB_LIMIT_CACHECONFIG_PARTS 1000000 /* layers, records, results and links together */
#define COB_LIMIT_CACHE_IMAGES 64           /* of an index, whose inline caches are read */

/* Cache mounts that travel: the index and its packs. */
#define COB_LIMIT_MOUNT_ENTRIES 4000000
#define COB_LIMIT_MOUNT_CHUNKS 4000000 /* and as many contents */
#define COB_LIMIT_MOUNT_PACKS 10000    /* a manifest has room for them */
#define COB_LIMIT_MOUNT_PACK_BYTES (32 * COB_MIB)
#define COB_LIMIT_MOUNT_INDEX_BYTES (1 * COB_GIB)
#define COB_LIMIT_MOUNT_BYTES (1024 * COB_GIB) /* all files of a mount */
#define COB_LIMIT_MOUNTS 1000                  /* of one document */

/* disk/: layers and archives */
#define COB_LIMIT_LAYER_BYTES (32 * COB_GIB)        /* uncompressed */
#define COB_LIMIT_DISK_RESERVE_BYTES (32 * COB_MIB) /* what unpacking leaves free */
#define COB_LIMIT_LAYER_ENTRIES 5000000
#define COB_LIMIT_RATIO 1100 /* uncompressed to compressed, once past the next */
#define COB_LIMIT_RATIO_FREE_BYTES (64 * COB_MIB)
#define COB_LIMIT_ZSTD_WINDOW_LOG 27 /* 128 MiB */
#define COB_LIMIT_TAR_HEADER_BYTES (1 * COB_MIB)
#define COB_LIMIT_XATTR_BYTES (64 * COB_KIB) /* of one file, all together */
#define COB_LIMIT_PATH_BYTES 4096
#define COB_LIMIT_NAME_BYTES 255
#define COB_LIMIT_TREE_DEPTH 1024 /* parts of a path, in layers and in what is copied */
#define COB_LIMIT_LAYER_RECORD_BYTES (2 * COB_MIB) /* beside a snapshot */
#define COB_LIMIT_RESERVE_BYTES (32 * COB_MIB)     /* kept so that a full disk can be tidied */
#define COB_LIMIT_CACHEMOUNT_ID_BYTES (64 * COB_KIB)
#define COB_LIMIT_CACHEMOUNT_USES 64 /* steps that are remembered of a cache mount */

#define COB_LIMIT_EVICTIONS 100000 /* notes on keys that were removed */
#define COB_LIMIT_EVICTION_DAYS 90

/* build/: what a step or an image makes us read */
#define COB_LIMIT_SECRET_BYTES (500 * 1000)      /* as in BuildKit's session/secrets */
#define COB_LIMIT_SSH_KEY_BYTES (100 * COB_KIB)  /* as in BuildKit's sshprovider */
#define COB_LIMIT_SSHAGENT_BYTES (256 * COB_KIB) /* of a message, as OpenSSH has it */
#define COB_LIMIT_PASSWD_BYTES (10 * COB_MIB)
#define COB_LIMIT_CACHE_DOCUMENT_BYTES (64 * COB_MIB) /* what describes a cache elsewhere */
#define COB_LIMIT_CACHE_BLOBS 1000000                 /* of one folder of caches */
#define COB_LIMIT_CACHE_DEPTH 8                       /* indexes in indexes there */
#define COB_LIMIT_LOG_LINE_BYTES (64 * COB_KIB)

/* build/: what is kept of builds for people */
#define COB_LIMIT_WHY_FILES 200000                 /* in the list of what a step took */
#define COB_LIMIT_WHY_LIST_BYTES (4 * COB_MIB)     /* of it */
#define COB_LIMIT_WHY_TEXT_BYTES 4000              /* of an instruction, or of a value */
#define COB_LIMIT_HISTORY_STEP_BYTES (2 * COB_MIB) /* of what a step printed, as in BuildKit */
#define COB_LIMIT_HISTORY_BYTES (32 * COB_MIB)     /* of a build's record */
#define COB_LIMIT_HISTORY_LINE_BYTES (1 * COB_MIB) /* of a line in it */

/* net/: what a server makes us read */
#define COB_LIMIT_HTTP_HEADER_BYTES (64 * COB_KIB)
#define COB_LIMIT_HTTP_REDIRECTS 10
#define COB_LIMIT_ERROR_BODY_BYTES (64 * COB_KIB)
#define COB_LIMIT_TOKEN_BYTES (1 * COB_MIB)
#define COB_LIMIT_DOWNLOAD_BYTES (32 * COB_GIB)   /* one file by URL */
#define COB_LIMIT_GIT_OUTPUT_BYTES (64 * COB_MIB) /* what one run of git prints */
#define COB_LIMIT_GIT_FILE_BYTES (32 * COB_GIB)   /* one file that git writes */
#define COB_LIMIT_GIT_MEMORY_BYTES (8 * COB_GIB)  /* one run of git */
#define COB_LIMIT_SUBMODULES 1000                 /* of one commit */
#define COB_LIMIT_SUBMODULE_DEPTH 16              /* of submodules in submodules */
