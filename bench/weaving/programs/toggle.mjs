// Preloaded first: module hooks that are registered from now on can be switched off and on again, all at once.
import module, { syncBuiltinESMExports } from 'node:module';

const register = module.registerHooks;
const registered = [];
let handles = [];

module.registerHooks = (hooks) => {
  registered.push(hooks);
  const handle = register(hooks);
  handles.push(handle);
  return handle;
};
syncBuiltinESMExports();

globalThis.toggleHooks = (on) => {
  for (const handle of handles) handle.deregister();
  handles = on ? registered.map((hooks) => register(hooks)) : [];
};
