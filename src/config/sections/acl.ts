import { z } from 'zod';

const text = z.string().min(1).max(65_535);
const oneOrMore = z.union([text, z.array(text).min(1).max(10_000)]);
const patterns = z.array(text).max(10_000).default([]);
const globs = '`*` stands for any text, also none, `?` for one character';

const rule = z.strictObject({
  name: z.string().min(1).max(250).optional().meta({
    description: 'What log lines call the rule. Default: its place in the list.',
  }),
  effect: z.enum(['allow', 'deny']).default('allow').meta({ description: 'What happens where the rule matches.' }),
  user: oneOrMore.optional().meta({
    description: `Users whom the rule is about, one or a list; ${globs}: \`"?*"\` is every authenticated user, \`"*"\` everyone. Default: everyone.`,
  }),
  clientId: oneOrMore.optional().meta({
    description: `Client ids that the rule is about, one or a list; ${globs}. Default: all.`,
  }),
  attributes: z.record(text, oneOrMore).default({}).meta({
    description:
      'Attributes of the identity that must match, all of them; values as for `user`: `{ jwt.role: [admin, operator] }`.',
  }),
  publish: patterns.meta({
    description:
      'Topic filters that the rule is about where a client publishes, its will included. `{clientId}`, `{user}` and attributes such as `{cert.cn}` stand for one level or a part of one.',
  }),
  subscribe: patterns.meta({
    description:
      'Topic filters that the rule is about where a client subscribes, and where it is sent messages. A subscription is granted when one filter here contains all of it.',
  }),
  qos: z
    .array(z.literal([0, 1, 2]))
    .min(1)
    .max(3)
    .optional()
    .meta({
      description: 'The rule is about these QoS only: of the publish, or as the subscription asks for. Default: any.',
    }),
  retain: z.boolean().optional().meta({
    description: 'The rule is only about publishes that are (true) or are not (false) retained. Default: both.',
  }),
});

export const acl = z.array(rule).max(10_000).default([]).meta({
  description:
    'Access rules. The first that matches decides; where none does, it is denied. Without any rule clients may publish and subscribe to everything. Topics that begin with `$` are matched only by filters written with the `$`; nobody may publish to `$SYS/`.',
});
