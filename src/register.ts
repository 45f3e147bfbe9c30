/**
 * The preload: `node --import spark-proxy/register main.ts`. Installs the one module hook with its editors (closure
 * capture, load-time weaving) and the aspects of the mission; progress and summary follow the configuration.
 */
import { loadTimeEditor } from './aspects/load-time.ts';
import { registerConfigured } from './aspects/register.ts';
import { captureEditor } from './closure/capture-editor.ts';
import { setLogLevel } from './core/logger.ts';
import { hideWarmFlag } from './core/warm-code.ts';
import { addEditor, installHook } from './loader/hook.ts';
import { consoleProgress } from './observe/console-progress.ts';
import { summarize } from './observe/summary.ts';
import { installSparkContextAspect, onCapture } from './reschedule/index.ts';

hideWarmFlag();
addEditor(captureEditor());
addEditor(loadTimeEditor);
installHook();
installSparkContextAspect();
registerConfigured();

onCapture((context, session) => {
  const { configuration, events } = context;
  setLogLevel(configuration.get('log.level'));
  if (configuration.get('spark.ui.showConsoleProgress') === 'true') consoleProgress(events);
  if (configuration.get('observe.summary') === 'true') {
    const summary = summarize(events, session);
    session.onClosed(() => process.stderr.write(`\n${summary()}`));
  }
});
