/** What the rest of sluice uses of the routes. */
export { compileFilter, FilterMatcher, validateFilter, validateTopicName } from './filter.ts';
export { kafkaTopicFault } from './kafka-topic.ts';
export type { Route, RouteDefinition, RouteHeader, RouteProblem } from './route.ts';
export { checkRoutes, compileRoutes, constantTopics, Router, RoutesError, TopicMatch } from './router.ts';
export type { RouteFault, RouterOptions, RouterStatistics } from './router.ts';
export { ClockCache } from './cache.ts';
export * as headerNames from './header-names.ts';
