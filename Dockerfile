# The relay, and nothing else. Builds with and without BuildKit, on amd64 and on arm64:
#
#   docker build --tag proof-messenger/relay-server .

FROM rust:1.95-bookworm AS build
WORKDIR /build

# jemalloc is built for one size of pages, and refuses to run where they are larger. Linux on 64-bit ARM has pages of
# 4, 16 or 64 KiB: what is built for the largest runs on all.
RUN if [ "$(uname -m)" = aarch64 ]; then \
        printf '[env]\nJEMALLOC_SYS_WITH_LG_PAGE = "16"\n' >> "$CARGO_HOME/config.toml"; \
    fi

# Without the names of functions. What a panic says, with file and line, stays.
ENV CARGO_PROFILE_RELEASE_STRIP=symbols

# The dependencies, in a layer that a change of the source leaves as it is.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src benches tests \
    && touch src/lib.rs benches/core.rs benches/evidence.rs benches/matching.rs tests/main.rs \
    && echo 'fn main() {}' > src/main.rs \
    && cargo build --release --locked

# Cargo compares times: what was copied may be older than what was just built.
COPY src src
RUN touch src/lib.rs src/main.rs && cargo build --release --locked

FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="proof-messenger-relay" \
      org.opencontainers.image.description="An Envoy ext_authz server that verifies HTTP Message Signatures (RFC 9421)" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /build/target/release/proof-messenger-relay /proof-messenger-relay
# By number, so that Kubernetes can see that it is not root (runAsNonRoot).
USER 65532:65532
# gRPC for the proxy. HTTP for backends and operators, where `admin` is set.
EXPOSE 8000 8001
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/proof-messenger-relay", "health"]
ENTRYPOINT ["/proof-messenger-relay"]
