/** A live tail by topic filter and a publish box, over MQTT on WebSocket, with the rights of whoever has logged in there. */
import { token } from './api.ts';
import { field, h, setText, show } from './dom.ts';
import { clock, count, pretty } from './format.ts';
import { MqttClient, type Received } from './mqtt.ts';
import { act, type View } from './view.ts';

/** Kept on the page; older ones go. */
const SHOWN_MAX = 200;
/** Of one payload. */
const PAYLOAD_SHOWN_MAX = 2_000;

export function messagesView(): View {
  const session = new Session();
  const tail = tailPart(session);
  return {
    node: h(
      'div',
      { class: 'view' },
      h('h1', {}, 'Messages'),
      connectPart(session),
      h('div', { class: 'columns wide-first' }, tail, publishPart(session)),
    ),
  };
}

/** The MQTT connection of the page; made when it is first needed. */
class Session {
  readonly changed: (() => void)[] = [];
  login = { clientId: `dashboard-${Math.random().toString(36).slice(2, 8)}`, user: '', password: '' };
  onMessage: (message: Received) => void = () => undefined;
  closedBecause = '';
  #client: MqttClient | undefined;

  get connected(): boolean {
    return this.#client !== undefined;
  }

  async client(): Promise<MqttClient> {
    if (this.#client !== undefined) return this.#client;
    const client = await MqttClient.connect(this.login, token.get());
    client.onMessage = (message) => this.onMessage(message);
    client.onClose = (reason) => {
      this.#client = undefined;
      this.closedBecause = reason;
      this.#tell();
    };
    this.#client = client;
    this.closedBecause = '';
    this.#tell();
    return client;
  }

  close(): void {
    this.#client?.close();
  }

  #tell(): void {
    for (const each of this.changed) each();
  }
}

function connectPart(session: Session): HTMLElement {
  const clientId = h('input', {
    value: session.login.clientId,
    autocomplete: 'off',
    spellcheck: 'false',
    class: 'mono',
  });
  const user = h('input', { autocomplete: 'username', spellcheck: 'false' });
  const password = h('input', { type: 'password', autocomplete: 'current-password' });
  const button = h('button', {}, 'Connect');
  const says = h('span', { class: 'says', role: 'status' });
  const form = h(
    'form',
    {},
    h(
      'div',
      { class: 'row' },
      field('Client id', clientId),
      field('User', user),
      field('Password', password),
      button,
      says,
    ),
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (session.connected) {
      session.close();
      return;
    }
    void act(button, says, async () => {
      session.login = { clientId: clientId.value, user: user.value, password: password.value };
      await session.client();
      return 'connected';
    });
  });
  session.changed.push(() => {
    setText(button, session.connected ? 'Disconnect' : 'Connect');
    setText(says, session.connected ? 'connected' : session.closedBecause);
    says.className = `says ${session.connected ? 'ok' : ''}`;
  });
  return h(
    'section',
    { class: 'card' },
    h('h2', {}, 'MQTT over WebSocket'),
    h(
      'p',
      { class: 'fact' },
      'What is seen and sent here has the rights of this user, as any MQTT client has. Leave user and password empty where anonymous clients may connect.',
    ),
    form,
  );
}

function tailPart(session: Session): HTMLElement {
  const filter = h('input', { value: '#', required: true, spellcheck: 'false', autocomplete: 'off', class: 'mono' });
  const button = h('button', { class: 'primary' }, 'Start');
  const pause = h('button', { type: 'button', 'aria-pressed': 'false' }, 'Pause');
  const clear = h('button', { type: 'button' }, 'Clear');
  const says = h('span', { class: 'says', role: 'status' });
  const seen = h('p', { class: 'fact' }, 'Nothing yet.');
  const list = h('ol', {
    class: 'tail mono',
    tabindex: 0,
    'aria-label': 'Messages, the newest first',
    'data-testid': 'tail',
  });
  let following: string | undefined;
  let paused = false;
  let total = 0;
  let waiting: Received[] = [];
  let scheduled = false;

  /** Once per frame, however fast they come; those that would not stay on the page are not drawn. */
  const draw = (): void => {
    scheduled = false;
    const fresh = waiting.slice(-SHOWN_MAX).reverse().map(messageItem);
    waiting = [];
    list.prepend(...fresh);
    while (list.childElementCount > SHOWN_MAX) list.lastElementChild?.remove();
    setText(seen, `${count(total)} seen; the last ${count(list.childElementCount)} are shown.`);
  };
  session.onMessage = (message) => {
    total++;
    if (paused) return;
    waiting.push(message);
    if (waiting.length > SHOWN_MAX) waiting.shift();
    if (!scheduled) requestAnimationFrame(draw);
    scheduled = true;
  };
  session.changed.push(() => {
    if (session.connected) return;
    following = undefined;
    setText(button, 'Start');
  });
  const form = h(
    'form',
    {},
    h('div', { class: 'row' }, field('Topic filter', filter, { wide: true }), button, pause, clear),
    says,
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void act(button, says, async () => {
      const client = await session.client();
      if (following !== undefined) {
        await client.unsubscribe(following);
        following = undefined;
        setText(button, 'Start');
        return 'stopped';
      }
      await client.subscribe(filter.value);
      following = filter.value;
      setText(button, 'Stop');
      return `follows ${following}`;
    });
  });
  pause.addEventListener('click', () => {
    paused = !paused;
    pause.setAttribute('aria-pressed', String(paused));
    setText(pause, paused ? 'Go on' : 'Pause');
  });
  clear.addEventListener('click', () => {
    list.replaceChildren();
    total = 0;
    setText(seen, 'Nothing yet.');
  });
  return h('section', { class: 'card' }, h('h2', {}, 'Live tail'), form, seen, list);
}

function messageItem({ topic, payload, qos, retain }: Received): HTMLElement {
  const text = new TextDecoder().decode(payload.subarray(0, PAYLOAD_SHOWN_MAX));
  const isText = !text.includes('\ufffd');
  const shown = isText
    ? text
    : [...payload.subarray(0, 64)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  const more = payload.length > (isText ? PAYLOAD_SHOWN_MAX : 64) ? ' …' : '';
  return h(
    'li',
    {},
    h('time', {}, clock(Date.now())),
    h('span', { class: 'topic' }, topic),
    h('span', { class: 'flags' }, `q${qos}${retain ? ' retained' : ''}`),
    h('span', { class: 'payload' }, `${shown}${more}`),
  );
}

function publishPart(session: Session): HTMLElement {
  const topic = h('input', {
    value: 'devices/d1/telemetry',
    required: true,
    spellcheck: 'false',
    autocomplete: 'off',
    class: 'mono',
  });
  const payload = h('textarea', { rows: 5, spellcheck: 'false', class: 'mono' }, pretty('{"celsius":21.5}'));
  const qos = h(
    'select',
    {},
    h('option', { value: '1' }, '1: durable once acknowledged'),
    h('option', { value: '0' }, '0: at most once'),
  );
  const retain = h('input', { type: 'checkbox' });
  const button = h('button', { class: 'primary' }, 'Publish');
  const says = h('p', { class: 'says', role: 'status' });
  const form = h(
    'form',
    {},
    field('MQTT topic', topic, { wide: true }),
    field('Payload', payload, { wide: true }),
    h('div', { class: 'row' }, field('QoS', qos), h('label', { class: 'check' }, retain, ' retain'), button),
    says,
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void act(button, says, async () => {
      const client = await session.client();
      const asked = performance.now();
      await client.publish({
        topic: topic.value,
        payload: new TextEncoder().encode(payload.value),
        qos: qos.value === '0' ? 0 : 1,
        retain: retain.checked,
      });
      return qos.value === '0'
        ? 'Sent.'
        : `Acknowledged after ${(performance.now() - asked).toFixed(0)} ms: if it has a route, it is durable.`;
    });
  });
  show(says, true);
  return h('section', { class: 'card' }, h('h2', {}, 'Publish'), form);
}
