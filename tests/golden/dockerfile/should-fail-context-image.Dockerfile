# test: context=a=docker-image://A:B:C
FROM scratch
COPY --from=a / /
