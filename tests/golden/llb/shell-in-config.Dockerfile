FROM base:1
CMD ["of", "the", "base", "of", "the", "next"]
FROM base:1
SHELL ["/bin/bash", "-c"]
CMD run it
ENTRYPOINT start it
HEALTHCHECK --interval=1m30s --timeout=10s --start-period=2h --start-interval=1ms --retries=5 CMD curl -f x || exit 1
