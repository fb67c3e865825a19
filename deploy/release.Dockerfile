# The image of a release, from the binaries that goreleaser made; Dockerfile builds from the source instead.
FROM golang:1.26-bookworm AS files
RUN mkdir /data

FROM scratch
ARG TARGETPLATFORM
COPY --from=files /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=files /usr/local/go/lib/time/zoneinfo.zip /usr/local/go/lib/time/
COPY $TARGETPLATFORM/stepward /stepward
COPY --from=files --chown=65532:65532 /data /data
USER 65532:65532
ENV STEPWARD_LISTEN=:8080 STEPWARD_DATA_DIR=/data ZONEINFO=/usr/local/go/lib/time/zoneinfo.zip
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s CMD ["/stepward", "healthcheck"]
ENTRYPOINT ["/stepward"]
CMD ["serve"]
