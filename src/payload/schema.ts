/** JSON Schema: compiled against nothing but its own text, and what it refers to where a registry gives that. */
import { Ajv, type Options, type ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
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

export interface SchemaDialect {
  /** Where the schema does not say. */
  readonly draft: 7 | 2020;
  /** Keywords that the draft does not know are annotations, not errors. */
  readonly lenient: boolean;
  readonly imports: readonly { readonly name: string; readonly text: string }[];
}

const ofFiles: SchemaDialect = { draft: 2020, lenient: false, imports: [] };

const options: Options = {
  strict: true,
  strictTypes: false,
  strictTuples: false,
  strictRequired: false,
  validateFormats: false,
};

export function compileSchema(text: string, dialect = ofFiles): Schema | TextProblem {
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
    validate = compiled(schema, dialect);
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

function compiled(schema: object, { draft, lenient, imports }: SchemaDialect): ValidateFunction {
  const said = (schema as { $schema?: unknown }).$schema;
  const seventh = typeof said === 'string' ? /draft-07/.test(said) : draft === 7;
  const ajv = new (seventh ? Ajv : Ajv2020)({ ...options, strict: !lenient, code: { regExp: linear } });
  for (const { name, text } of imports) ajv.addSchema(JSON.parse(text) as object, name);
  return ajv.compile(schema);
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
