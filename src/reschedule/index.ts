export { capturedContexts } from './contexts.ts';
export { capture, installSparkContextAspect, onCapture, type CaptureListener } from './spark-context-aspect.ts';
export { offload, openOffload, type Offload, type OffloadOptions } from './offload.ts';
export { EXTERNAL_EXECUTOR, RescheduleSession, type SessionStats } from './session.ts';
