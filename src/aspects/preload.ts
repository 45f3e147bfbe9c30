/** For `node --import spark-proxy/aspects/preload`: registers the aspects that are configured, and nothing else of spark-proxy. */
import { registerConfigured } from './register.ts';

registerConfigured();
