/** The preload: `node --import spark-proxy/register main.ts`. */
import { captureEditor } from './closure/capture-editor.ts';
import { addEditor, installHook } from './loader/hook.ts';

addEditor(captureEditor());
installHook();
