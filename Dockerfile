# syntax=docker/dockerfile:1
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -X main.release=$VERSION" -o /stepward ./cmd/stepward && mkdir /data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /usr/local/go/lib/time/zoneinfo.zip /usr/local/go/lib/time/
COPY --from=build /stepward /stepward
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
ENV STEPWARD_LISTEN=:8080 STEPWARD_DATA_DIR=/data ZONEINFO=/usr/local/go/lib/time/zoneinfo.zip
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s CMD ["/stepward", "healthcheck"]
ENTRYPOINT ["/stepward"]
CMD ["serve"]
