FROM scratch AS base
ONBUILD COPY one.txt /triggered
ONBUILD ENV T=1
CMD ["base"]
FROM base AS inherits
ONBUILD LABEL later=yes
ENTRYPOINT ["own"]
