/** What the rest of sluice uses of payloads. */
export type { FieldsDefinition, LookupDefinition, ValueDefinition } from './definition.ts';
export { isFault, type ValueFault } from './fault.ts';
export type { Element, EncodedValue, RouteValue } from './route-value.ts';
export { checkRouteSet, compileRouteSet } from './route-set.ts';
export type { FullRouteDefinition, ReadFile, RouteSet } from './route-set.ts';
export { PayloadView } from './view.ts';
export { RegistryClient } from './registry/client.ts';
export { SchemaInUse, Schemas } from './registry/schemas.ts';
