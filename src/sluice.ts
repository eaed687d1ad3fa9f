/**
 * The composition root: makes the stations, wires them, starts and stops them in order. The only file that knows them all.
 */
import { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AccessControl } from './auth/access/control.ts';
import { Authentication } from './auth/authentication.ts';
import { certificateKey, revokedCertificates } from './auth/x509-fields.ts';
import { GroupCommit } from './buffer/commit.ts';
import { createStore } from './buffer/open.ts';
import type { BufferStore, ShardStats, StoreOpening } from './buffer/store.ts';
import { HotTail } from './buffer/tail.ts';
import { sourceText, type SluiceConfig } from './config/config.ts';
import { hasAuthentication } from './config/listener-checks.ts';
import { readRouteFile } from './config/route-files.ts';
import { DeadLetterDesk } from './dead-letters.ts';
import { Downlinks } from './downlinks.ts';
import { errorText, SluiceError } from './errors.ts';
import { explainBy, plainExplanation } from './explain.ts';
import { Forwarder, type ForwardStatus } from './forward/forwarder.ts';
import { Mapper } from './forward/mapper.ts';
import { apiPort } from './api-port.ts';
import { AdminSocket } from './http/admin.ts';
import type { App } from './http/app.ts';
import { HttpListener, readTokens } from './http/listener.ts';
import { Tokens } from './http/tokens.ts';
import { HttpPublisher } from './http-publish.ts';
import { Ingest } from './ingest/ingest.ts';
import { kafkaOptions } from './kafka-options.ts';
import { listenerLimits, mqttLimits, publishLimits, rateLimits, reloadableAccess, reloadableLimits } from './limits.ts';
import { createKafkaSink } from './kafka/adapter.ts';
import { inspectTopics } from './kafka/durability.ts';
import type { KafkaSink } from './kafka/sink.ts';
import { LibraryPublisher, type PublishRequest } from './library-publish.ts';
import { createBroker, type MqttBroker } from './mqtt/broker.ts';
import { startListeners, type Listeners, type Listening } from './mqtt/listeners/listeners.ts';
import { openSessions, type SessionOptions } from './mqtt/sessions.ts';
import { createLog, type Logger } from './observe/log.ts';
import { Metrics } from './observe/metrics.ts';
import { Report, type Incident } from './report.ts';
import { reload, type Reloadable, type ReloadReport } from './reload.ts';
import { compileRouteSet, type RouteSet, type Schemas } from './payload/index.ts';
import { constantTopics, topicSettings, type FindTopicSettings } from './routes/index.ts';
import type { SchemaEvents } from './payload/registry/schemas.ts';
import { isRegistryForm } from './payload/definition.ts';
import { openSchemas } from './schema-registry.ts';
import type { LedgerStatus, ListenerStatus, SluiceStatus } from './status.ts';

export type { PublishRequest } from './library-publish.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** Bytes that may wait for their commit, over all shards, before messages are refused at once. */
const PENDING_MAX_BYTES = 256 * 1024 * 1024;
/** One append: large enough for hundreds of messages, small enough not to hold up the store. */
const FRAME_MAX_BYTES = 1024 * 1024;
/** Of shutdownTimeout, at most this for appends in flight: one that hangs must not eat the time to deliver. */
const FINISH_APPENDS_MAX_MS = 2_000;
/** Where it is closed without being drained: after a failed start. */
const CLOSE_FORWARDING_MS = 1_000;
/** How often the target topics are looked at until Kafka answers. */
const INSPECT_RETRY_MS = 15_000;
/** A status waits no longer for the store: it tells what was known last. */
const STATS_TIMEOUT_MS = 1_000;

export interface SluiceHooks {
  /** In place of the log that the configuration describes. */
  readonly log?: Logger;
  /** In place of Kafka: to measure or test what stands in front of it. */
  readonly sink?: KafkaSink;
}

export interface SluiceEvents {
  /** Every listener accepts connections. */
  listening: [listeners: readonly ListenerStatus[]];
  /** Something went wrong, or came right again; also in the log. */
  incident: [incident: Incident];
  stopped: [];
}

/** What exists while it runs. */
interface Running {
  readonly store: BufferStore;
  readonly opening: StoreOpening;
  readonly commits: readonly GroupCommit[];
  readonly forwarder: Forwarder;
  readonly ingest: Ingest;
  readonly broker: MqttBroker;
  readonly listeners: Listeners;
  readonly http: HttpListener | undefined;
  readonly publisher: LibraryPublisher;
  readonly httpPublisher: HttpPublisher;
  readonly deadLetters: DeadLetterDesk;
  readonly downlinks: Downlinks;
  /** Another one after a reload of the routes. */
  mapper: Mapper;
  readonly authentication: Authentication;
}

type Closer = readonly [what: string, close: () => Promise<unknown> | void];

export class Sluice extends EventEmitter<SluiceEvents> {
  #config: SluiceConfig;
  readonly #hooks: SluiceHooks;
  readonly #log: Logger;
  readonly #report: Report;
  readonly #metrics: Metrics;
  readonly #schemas: Schemas | undefined;
  /** Tells the forward side, as soon as there is one, that a schema is here. */
  #encodable = (): void => undefined;
  #routes: RouteSet;
  #topicSettings: FindTopicSettings;
  #state: SluiceStatus['state'] = 'stopped';
  #startedAt = new Date();
  #running: Running | undefined;
  #stopping: Promise<void> | undefined;
  #lastStatus: SluiceStatus | undefined;
  /** By shard, as the store told last. */
  #stats: ShardStats[] = [];
  #kafkaWeak: readonly string[] = [];
  #inspectTimer: NodeJS.Timeout | undefined;
  /** What takes a new configuration while it runs; start() adds to it. */
  readonly #reloadables: Reloadable[] = [];
  #reloading: Promise<unknown> = Promise.resolve();
  /** What start() has opened, in that order: closed the other way round. */
  #closers: Closer[] = [];

  /** Takes a validated configuration: createSluice() and loadConfig() give one. */
  constructor(config: SluiceConfig, hooks: SluiceHooks = {}) {
    super();
    this.#config = config;
    this.#hooks = hooks;
    this.#log = hooks.log ?? createLog(config.log);
    this.#metrics = new Metrics(() => this.status());
    this.#report = new Report(this.#log, (incident) => this.emit('incident', incident), this.#metrics);
    this.#schemas = config.schemaRegistry && openSchemas(config.schemaRegistry, this.#schemaEvents());
    this.#routes = this.#compile(config);
    this.#topicSettings = topicSettings(config.routes);
  }

  /**
   * Opens the buffer and listens. Kafka may be away: messages wait in the buffer.
   * @throws SluiceError LISTENER_FAILED, STORE_UNAVAILABLE, STORE_REFUSED (not durable enough), STORE_LOCKED, STORE_FORMAT,
   * SHARD_COUNT_MISMATCH; what had been opened is closed again
   */
  async start(): Promise<void> {
    if (this.#state !== 'stopped') throw new Error(`this sluice is ${this.#state}`);
    this.#state = 'starting';
    this.#startedAt = new Date();
    this.#stopping = undefined;
    try {
      this.#running = await this.#open();
    } catch (error) {
      await this.#close();
      this.#state = 'stopped';
      throw error;
    }
    this.#state = 'running';
    const listeners = listenersOf(this.#running);
    this.#log.info(
      { event: 'sluice.started', version, listeners: listeners.map(({ url }) => url) },
      'sluice is running',
    );
    this.emit('listening', listeners);
    if (this.#hooks.sink === undefined) void this.#inspectTopics();
  }

  /**
   * Puts a message of the program in, as a device would: it resolves once the message is durable (or matches no route), and
   * goes to MQTT subscribers too.
   * @throws SluiceError PUBLISH_REFUSED, NOT_RUNNING, or why the buffer did not take it: publish it again then
   */
  async publish(request: PublishRequest): Promise<void> {
    return this.#runningOrThrow().publisher.publish(request);
  }

  /** @throws RoutesError */
  #compile({ routes }: Pick<SluiceConfig, 'routes'>): RouteSet {
    return compileRouteSet(routes, readRouteFile, {}, (wanted) => {
      if (this.#schemas === undefined) throw new Error('a route needs a schema registry, and there is none');
      return this.#schemas.use(wanted);
    });
  }

  #schemaEvents(): SchemaEvents {
    return {
      schemaReady: (subject, encoder) => {
        this.#report.schemaReady(subject, encoder);
        this.#encodable();
      },
      schemaUnavailable: (subject, error, waits) => this.#report.schemaUnavailable(subject, error, waits),
    };
  }

  #runningOrThrow(): Running {
    if (this.#running === undefined || this.#state !== 'running')
      throw new SluiceError('NOT_RUNNING', `sluice is ${this.#state}`);
    return this.#running;
  }

  /** What is in effect: after a reload, what of the new configuration needs no restart. */
  get config(): SluiceConfig {
    return this.#config;
  }

  /**
   * Takes a new configuration without losing a connection, as far as that goes; files that it names are read again in any case.
   * @returns what is in effect now, and what waits for a restart
   * @throws SluiceError why it cannot be had; then the old one stays, whole. NOT_RUNNING
   */
  async reload(next: SluiceConfig): Promise<ReloadReport> {
    const work = this.#reloading.then(() => this.#reload(next));
    this.#reloading = work.catch(() => undefined);
    return work;
  }

  async #reload(next: SluiceConfig): Promise<ReloadReport> {
    if (this.#state !== 'running') throw new SluiceError('NOT_RUNNING', `sluice is ${this.#state}`);
    const { config, report } = await reload(this.#config, next, this.#reloadables);
    this.#config = config;
    this.#log.info({ event: 'config.reloaded', ...report }, reloadText(report));
    return report;
  }

  /**
   * Stops listening, finishes appends, tells clients, delivers what is buffered for up to shutdownTimeout, gives up the leases. What
   * is left stays in the buffer. Safe to call twice.
   */
  async stop(): Promise<void> {
    return (this.#stopping ??= this.#stop());
  }

  /** Never throws: what cannot be asked is as it was known last. */
  async status(): Promise<SluiceStatus> {
    const running = this.#running;
    if (running === undefined) return this.#lastStatus ?? this.#describe(undefined, true);
    const { store } = running;
    let answers = 0;
    const asked = Array.from({ length: store.shards }, async (_, shard) => {
      this.#stats[shard] = await store.stats(shard);
      answers++;
    });
    await within(STATS_TIMEOUT_MS, Promise.allSettled(asked));
    return (this.#lastStatus = this.#describe(running, answers === store.shards));
  }

  /** The status, and what happened since the start, in Prometheus' text format. */
  async metrics(): Promise<string> {
    return this.#metrics.render();
  }

  /** The dead letters in Kafka: to be listed, and to be put in again. @throws SluiceError NOT_RUNNING */
  get deadLetters(): DeadLetterDesk {
    if (this.#running === undefined) throw new SluiceError('NOT_RUNNING', `sluice is ${this.#state}`);
    return this.#running.deadLetters;
  }

  async #open(): Promise<Running> {
    const { config } = this;
    const { buffer, limits } = config;
    await mkdir(buffer.path, { recursive: true, mode: 0o700 });

    this.#metrics.open();
    this.#closers.push(['metrics', () => this.#metrics.close()]);
    let made: Promise<App> | undefined;
    const app = (): Promise<App> => (made ??= this.#makeApp());
    this.#closers.push(['HTTP', async () => (await made)?.close()]);
    const admin = await AdminSocket.open(buffer.path, app);
    this.#closers.push(['the admin socket', () => admin.close()]);

    // The store tells of appends of others from the moment it is open.
    const hearing: { forwarder?: Forwarder } = {};
    const store = createStore(buffer);
    const opening = await store.open({
      appended: (shard) => hearing.forwarder?.appended(shard),
      availability: (available, reason) => this.#report.availability(available, reason),
    });
    this.#closers.push(['the buffer', () => store.close()]);
    for (const weakness of opening.durability.weak)
      this.#log.warn({ event: 'durability.weak', store: store.kind }, weakness);

    const sink = this.#hooks.sink ?? this.#connectKafka();
    this.#closers.push(['Kafka', () => sink.close()]);

    // As early as can be: what it answers late is waited for in the buffer.
    this.#schemas?.start();
    this.#closers.push(['the schema registry', () => this.#schemas?.stop()]);

    const tail = new HotTail(buffer.tailMaxBytes);
    const mapper = new Mapper(this.#routes);
    const forwarder = (hearing.forwarder = this.#makeForwarder(store, sink, tail, mapper));
    this.#encodable = () => forwarder.encodable();
    const commits = this.#makeCommits(store, opening, forwarder);
    this.#closers.push(['appends', () => commits.forEach((commit) => commit.close())]);
    this.#closers.push(['forwarding', () => forwarder.stop({ deadlineMs: CLOSE_FORWARDING_MS })]);
    await forwarder.start();

    const ingest = new Ingest({
      commits,
      routes: this.#routes,
      limits: publishLimits(limits),
      rates: rateLimits(limits),
    });
    const access = new AccessControl(config.acl);
    const sessions = await openSessions(this.#sessionOptions(), (where, error) =>
      this.#report.fault('sessions.fault', error, { where }),
    );
    const auth: { broker?: MqttBroker } = {};
    const authentication = await Authentication.open(config.auth, {
      timeoutMs: limits.connectTimeoutMs,
      events: {
        fault: (where, error) => this.#report.fault('auth.fault', error, { where }),
        changed: (what) => {
          this.#log.info({ event: 'auth.changed', what }, `in effect now: ${what}`);
          if (auth.broker !== undefined) this.#endUnauthorized(auth.broker, authentication);
        },
      },
    });
    this.#closers.push(['authentication', () => authentication.close()]);
    const broker = (auth.broker = await createBroker({
      ingest,
      sessions,
      authenticator: authentication,
      access: (clientId, identity) => access.of(clientId, identity),
      limits: mqttLimits(limits),
      events: {
        fault: (where, error) => this.#report.fault('mqtt.fault', error, { where }),
        connectionRefused: (clientId, error) =>
          this.#report.fault('connection.refused', error, { clientId, code: error.code }),
        connectionFailed: (clientId, remoteAddress, error) =>
          this.#report.connectionFailed(clientId, remoteAddress, error),
        denied: (denial) => this.#report.denied(denial),
        loginRefused: (refusal) => this.#report.loginRefused(refusal),
        willForbidden: (clientId, topic) =>
          this.#report.fault('will.forbidden', new Error('the will may not be published any more'), {
            clientId,
            topic,
          }),
      },
    }));
    this.#closers.push(['the broker', () => broker.close()]);

    const listeners = await startListeners(config.listeners, (stream, info) => broker.handle(stream, info), {
      limits: listenerLimits(limits),
      fault: (where, error) => this.#report.fault('listener.fault', error, { where }),
      clientFault: (where, remoteAddress, error) => this.#report.connectionFailed(where, remoteAddress, error),
      revoked: (listener, lists) => this.#endRevoked(broker, listener, lists),
    });
    this.#closers.push(['the listeners', () => listeners.close()]);

    const publisher = new LibraryPublisher(ingest, broker);
    this.#reloadables.push(
      this.#reloadableLog(),
      this.#reloadableRoutes(),
      reloadableCertificates(listeners),
      this.#reloadableAuth(authentication, broker),
      reloadableAccess(access, broker),
      reloadableLimits(ingest, broker, listeners),
    );
    const httpPublisher = new HttpPublisher(ingest, broker, {
      access: (clientId, identity) => access.of(clientId, identity),
      mayUse: (identity, clientId) => authentication.mayStay(identity, clientId),
      fault: (error) => this.#report.fault('http.fault', error),
    });
    const http =
      config.listeners.http && (await HttpListener.open(await app(), config.listeners.http, listeners.upgrade));
    if (http !== undefined) this.#closers.push(['the HTTP listener', () => http.close()]);
    const deadLetters = new DeadLetterDesk({
      kafka: kafkaOptions(config.kafka),
      topic: config.deadLetter.topic,
      store,
      ingest,
    });
    const downlinks = Downlinks.start(config, broker, this.#log, this.#report);
    this.#closers.push(['downlinks', () => downlinks.stop()]);
    return {
      store,
      opening,
      commits,
      forwarder,
      ingest,
      broker,
      listeners,
      http,
      publisher,
      httpPublisher,
      mapper,
      authentication,
      deadLetters,
      downlinks,
    };
  }

  /** What is asked over HTTP and the admin socket. @throws SluiceError LISTENER_FAILED: a token cannot be read */
  async #makeApp(): Promise<App> {
    const { http } = this.config.listeners;
    // Not before it is needed: it takes a while to load, and a start is not to wait for it.
    const { App } = await import('./http/app.ts');
    return App.create({
      port: apiPort({
        status: () => this.status(),
        metrics: () => this.metrics(),
        durations: () => this.#metrics.durations(),
        explain: ({ properties, ...request }) =>
          plainExplanation(explainBy(this.#routes, properties === undefined ? request : { ...request, properties })),
        recentDeadLetters: () => this.#report.recentDeadLetters(),
        deadLetters: () => this.#running?.deadLetters,
        config: () => this.config,
        broker: () => this.#running?.broker,
        publish: (sender, messages) => this.#runningOrThrow().httpPublisher.publish(sender, messages),
      }),
      messageMaxBytes: this.config.limits.maxPacketSizeBytes,
      tokens: new Tokens(await readTokens(http?.tokens ?? [])),
      version,
      prove: () =>
        hasAuthentication(this.config)
          ? (attempt) => this.#runningOrThrow().authentication.authenticate(attempt)
          : undefined,
      fault: (error) => this.#report.fault('http.fault', error),
    });
  }

  #reloadableAuth(authentication: Authentication, broker: MqttBroker): Reloadable {
    return {
      paths: ['auth'],
      prepare: async ({ auth }, changed) => {
        if (!changed) {
          await authentication.look();
          return { apply: () => undefined };
        }
        const next = await authentication.prepare(auth);
        return {
          apply: () => {
            next.apply();
            this.#endUnauthorized(broker, authentication);
          },
          discard: () => next.discard(),
        };
      },
    };
  }

  /** What a reload takes away, it takes away from those who are connected, too. */
  #endUnauthorized(broker: MqttBroker, authentication: Authentication): void {
    const ended = broker.endUnless((identity, clientId) => authentication.mayStay(identity, clientId));
    if (ended > 0) this.#log.info({ event: 'auth.ended', ended }, `${ended} connected clients may not stay`);
  }

  #endRevoked(broker: MqttBroker, listener: string, lists: Buffer): void {
    try {
      const revoked = revokedCertificates(lists);
      const ended = broker.endUnless(
        (_identity, _clientId, { listener: name, certificate }) =>
          name !== listener || certificate === undefined || !revoked.has(certificateKey(certificate.raw)),
      );
      if (ended > 0)
        this.#log.info(
          { event: 'auth.ended', ended, listener },
          `${ended} connected clients have a revoked certificate`,
        );
    } catch (error) {
      this.#report.fault('listener.fault', error, { where: `revocation list of listener ${listener}` });
    }
  }

  /** What is buffered is mapped by the new ones, once what was mapped by the old ones for the same topic is in Kafka. */
  #reloadableRoutes(): Reloadable {
    return {
      paths: ['routes'],
      prepare: ({ routes }, changed) => {
        const running = this.#running;
        // Files that routes name are looked at, too: their content is not part of the configuration.
        const readsFiles = routes.some(
          ({ schema, fields, registry }) => (schema ?? fields?.lookup ?? registry?.file) !== undefined,
        );
        if (running === undefined || (!changed && !readsFiles)) return { apply() {} };
        if (this.#schemas === undefined && routes.some(({ value }) => isRegistryForm(value))) {
          throw new SluiceError('CONFIG_INVALID', 'a route needs schemaRegistry, which takes effect after a restart');
        }
        const next = this.#compile({ routes });
        const settings = topicSettings(routes);
        return {
          apply: () => {
            this.#routes = next;
            this.#topicSettings = settings;
            running.mapper = new Mapper(next);
            running.forwarder.useMapper(running.mapper);
            running.ingest.useRoutes(next);
            this.#schemas?.keepOnly(new Set(next.values.flatMap(({ schemas }) => [...schemas])));
          },
        };
      },
    };
  }

  #reloadableLog(): Reloadable {
    return {
      paths: ['log.level'],
      prepare: ({ log }, changed) => ({
        apply: () => {
          if (changed) this.#log.level = log.level;
        },
      }),
    };
  }

  #connectKafka(): KafkaSink {
    return createKafkaSink(
      { ...kafkaOptions(this.config.kafka), topic: (topic) => this.#topicSettings(topic) },
      {
        log: (level, message, detail) => this.#log[level]({ event: 'kafka.client', ...detail }, message),
        measured: (ms) => this.#metrics.requested(ms),
      },
    );
  }

  #makeForwarder(store: BufferStore, sink: KafkaSink, tail: HotTail, mapper: Mapper): Forwarder {
    const { forward, deadLetter } = this.config;
    const report = this.#report;
    return new Forwarder({
      store,
      sink,
      mapper,
      tail,
      events: report,
      options: {
        deadLetterTopic: deadLetter.topic,
        chunkMaxRecords: forward.chunkRecords,
        chunkMaxBytes: forward.chunkBytes,
        windowMaxBytes: forward.windowBytes,
        parkingMaxBytes: forward.parkingMaxBytes,
        retryMinMs: forward.retry.minMs,
        retryMaxMs: forward.retry.maxMs,
      },
    });
  }

  #makeCommits(store: BufferStore, opening: StoreOpening, forwarder: Forwarder): GroupCommit[] {
    const { buffer } = this.config;
    const report = this.#report;
    return opening.shards.map(
      (state) =>
        new GroupCommit(
          store,
          state,
          {
            shard: state.shard,
            appendTimeoutMs: buffer.appendTimeoutMs,
            softLimit: buffer.softLimit,
            pendingMaxBytes: PENDING_MAX_BYTES / store.shards,
            frameMaxBytes: Math.min(FRAME_MAX_BYTES, store.maxBytes / store.shards / 16),
          },
          {
            frameCommitted: (shard, base, count, frame) => forwarder.committed(shard, base, count, frame),
            logReplaced: (shard, missing) => {
              report.logReplaced(shard, missing);
              forwarder.logReplaced(shard);
            },
            measured: (messages, bytes, appendMs, waitedMs) => report.measured(messages, bytes, appendMs, waitedMs),
            health: (shard, error) => report.health(shard, error),
          },
        ),
    );
  }

  #sessionOptions(): SessionOptions {
    const { buffer } = this.config;
    switch (buffer.store) {
      case 'memory':
        return { store: 'memory' };
      case 'level':
        return { store: 'level', directory: join(buffer.path, 'sessions') };
      case 'redis':
        return { store: 'redis', url: buffer.url ?? '', namespace: buffer.namespace };
    }
  }

  /** Looks once at what the target topics promise, as soon as Kafka answers, and says what weakens the guarantee. */
  async #inspectTopics(): Promise<void> {
    try {
      const reports = await inspectTopics(kafkaOptions(this.config.kafka), constantTopics(this.config.routes));
      this.#kafkaWeak = reports.flatMap(({ weak }) => weak);
      for (const weakness of this.#kafkaWeak) this.#log.warn({ event: 'durability.weak', store: 'kafka' }, weakness);
    } catch (error) {
      this.#log.debug({ event: 'kafka.inspect', error: errorText(error) }, 'the target topics cannot be looked at yet');
      if (this.#state !== 'running') return;
      this.#inspectTimer = setTimeout(() => void this.#inspectTopics(), INSPECT_RETRY_MS);
      this.#inspectTimer.unref();
    }
  }

  async #stop(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    this.#state = 'stopping';
    clearTimeout(this.#inspectTimer);
    const end = performance.now() + this.config.shutdownTimeoutMs;
    const left = (): number => Math.max(0, end - performance.now());
    const { listeners, broker, commits, forwarder, downlinks } = running;

    await downlinks.stop();
    await listeners.stopAccepting();
    broker.stopReading();
    await within(Math.min(FINISH_APPENDS_MAX_MS, left()), Promise.all(commits.map((commit) => commit.settled())));
    await broker.close();
    // Wills that the end of the connections brought are appended too.
    await within(Math.min(FINISH_APPENDS_MAX_MS, left()), Promise.all(commits.map((commit) => commit.settled())));
    const { drained } = await forwarder.stop({ deadlineMs: left(), drain: true });
    const status = await this.status();
    this.#running = undefined;
    await this.#close();
    this.#state = 'stopped';
    this.#lastStatus = { ...status, state: 'stopped' };
    const { buffered } = status.ledger;
    if (drained) this.#log.info({ event: 'sluice.stopped', buffered }, 'stopped; everything was delivered');
    else
      this.#log.warn(
        { event: 'sluice.stopped', buffered, code: 'SHUTDOWN_INCOMPLETE' },
        `stopped; ${buffered} messages stay in the buffer`,
      );
    this.emit('stopped');
  }

  /** Closes what is open, the newest first. One that fails does not keep the others from being closed. */
  async #close(): Promise<void> {
    this.#reloadables.length = 0;
    for (const [what, close] of this.#closers.splice(0).reverse()) {
      try {
        await close();
      } catch (error) {
        this.#log.warn({ event: 'sluice.close', error: errorText(error) }, `${what} did not close cleanly`);
      }
    }
  }

  #describe(running: Running | undefined, answered: boolean): SluiceStatus {
    const { config } = this;
    const stats = this.#stats.filter((one) => one !== undefined);
    const forward = running?.forwarder.status();
    const opening = running?.opening;
    return {
      version,
      pid: process.pid,
      startedAt: this.#startedAt.toISOString(),
      state: this.#state,
      listeners: running === undefined ? [] : listenersOf(running),
      clients: running?.broker.clients().total ?? 0,
      connections: connectionsOf(running),
      routes: config.routes.map((route, index) => ({
        name: route.name,
        from: sourceText(route),
        to: route.to,
        records: running?.mapper.records[index] ?? 0,
      })),
      deadLetters: this.#report.deadLetters,
      buffer: {
        store: config.buffer.store,
        durability: opening?.durability.summary ?? '',
        weak: opening?.durability.weak ?? [],
        maxBytes: config.buffer.maxBytes,
        bytes: stats.reduce((sum, shard) => sum + shard.bytes, 0),
        error: this.#report.bufferError ?? (answered ? undefined : 'the store does not answer'),
        errorSince: this.#report.bufferErrorSince,
        shards: stats.map((shard) => ({
          shard: shard.shard,
          owned: forward?.shards[shard.shard]?.owned ?? false,
          owner: shard.owner,
          head: shard.head,
          released: shard.released,
          buffered: shard.logMessages + shard.parkedMessages,
          bytes: shard.bytes,
          parked: shard.parked.map((state) => ({
            ...state,
            full:
              forward?.shards[shard.shard]?.parked.some(({ topic, full }) => full && topic === state.topic) ?? false,
          })),
          oldestAt: forward?.shards[shard.shard]?.oldestAt,
          setAside: shard.setAside,
        })),
      },
      kafka: {
        brokers: config.kafka.brokers,
        error: this.#report.kafkaError,
        errorSince: this.#report.kafkaErrorSince,
        weak: this.#kafkaWeak,
        failingTopics: this.#report.topicErrors.size,
        lanes: (forward?.lanes ?? []).map((lane) => ({
          topic: lane.topic,
          partition: lane.partition,
          queued: lane.queued,
          inFlight: lane.inFlight,
          oldestAt: lane.oldestAt,
          faultMs: lane.faultMs,
          error: this.#report.topicErrors.get(lane.topic),
        })),
      },
      schemas: this.#schemas?.unavailable() ?? [],
      downlinks: running?.downlinks.status() ?? [],
      ledger: ledgerOf(stats),
      counters: running === undefined ? {} : countersOf(running, forward),
      totals: {
        packets: running?.broker.counters.packets ?? {},
        refused: running === undefined ? {} : refusalsOf(running),
        kafkaFaults: forward?.counters.faults ?? {},
        events: this.#report.events,
      },
    };
  }
}

/** A certificate that does not load is reported by its listener, which keeps the old one. */
function reloadableCertificates({ listening }: Listeners): Reloadable {
  return {
    paths: [],
    prepare: async () => {
      await Promise.all(listening.map(async (listener) => listener.reloadCertificate?.()));
      return { apply: () => undefined };
    },
  };
}

function reloadText({ applied, needRestart }: ReloadReport): string {
  const now = applied.length === 0 ? 'the configuration is as it was' : `in effect now: ${applied.join(', ')}`;
  return needRestart.length === 0 ? now : `${now}; after a restart: ${needRestart.join(', ')}`;
}

function listenersOf({ listeners, http }: Running): ListenerStatus[] {
  const mqtt = listeners.listening.map((each) => listenerStatus(each, each.accepting()));
  return http === undefined ? mqtt : [...mqtt, listenerStatus(http, http.accepting)];
}

/** A listener's name is its URL scheme. */
function listenerStatus(
  { name, host, port, path }: Pick<Listening, 'host' | 'port' | 'path'> & { readonly name: string },
  accepting: boolean,
): ListenerStatus {
  const address = host.includes(':') ? `[${host}]` : host;
  return { name, host, port, url: `${name}://${address}:${port}${path ?? ''}`, accepting };
}

function ledgerOf(stats: readonly ShardStats[]): LedgerStatus {
  const ledger = {
    accepted: 0,
    buffered: 0,
    delivered: 0,
    deadLettered: 0,
    expired: 0,
    discarded: {} as Record<string, number>,
  };
  for (const { accepted, logMessages, parkedMessages, outcomes } of stats) {
    ledger.accepted += accepted;
    ledger.buffered += logMessages + parkedMessages;
    ledger.delivered += outcomes.delivered;
    ledger.deadLettered += outcomes.deadLettered;
    ledger.expired += outcomes.expired;
    for (const [rule, count] of Object.entries(outcomes.discarded)) {
      ledger.discarded[rule] = (ledger.discarded[rule] ?? 0) + count;
    }
  }
  const discarded = Object.values(ledger.discarded).reduce((sum, count) => sum + count, 0);
  const settled = ledger.delivered + ledger.deadLettered + ledger.expired + discarded;
  return { ...ledger, imbalance: ledger.accepted - ledger.buffered - settled };
}

function countersOf(running: Running, forward: ForwardStatus | undefined): Record<string, number> {
  const { commits, ingest, broker, authentication } = running;
  const sum = (name: Exclude<keyof GroupCommit['counters'], 'refusedBy'>): number =>
    commits.reduce((total, commit) => total + commit.counters[name], 0);
  const { published, packets: _, ...mqtt } = broker.counters;
  return {
    publishedQos0: published[0],
    publishedQos1: published[1],
    publishedQos2: published[2],
    ...mqtt,
    logins: authentication.counters.accepted,
    anonymousLogins: authentication.counters.anonymous,
    blockedLogins: authentication.counters.blocked,
    undecidedLogins: authentication.counters.unavailable,
    unrouted: ingest.counters.unrouted,
    forbidden: ingest.counters.forbidden,
    rejected: ingest.counters.invalid,
    throttled: ingest.counters.throttled,
    appends: sum('appends'),
    appended: sum('messages'),
    refused: sum('refused'),
    droppedQos0: sum('droppedQos0'),
    qos2Duplicates: sum('duplicates') + ingest.counters.qos2Duplicates,
    records: forward?.counters.records ?? 0,
    chunks: forward?.counters.chunks ?? 0,
    requests: forward?.counters.requests ?? 0,
    retries: forward?.counters.retries ?? 0,
    tailOverflows: forward?.counters.tailOverflows ?? 0,
  };
}

function connectionsOf(running: Running | undefined): SluiceStatus['connections'] {
  const { total: _, ...clients } = running?.broker.clients() ?? { total: 0, v31: 0, v311: 0, v5: 0 };
  const connections = running?.listeners.connections;
  const { receivedBytes, sentBytes } = connections?.traffic() ?? { receivedBytes: 0, sentBytes: 0 };
  return { open: connections?.open ?? 0, turnedAway: connections?.turnedAway ?? 0, receivedBytes, sentBytes, clients };
}

/** Messages that were not acknowledged, by code or rule. */
function refusalsOf({ commits, ingest }: Running): Record<string, number> {
  const refused: Record<string, number> = {
    'reserved-topic': ingest.counters.forbidden,
    'invalid-payload': ingest.counters.invalid,
  };
  for (const { counters } of commits) {
    for (const [code, count] of Object.entries(counters.refusedBy)) refused[code] = (refused[code] ?? 0) + count;
  }
  return refused;
}

async function within(timeoutMs: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, timeoutMs)));
  await Promise.race([work, late]);
  clearTimeout(timer);
}
