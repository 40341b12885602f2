# A static binary on an empty base: no shell, no package manager, no root.
FROM rust:1.95-alpine AS build
RUN apk add --no-cache musl-dev
WORKDIR /build
COPY . .
RUN cargo build --release --locked

FROM scratch
COPY --from=build /build/target/release/loket /loket
COPY --from=build /build/channels /etc/loket/channels
COPY --from=build /build/config/locales /etc/loket/config/locales
ENV LOKET_LISTEN=0.0.0.0:8080 \
    LOKET_DATA_DIR=/var/lib/loket \
    LOKET_CONFIG_DIR=/etc/loket/config \
    LOKET_CHANNELS_DIR=/etc/loket/channels
# The root may be read-only: only the volume is written to.
VOLUME /var/lib/loket
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/loket", "health"]
ENTRYPOINT ["/loket"]
CMD ["serve"]
