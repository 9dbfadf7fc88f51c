FROM scratch
CMD echo $HOME "two words"
ENTRYPOINT ["/bin/run", "a b", "c\"d"]
CMD ["x", "<y>"]
SHELL ["/bin/bash", "-eo", "pipefail", "-c"]
ENTRYPOINT exec run
HEALTHCHECK --interval=5s --timeout=1m30s --start-period=2s --start-interval=500ms --retries=3 CMD curl -f http://localhost/
STOPSIGNAL SIGQUIT
HEALTHCHECK NONE
