/** JSON Schema, draft 2020-12: compiled when the routes are, against nothing but the file itself. */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { RE2JS } from 're2js';
import { errorText } from '../errors.ts';
import { problem, type TextProblem } from '../routes/problem.ts';
import { valueFault, type ValueFault } from './fault.ts';

/** Comparing items with each other takes the square of their number. */
const UNIQUE_ITEMS_MAX = 1_000;

export interface Schema {
  readonly kind: 'schema';
  /** undefined: valid. */
  fault(value: unknown): ValueFault | undefined;
}

export function compileSchema(text: string): Schema | TextProblem {
  let schema: unknown;
  try {
    schema = JSON.parse(text);
  } catch (error) {
    return problem(`is not JSON: ${errorText(error)}`, 'name a file with a JSON Schema, draft 2020-12');
  }
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) {
    return problem('is no JSON Schema: an object is expected', 'write { "type": "object", … }');
  }
  if (comparesMany(schema)) {
    return problem(
      `asks for uniqueItems of lists that may be longer than ${UNIQUE_ITEMS_MAX}`,
      `give such lists maxItems, ${UNIQUE_ITEMS_MAX} at most: comparing each with each takes the square of the time`,
    );
  }
  let validate: ValidateFunction;
  try {
    validate = new Ajv2020({
      strict: true,
      strictTypes: false,
      strictTuples: false,
      strictRequired: false,
      validateFormats: false,
      code: { regExp: linear },
    }).compile(schema);
  } catch (error) {
    return problem(
      `is not a JSON Schema that can be used: ${errorText(error)}`,
      'draft 2020-12 is expected; what it refers to has to be in the same file, under $defs',
    );
  }
  return {
    kind: 'schema',
    fault(value) {
      try {
        if (validate(value)) return undefined;
      } catch (error) {
        return valueFault('SCHEMA_INVALID', `the payload cannot be checked: ${errorText(error)}`);
      }
      const [first] = validate.errors ?? [];
      return valueFault('SCHEMA_INVALID', `payload${first?.instancePath ?? ''} ${first?.message ?? 'is not valid'}`);
    },
  };
}

/** RE2 in place of the engine that backtracks: payloads are written by devices. */
const linear = Object.assign(
  (pattern: string) => {
    const regex = RE2JS.compile(pattern);
    // ajv tells patterns apart by what they are as text.
    return { test: (text: string) => regex.test(text), toString: () => `/${pattern}/` };
  },
  { code: 'linear' },
);

function comparesMany(schema: unknown): boolean {
  if (typeof schema !== 'object' || schema === null) return false;
  if (Array.isArray(schema)) return schema.some(comparesMany);
  const { uniqueItems, maxItems } = schema as { uniqueItems?: unknown; maxItems?: unknown };
  if (uniqueItems === true && !(typeof maxItems === 'number' && maxItems <= UNIQUE_ITEMS_MAX)) return true;
  return Object.values(schema).some(comparesMany);
}
