# syntax=docker/dockerfile:1
FROM node:24-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/build.mjs scripts/
COPY src src
COPY dashboard dashboard
RUN npm run build

FROM node:24-slim AS dependencies
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --omit=dev && npm cache clean --force

FROM node:24-slim
ENV NODE_ENV=production
COPY package.json LICENSE CHANGELOG.md /opt/sluice/
COPY --from=dependencies /build/node_modules /opt/sluice/node_modules
COPY --from=build /build/dist /opt/sluice/dist
RUN ln -s /opt/sluice/dist/cli/main.js /usr/local/bin/sluice \
  && install -d -o node -g node /srv/sluice /srv/sluice/sluice-data

# sluice reads ./sluice.yaml if one is mounted here, and keeps its data in ./sluice-data.
WORKDIR /srv/sluice
VOLUME /srv/sluice/sluice-data
USER node
EXPOSE 1883 8883 8083 8084
STOPSIGNAL SIGTERM
# Answers only where the process does; a Kafka that is down is no reason to restart it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["sluice", "status"]
ENTRYPOINT ["sluice"]
CMD ["start"]
