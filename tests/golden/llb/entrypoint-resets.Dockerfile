FROM base:1 AS first
CMD ["inherited"]
FROM first
ENTRYPOINT ["new"]
HEALTHCHECK CMD ["curl", "x"]
