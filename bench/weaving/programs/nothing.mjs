import { registerHooks } from 'node:module';

registerHooks({ load: (url, context, next) => next(url, context) });
