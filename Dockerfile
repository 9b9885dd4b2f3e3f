# The worker of a team server. Debian-based: Temporal's native library needs glibc, so no Alpine.
FROM node:24-bookworm-slim AS build
WORKDIR /holdfast
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY scripts ./scripts
COPY src ./src
COPY workflows ./workflows
COPY activities ./activities
RUN node scripts/build.mjs && npm prune --omit=dev --no-audit --no-fund

FROM node:24-bookworm-slim
# python3: the agent of the local system. openssh-client: PBS systems.
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates openssh-client python3 \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /holdfast
ENV NODE_ENV=production HOLDFAST_NO_BUILD=1
COPY --from=build /holdfast/node_modules ./node_modules
COPY --from=build /holdfast/dist ./dist
COPY --from=build /holdfast/package.json ./package.json
COPY src/report/page ./src/report/page
COPY bin ./bin
COPY remote ./remote
COPY config ./config
RUN mkdir -p /state results && chown -R node:node /state results
USER node
ENV XDG_STATE_HOME=/state HOLDFAST_SYSTEMS=local
# exec: the worker is the process that gets SIGTERM, and stops in order.
CMD ["sh", "-c", "exec node bin/holdfast.mjs worker --systems \"$HOLDFAST_SYSTEMS\" --json"]
