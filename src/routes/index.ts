/** What the rest of sluice uses of the routes. */
export { compileFilter, FilterMatcher, validateFilter, validateTopicName } from './filter.ts';
export { kafkaTopicFault } from './kafka-topic.ts';
export type { Route, RouteDefinition, RouteHeader, RouteProblem } from './route.ts';
export type { OnInvalid } from './route.ts';
export { checkRoutes, compileRoutes, constantTopics, Router, RoutesError } from './router.ts';
export type { RouterOptions, RouterStatistics } from './router.ts';
export { TopicMatch } from './topic-match.ts';
export type { RouteFault } from './topic-match.ts';
export { ClockCache } from './cache.ts';
export * as headerNames from './header-names.ts';
export { topicSettings } from './topic-settings.ts';
export type { FindTopicSettings, TopicSettings } from './topic-settings.ts';
export { unreachableRoutes } from './unreachable.ts';
